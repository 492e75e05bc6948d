"""The schedule in simulated time: nobody is hurried, nothing left out, and it can be resumed."""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.schedule import Past, Schedule, Slot, Wait, contaminated, froze
from circumtest.model import (
    Arm,
    Cause,
    Cell,
    Direction,
    Failure,
    Media,
    Record,
    Stage,
    StageRecord,
    Success,
    Transport,
)

FREEZE = 600.0


@dataclass(frozen=True)
class Played:
    slot: Slot
    started: float
    ended: float
    frozen: bool
    why: str


def lanes(cells: int, blocks: int, seed: int, spacing: float) -> list[list[Slot]]:
    """Cells of two tunnels and some services, whose controls may go to the same hosts."""
    rng = Random(seed)
    made = []
    for number in range(cells):
        cell = Cell(f"tunnel{number % 2}", "call", f"service{number // 2}", "live")
        lane = []
        for block in range(blocks):
            arms = list(Arm)
            rng.shuffle(arms)
            for arm in arms:
                control = arm.endswith("control")
                host = f"host{rng.randrange(3)}"
                where = (host,) if control else (cell.target, host)
                lane.append(Slot(cell, block, arm, where, spacing))
        made.append(lane)
    return made


def play(schedule: Schedule, rng: Random, now: float = 1e9, most: int = 10**6) -> list[Played]:
    """Play at most so many trials of a schedule, as fast as it lets."""
    done: list[Played] = []
    while len(done) < most and (what := schedule.next(now)) is not None:
        if isinstance(what, Wait):
            assert what.until > now
            now = what.until
            continue
        started, ended = now, now + rng.uniform(0, 20)
        frozen = rng.random() < 0.1
        why = schedule.played(what, started, ended, frozen=frozen)
        done.append(Played(what, started, ended, frozen, why))
        now = ended
    return done


def too_early(done: list[Played]) -> list[tuple[Played, Played]]:
    """Pairs to one place that are closer than they may be."""
    return [
        (one, other)
        for at, one in enumerate(done)
        for other in done[at + 1 :]
        if set(one.slot.destinations) & set(other.slot.destinations)
        and other.started - one.ended
        < (max(FREEZE, one.slot.spacing) if one.frozen else one.slot.spacing) - 1e-3
    ]


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 99), st.sampled_from([10.0, 60.0]))
def test_everything_is_played_once_and_never_too_early(
    cells: int, blocks: int, seed: int, spacing: float
) -> None:
    """Whatever freezes, and however long trials take; and the same again from the same seed."""
    made = lanes(cells, blocks, seed, spacing)
    done = play(Schedule(made, seed), Random(seed))

    assert sorted(map(repr, (one.slot for one in done))) == sorted(
        repr(slot) for lane in made for slot in lane
    )
    assert too_early(done) == []
    assert {one.why for one in done} <= {""}
    assert done == play(Schedule(made, seed), Random(seed))


@given(st.integers(1, 4), st.integers(0, 99), st.integers(0, 30), st.floats(0, 1000))
def test_what_was_stopped_is_gone_on_with_and_keeps_its_distance(
    cells: int, seed: int, stop: int, pause: float
) -> None:
    """What is on disk rests as long as it would have."""
    made = lanes(cells, 2, seed, 60.0)
    rng = Random(seed)
    first = play(Schedule(made, seed), rng, most=stop)
    done = {one.slot for one in first}
    past = [
        Past(one.slot.destinations, one.started, one.ended, FREEZE if one.frozen else 60.0)
        for one in first
    ]
    left = [[slot for slot in lane if slot not in done] for lane in made]
    again = Schedule(left, seed, past=past)
    now = first[-1].ended + pause if first else 1e9

    assert too_early(first + play(again, rng, now)) == []
    assert again.left == 0


