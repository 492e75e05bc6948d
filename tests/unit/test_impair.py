"""What a link does to packets: chance by seed, time, rate, and what it leaves alone."""

from itertools import pairwise
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.policy import Conditions, Way
from circumtest.impair import FEWEST, LINKS, QUEUE, Impairment, by_link, slowest, steady

MANY = 4000
PACE = 0.02
SIZE = 200


def sent(asked: Conditions, seed: int = 1, way: Way = Way.UP, n: int = MANY) -> list[float | None]:
    """How long each of `n` packets at an even pace takes, None where it is lost."""
    link = Impairment(asked, seed, way)
    leaves = (link.leaves(SIZE, number * PACE) for number in range(n))
    return [None if at is None else at - number * PACE for number, at in enumerate(leaves)]


def lost(took: list[float | None]) -> list[int]:
    """Which ones."""
    return [number for number, one in enumerate(took) if one is None]


def came(took: list[float | None]) -> list[float]:
    """What the others took."""
    return [one for one in took if one is not None]


def test_a_link_without_conditions_changes_nothing() -> None:
    """Every packet leaves as it comes."""
    assert sent(Conditions()) == [0.0] * MANY


def test_a_constant_delay_is_the_same_for_every_packet() -> None:
    """And nothing about it is chance."""
    assert sent(Conditions(delay=0.04)) == pytest.approx([0.04] * MANY)
    assert steady(Conditions(delay=0.04, rate=1000, mtu=1280))


@pytest.mark.parametrize(
    "asked", [Conditions(loss=0.1), Conditions(jitter=0.1), Conditions(reorder=0.1)]
)
def test_what_is_chance_is_known_to_be(asked: Conditions) -> None:
    """Loss, jitter and reordering are."""
    assert not steady(asked)


def test_as_many_are_lost_as_was_asked_for() -> None:
    """5 % of 4000, within four standard deviations; and they are counted."""
    link = Impairment(Conditions(loss=0.05), 1, Way.UP)
    gone = sum(link.leaves(SIZE, 0.0) is None for _ in range(MANY))

    assert abs(gone - 200) < 56
    assert link.lost == gone


def test_the_same_seed_loses_the_same_packets() -> None:
    """Another seed, direction or link loses others."""
    first = lost(sent(Conditions(loss=0.1), 1))

    assert lost(sent(Conditions(loss=0.1), 1)) == first
    assert lost(sent(Conditions(loss=0.1), 2)) != first
    assert lost(sent(Conditions(loss=0.1), 1, Way.DOWN)) != first
    assert lost(sent(Conditions("services", loss=0.1), 1)) != first


def test_what_is_lost_depends_on_no_other_condition() -> None:
    """With jitter, delay and reordering added the same ones are lost; a higher loss takes more."""
    first = set(lost(sent(Conditions(loss=0.1))))
    busy = Conditions(loss=0.1, delay=0.1, jitter=0.02, reorder=0.2)

    assert set(lost(sent(busy))) == first
    assert set(lost(sent(Conditions(loss=0.2)))) > first


def test_jitter_is_normal_around_the_delay() -> None:
    """Mean and deviation are what was asked for."""
    took = came(sent(Conditions(delay=0.1, jitter=0.01)))

    assert fmean(took) == pytest.approx(0.1, abs=0.001)
    assert stdev(took) == pytest.approx(0.01, abs=0.001)


def test_jitter_makes_no_packet_leave_before_it_came() -> None:
    """Where the deviation is as long as the delay, the shortest is none."""
    took = came(sent(Conditions(delay=0.01, jitter=0.02)))

    assert min(took) == pytest.approx(0.0, abs=1e-9)


def test_packets_that_overtake_leave_without_delay() -> None:
    """One in ten does."""
    took = came(sent(Conditions(delay=0.1, reorder=0.1)))
    quick = [one for one in took if one < 0.05]

    assert quick == pytest.approx([0.0] * len(quick))
    assert abs(len(quick) - 400) < 76


