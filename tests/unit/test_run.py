"""How a plan is dealt to workers."""

from itertools import chain

import pytest

from circumtest.plan import load
from circumtest.run import MIN_LABS, room, share


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_block_of_every_cell_is_played_once_and_cells_stay_together(jobs: int) -> None:
    """Whatever the number of workers."""
    plan = load("demo")
    shares = share(plan, jobs)
    played = [(lane.cell, block) for lane in chain(*shares) for block in lane.blocks]
    owners = {(lane.cell, worker) for worker, lanes in enumerate(shares) for lane in lanes}

    assert len(played) == len(set(played)) == len(plan.outline.cells()) * plan.outline.blocks
    assert len(owners) == len(plan.outline.cells())


def test_workers_share_the_room_that_there_is_for_labs() -> None:
    """However many there are, each may have a few."""
    assert room(1) >= room(2) >= MIN_LABS
    assert room(10**6) == MIN_LABS