@given(st.integers(1, 5), st.integers(0, 99))
def test_the_arms_of_a_cell_are_played_in_the_order_of_its_plan(cells: int, seed: int) -> None:
    """Waiting for one place is no reason to change it."""
    made = lanes(cells, 2, seed, 60.0)
    done = [one.slot for one in play(Schedule(made, seed), Random(seed))]

    for lane in made:
        assert [slot for slot in done if slot.cell == lane[0].cell] == lane


def test_waiting_for_one_place_is_used_for_another() -> None:
    """Two services take hardly longer than one."""

    def length(services: int) -> float:
        made = [lanes(1, 2, 1, 60.0)[0] for _ in range(services)]
        apart = [
            [Slot(s.cell, s.block, s.arm, (f"{n}",), 60.0) for s in lane]
            for n, lane in enumerate(made)
        ]
        done = play(Schedule(apart, 1), Random(0))
        return done[-1].ended - done[0].started

    assert length(2) < 1.5 * length(1)


def test_a_trial_beside_or_right_after_another_is_contaminated() -> None:
    """To the same place only, and where a freeze may still last."""
    one = Past(("a", "x"), 100.0, 110.0, 60.0)

    assert "going on" in contaminated(Past(("a",), 105.0, 120.0, 60.0), [one])
    assert "had ended 20 s before" in contaminated(Past(("x",), 130.0, 140.0, 60.0), [one])
    assert contaminated(Past(("b",), 105.0, 120.0, 60.0), [one]) == ""
    assert contaminated(Past(("a",), 170.0, 180.0, 60.0), [one]) == ""
    frozen = Past(("a",), 100.0, 110.0, FREEZE)
    assert "had ended 290 s before" in contaminated(Past(("a",), 400.0, 410.0, 60.0), [frozen])


def silent(stage: Stage, *before: Stage) -> Record:
    """A trial that died of silence after some stages."""
    passed = tuple(StageRecord(one, 0, 1, True) for one in before)
    return Record(Failure(stage, Cause.TIMEOUT), 1.0, passed)


@pytest.mark.parametrize(
    ("record", "transport", "is_one"),
    [
        (Record(Success(), 1.0), Transport.TCP, False),
        (Record(Failure(Stage.SUSTAIN, Cause.FROZEN), 1.0), Transport.UDP, True),
        (silent(Stage.ALLOCATE), Transport.UDP, False),
        (silent(Stage.CONNECTIVITY, Stage.ALLOCATE), Transport.UDP, False),
        (silent(Stage.SIGNALLING), Transport.TCP, False),
        (silent(Stage.CONNECTIVITY, Stage.SIGNALLING), Transport.TCP, True),
        (Record(Failure(Stage.SIGNALLING, Cause.RESET), 1.0), Transport.TCP, False),
    ],
)
def test_a_freeze_is_silence_after_something(
    record: Record, transport: Transport, is_one: bool
) -> None:
    """Of a stream, or of sound."""
    assert froze(record, transport) is is_one


def test_sound_that_stopped_is_a_freeze() -> None:
    """After 25 packets, in either direction."""
    way = Direction(80, 25, 55, silent_after=25, silent_at=0.5)
    media = (Media(1.6, 50, Direction(80, 80, 0), way),)

    assert froze(Record(Failure(Stage.MEDIA_DOWN, Cause.LOSSY), 2.0, (), media), Transport.UDP)


def test_what_is_not_next_cannot_be_struck_out() -> None:
    """Who says so has lost count."""
    made = lanes(1, 1, 1, 60.0)
    with pytest.raises(ValueError, match="is not next"):
        Schedule(made, 1).void(made[0][1])


def test_nothing_needs_to_rest_for_what_was_never_sent() -> None:
    """A tunnel that is down costs no waiting, and a cell that is decided none either."""
    made = lanes(2, 1, 1, 60.0)
    schedule = Schedule(made, 1)
    for slot in made[0]:
        schedule.void(slot)
    schedule.skip(made[1][0].cell)

    assert schedule.next(0.0) is None
    assert schedule.seconds(5.0) == 0.0
