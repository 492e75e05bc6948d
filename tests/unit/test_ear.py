"""What an end hears: counts, runs that are missing, lateness, and in how little memory."""

import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.ear import KEPT, MAX_SEQ, PLAYOUT, WINDOW, Ear

TICK = 0.02


def hearing(*seqs: int, late: frozenset[int] = frozenset()) -> Ear:
    """An ear that heard these numbers in this order, each after 50 ms; some much later."""
    ear = Ear()
    for seq in seqs:
        ear.hear(seq, seq * TICK, seq * TICK + 0.05 + (2 * PLAYOUT if seq in late else 0.0))
    return ear


def test_runs_that_are_missing_are_counted_and_the_longest_kept() -> None:
    """1 and 2, then 5 to 7: two runs, three packets long at most."""
    ear = hearing(0, 3, 4, 8, 9)

    assert (ear.received, ear.highest, ear.bursts, ear.burst) == (5, 9, 2, 3)


def test_a_packet_out_of_order_fills_its_place() -> None:
    """The run of four is split into one and two by its second packet, and shrinks with others."""
    ear = hearing(0, 5, 2)
    assert (ear.bursts, ear.burst) == (2, 2)
    for seq, left in ((4, (2, 1)), (1, (1, 1)), (3, (0, 0))):
        ear.hear(seq, seq * TICK, seq * TICK + 0.05)
        assert (ear.bursts, ear.burst) == left


def test_a_packet_that_comes_too_late_to_be_played_is_received_and_missing() -> None:
    """It is no loss of the network's, and a hole in the sound all the same."""
    ear = hearing(0, 1, 3, 2, 4, late=frozenset({2}))

    assert (ear.received, ear.late, ear.bursts, ear.burst) == (5, 1, 1, 1)


def test_lateness_is_measured_against_the_quickest_packet_so_far() -> None:
    """Two clocks that disagree by an hour are no lateness."""
    ear = Ear()
    for seq in range(5):
        ear.hear(seq, 3600 + seq * TICK, seq * TICK)
    ear.hear(5, 3600 + 5 * TICK, 5 * TICK + PLAYOUT * 1.01)

    assert ear.late == 1


def test_a_way_that_becomes_longer_for_good_is_followed() -> None:
    """After a step of half a second packets are late for some seconds, and then no more."""
    ear = Ear()
    for seq in range(10 * WINDOW):
        ear.hear(seq, seq * TICK, seq * TICK + (0.5 if seq >= WINDOW else 0.0))

    assert WINDOW <= ear.late <= 2 * WINDOW


def test_doubles_and_absurd_numbers_are_not_counted() -> None:
    """Not a late one's double either."""
    ear = hearing(0, 1, 1, 0, 3, MAX_SEQ, -1, 2, 2, late=frozenset({2}))

    assert (ear.received, ear.highest, ear.late) == (4, 3, 1)


def naive(seqs: list[int]) -> tuple[int, int, int]:
    """Received, bursts and longest burst of what is heard in time, the slow way."""
    heard = set(seqs)
    runs, run = [], 0
    for seq in range(max(heard, default=-1) + 1):
        if seq in heard:
            runs += [run] if run else []
            run = 0
        else:
            run += 1
    return len(heard), len(runs), max(runs, default=0)


@given(st.lists(st.integers(0, 60), max_size=80))
def test_whatever_the_order_the_runs_are_those_that_are_missing(seqs: list[int]) -> None:
    """Against a count from scratch after every packet; all of them in time."""
    ear = Ear()
    for count, seq in enumerate(seqs, 1):
        ear.hear(seq, seq * TICK, seq * TICK)
        assert (ear.received, ear.bursts, ear.burst) == naive(seqs[:count])


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9), st.floats(0, 1e9))))
def test_garbage_is_counted_or_not_and_breaks_nothing(
    heard: list[tuple[int, float, float]],
) -> None:
    """Numbers and clocks of any size."""
    ear = Ear()
    for seq, sent_at, at in heard:
        ear.hear(seq, sent_at, at)
    assert 0 <= ear.late <= ear.received <= len(heard)


def test_memory_is_bounded() -> None:
    """Every second number of all, in any order: a bitmap, the runs, a thousand times."""
    ear, numbers = Ear(), list(range(0, MAX_SEQ, 2))
    Random(1).shuffle(numbers)
    for seq in numbers[:4000]:
        ear.hear(seq, seq * TICK, seq * TICK)

    assert len(ear._seen) <= MAX_SEQ // 8
    assert len(ear._runs) <= ear.received + 1
    assert len(ear.delays) == KEPT
    assert sys.getsizeof(ear._seen) < 16384


def test_jitter_is_that_of_rfc_3550() -> None:
    """By hand: transit differences of 10 and 20 ms, each moving the estimate by a sixteenth."""
    ear = Ear()
    for sent_at, at in ((0.0, 5.0), (0.02, 5.03), (0.04, 5.03)):
        ear.hear(round(sent_at * 50), sent_at, at)

    first = 0.01 / 16
    assert ear.jitter == pytest.approx(first + (0.02 - first) / 16)
    assert ear.gap == pytest.approx(0.03)