def test_a_rate_puts_packets_one_behind_the_other() -> None:
    """Ten packets at once leave at the times at which the wire is done with each."""
    link = Impairment(Conditions(rate=10_000, delay=0.1), 1, Way.UP)
    leaves = [link.leaves(1000, 5.0) for _ in range(10)]

    assert leaves == pytest.approx([5.2 + 0.1 * number for number in range(10)])


def test_an_idle_link_has_nobody_to_wait_for() -> None:
    """What comes after the queue has run dry waits for its own bytes only."""
    link = Impairment(Conditions(rate=10_000), 1, Way.UP)
    link.leaves(1000, 0.0)

    assert link.leaves(1000, 60.0) == pytest.approx(60.1)


@pytest.mark.parametrize("rate", [2_000, 1_000_000])
def test_a_full_queue_drops_what_comes(rate: int) -> None:
    """It holds QUEUE seconds or FEWEST bytes, whichever is more, and takes more when it drains."""
    link = Impairment(Conditions(rate=rate), 1, Way.UP)
    held = [link.leaves(999, 0.0) is not None for _ in range(600)]
    room = int(max(QUEUE * rate, FEWEST) // 999)

    assert held == [True] * room + [False] * (600 - room)
    assert (link.lost, link.overrun) == (0, 600 - room)
    assert link.leaves(1000, 1000 / rate) is not None


def test_a_lost_packet_takes_no_room_on_the_wire() -> None:
    """With all lost but a few, those few do not wait for the others."""
    link = Impairment(Conditions(rate=1000, loss=0.9), 1, Way.UP)
    leaves = [at for _ in range(100) if (at := link.leaves(100, 0.0)) is not None]

    assert leaves == pytest.approx([0.1 * (number + 1) for number in range(len(leaves))])


def test_a_slow_round_trip_is_told_by_what_was_asked_for() -> None:
    """Delays, jitter and queues, of every link, both ways."""
    assert slowest(()) == 0.0
    assert slowest((Conditions(delay=0.04), Conditions("exit", delay=0.1))) == pytest.approx(0.28)
    assert slowest((Conditions(jitter=0.01),)) == pytest.approx(0.08)
    assert slowest((Conditions(rate=1_000_000),)) == pytest.approx(2 * QUEUE)


def test_each_link_has_conditions_once() -> None:
    """By its name; twice, or for a link that there is not, they are refused."""
    near, far = Conditions("client", delay=0.01), Conditions("services", loss=0.1)

    assert by_link((near, far)) == {"client": near, "services": far}
    with pytest.raises(ValueError, match="twice"):
        by_link((near, near))
    with pytest.raises(ValueError, match="no link 'backbone'; known: client, services, exit"):
        by_link((Conditions("backbone"),))


share = st.floats(0.0, 1.0)


@given(
    st.builds(
        Conditions,
        link=st.sampled_from(LINKS),
        delay=st.floats(0.0, 10.0),
        jitter=st.floats(0.0, 10.0),
        loss=share,
        reorder=share,
        rate=st.just(0) | st.integers(1000, 1 << 30),
    ),
    st.integers(),
    st.lists(st.tuples(st.integers(20, 65535), st.floats(0.0, 1.0)), max_size=40),
)
def test_no_packet_leaves_before_it_came_and_no_two_share_the_wire(
    asked: Conditions, seed: int, packets: list[tuple[int, float]]
) -> None:
    """Whatever is asked for; and the same packets get the same answers again."""
    now = 1_764_000_000.0
    link, again = Impairment(asked, seed, Way.UP), Impairment(asked, seed, Way.UP)
    wire = []
    for size, gap in packets:
        now += gap
        at = link.leaves(size, now)
        assert at == again.leaves(size, now)
        assert at is None or at >= now
        if at is not None and asked.rate and not (asked.delay or asked.jitter):
            wire.append((at, size))
    for (before, _), (after, size) in pairwise(wire):
        assert after - before >= size / asked.rate - 1e-6
