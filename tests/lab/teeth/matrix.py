"""All cells of the teeth table, side by side in processes of their own.

It refuses to stop at a cell that could not be played: that stands in the table as it is.
"""

import asyncio
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.lab.teeth.cell import Fate, Unusable, fate
from tests.lab.teeth.expected import EXPECTED, SPECIMENS, expected

Cell = tuple[str, str]
NOTHING = "unusable: "


def played(cell: Cell) -> Fate:
    """One cell; a harness that failed is no reason to forget the others."""
    profile, tunnel = cell
    try:
        return asyncio.run(fate(profile, SPECIMENS[tunnel], expected(*cell)))
    except (Unusable, TimeoutError) as error:
        return Fate(f"{NOTHING}{error}", frozenset())


def all_of(profiles: Sequence[str], jobs: int) -> dict[Cell, Fate]:
    """What became of all cells of those profiles, so many at a time."""
    cells = [(profile, tunnel) for profile in profiles for tunnel in SPECIMENS]
    seen = {}
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for number, (cell, one) in enumerate(zip(cells, pool.map(played, cells), strict=True), 1):
            seen[cell] = one
            if one.word not in expected(*cell) or one.before:
                told = f"{' behind '.join(reversed(cell))}: {one.word} {' '.join(one.before)}"
                sys.stderr.write(f"[{number}/{len(cells)}] {told}\n")
    return seen


def unexpected(seen: Mapping[Cell, Fate]) -> list[str]:
    """What was not as the table has it, or had nobody who did it."""
    lines = []
    for (profile, tunnel), one in seen.items():
        wanted = expected(profile, tunnel)
        if one.word not in wanted:
            lines.append(f"{tunnel} behind {profile}: {one.word}, not {' or '.join(wanted)}")
        elif tunnel in EXPECTED[profile] and not one.guilty:
            lines.append(f"{tunnel} behind {profile}: {one.word}, and no rule did it")
    return lines
