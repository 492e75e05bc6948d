"""How well a run used its time: its wall time against its longest chain of trials.

The trials of a cell follow each other, so a plan with one lane a cell can take no less than its
longest cell.  Argument: the folder of a run that was carried out in one go.
"""

import sys
from collections import defaultdict
from pathlib import Path

from circumtest import store


def main(folder: Path) -> None:
    """Print wall time, longest chain and their ratio."""
    run, (trials, _) = store.load(folder), store.read(folder)
    assert run.finished is not None, f"{folder} is not finished"
    chains: dict[str, float] = defaultdict(float)
    for trial in trials:
        chains[str(trial.cell)] += trial.record.seconds
    wall = run.finished - run.started
    cell, longest = max(chains.items(), key=lambda chain: chain[1])
    print(f"{run.outline.name}: {len(trials)} trials in {len(chains)} cells, seconds")
    print(f"  wall time      {wall:>7.1f}")
    print(f"  longest chain  {longest:>7.1f}  ({cell})")
    print(f"  all trials     {sum(chains.values()):>7.1f}")
    print(f"  wall / chain   {wall / longest:>7.2f}  (aim < 1.5)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
