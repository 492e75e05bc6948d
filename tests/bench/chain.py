"""How well a run used its time: its wall time against its longest chain of trials.

The trials of a cell follow each other, so no run can be shorter than its longest cell.  Argument:
a results folder.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any


def trials(folder: Path) -> list[dict[str, Any]]:
    """The trials of a run, in the order in which they finished."""
    lines = (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    return [trial for trial in map(json.loads, lines) if "cell" in trial]


def main(folder: Path) -> None:
    """Print wall time, longest chain and their ratio."""
    chains: dict[str, float] = defaultdict(float)
    begins, ends = [], []
    for trial in trials(folder):
        seconds = trial["record"]["seconds"]
        chains["/".join(trial["cell"].values())] += seconds
        begins.append(trial["started"])
        ends.append(trial["started"] + seconds)
    wall, (cell, longest) = max(ends) - min(begins), max(chains.items(), key=lambda item: item[1])
    print(f"{folder}: {len(begins)} trials in {len(chains)} cells, seconds")
    print(f"  wall time      {wall:>7.1f}")
    print(f"  longest chain  {longest:>7.1f}  ({cell})")
    print(f"  all trials     {sum(chains.values()):>7.1f}")
    print(f"  wall / chain   {wall / longest:>7.2f}  (aim < 1.5)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
