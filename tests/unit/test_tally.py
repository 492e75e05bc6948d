"""What counts, and what is void."""

from circumtest.compare import group
from circumtest.model import Cell
from circumtest.tally import Tally, tally
from tests.unit.runs import DOWN, LATE, OK, SILENT, trials

CELL = Cell("wireguard", "call", "lab", "ru")


def counted(*args: object) -> Tally:
    """The tally of one cell's trials."""
    return tally(group(trials(CELL, *args))[CELL])  # type: ignore[arg-type]


def test_pairs_are_counted_by_how_they_differ() -> None:
    """Both, neither, and each kind of discordant pair."""
    found = counted([OK, OK, SILENT, SILENT], [OK, SILENT, OK, SILENT])

    assert found.pairs == (1, 1, 1, 1)
    assert found.discordant == [False, True]


def test_what_is_invalid_is_void_and_named() -> None:
    """It is part of no rate."""
    found = counted([LATE, OK], [OK, DOWN])

    assert found.pairs.n == 0
    assert found.blocks == 2
    assert sum(found.voids.values()) == 2
    assert found.faults.total() == 1


def test_a_block_cut_short_does_not_count() -> None:
    """An arm that was never tried is not a failure."""
    found = tally({0: group(trials(CELL, [OK], [OK]))[CELL][0], 1: {}})

    assert (found.blocks, found.unfinished) == (1, 1)


def test_the_commonest_death_is_told() -> None:
    """Stage and manner, of the failures only."""
    death = counted([SILENT, SILENT, OK], [OK] * 3).outside.death()

    assert str(death) == "allocate (silent)"
