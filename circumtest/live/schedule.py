"""When each trial of a live run is played: one at a time, and no destination twice in a minute.

A tester that fires in parallel causes the block that it measures, and what a censor remembers of
one trial spoils the next one to the same place.  So trials are serial, those to one destination are
spaced, and other destinations are taken in between, so that waiting is not idle.  Pure: it is told
the time and tells what comes next.  It refuses to play anything, and to know what a destination is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from circumtest.model import Arm, Cause, Cell, Failure, Record, Transport

SPACING = 60.0
"""Seconds between the end of one trial and the start of the next to the same destination.

Connection policing that was measured looks back 15 to 60 s (docs/live.md)."""
AFTER_FREEZE = 600.0
"""Seconds after a freeze: what was frozen stays so for minutes, whatever is sent meanwhile."""
SLACK = 0.5
"""Seconds by which two clocks (the loop's and the one on disk) may differ."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A trial to be played: its cell, block and arm, and where its packets go in the end.

    `destinations` are names of that place, a service and a host of it: two trials that share one of
    them are to be `spacing` seconds apart.
    """

    cell: Cell
    block: int
    arm: Arm
    destinations: tuple[str, ...]
    spacing: float = SPACING


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be sent before `until` (Unix time); the next one would go to `destination`."""

    until: float
    destination: str


@dataclass(frozen=True, slots=True)
class Past:
    """A trial that was played: when (Unix time), and how long its place is to be left alone.

    `rest` is in seconds after `ended`.
    """

    destinations: tuple[str, ...]
    started: float
    ended: float
    rest: float


def froze(record: Record, transport: Transport) -> bool:
    """Whether a trial ended as a freeze does: what had been going on fell silent for good.

    Sound that stopped, or a TCP connection that carried some stage and then no more.  Silence from
    the start is none, and neither is UDP whose next server is silent: that may be filtered, and
    nothing is frozen by it.
    """
    outcome = record.outcome
    if not isinstance(outcome, Failure):
        return False
    if outcome.cause is Cause.FROZEN:
        return True
    ways = (way for media in record.media for way in (media.up, media.down))
    if any(way.silent_after for way in ways):
        return True
    began = any(stage.passed for stage in record.stages)
    return transport is Transport.TCP and outcome.cause is Cause.TIMEOUT and began


def contaminated(one: Past, others: Iterable[Past]) -> str:
    """Why a trial may have suffered from another one to the same destination; "" where it did not.

    Asked of what is on disk, too: a clock that jumped, or a run that was resumed by somebody with
    less patience, shows there.
    """
    for other in others:
        apart = set(other.destinations).isdisjoint(one.destinations)
        if apart or other is one or other.started > one.started:
            continue
        if other.ended > one.started + SLACK:
            return "another trial to the same place was going on"
        left = other.ended + other.rest - one.started
        if left > SLACK:
            return f"another trial to the same place had ended {other.rest - left:.0f} s before"
    return ""


@dataclass
class Schedule:
    """The trials of a run that are missing, and what comes next.

    `lanes` are the cells' trials, each in the order in which they are to be played: arms of one
    block are never played in another order than the plan's, which is random.  Of the lanes whose
    next destination has rested, the one that is furthest behind goes on; `seed` decides between
    equals.  `past` is what is on disk of this run: its spacing is kept as well.
    """

    lanes: Sequence[Sequence[Slot]]
    seed: int
    after_freeze: float = AFTER_FREEZE
    past: list[Past] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._at = [0] * len(self.lanes)
        self._ranks = list(range(len(self.lanes)))
        Random(self.seed).shuffle(self._ranks)

    @property
    def left(self) -> int:
        """How many trials are to be played."""
        return sum(len(lane) - at for lane, at in zip(self.lanes, self._at, strict=True))

    def rested(self, destinations: Sequence[str]) -> float:
        """From when on (Unix time) a place may be tried, 0.0 for one that never was."""
        mine = (
            one.ended + one.rest
            for one in self.past
            if not set(one.destinations).isdisjoint(destinations)
        )
        return max(mine, default=0.0)

    def next(self, now: float) -> Slot | Wait | None:
        """The trial to play now, how long to wait for one, or None when all are played."""
        heads = [
            (self.rested(lane[at].destinations), lane[at].block, self._ranks[number], lane[at])
            for number, (lane, at) in enumerate(zip(self.lanes, self._at, strict=True))
            if at < len(lane)
        ]
        if not heads:
            return None
        ready = [one for one in heads if one[0] <= now]
        if ready:
            return min(ready, key=lambda one: (one[1], one[2]))[3]
        first = min(heads, key=lambda one: (one[0], one[1], one[2]))
        return Wait(first[0], first[3].destinations[0])

    def void(self, slot: Slot) -> None:
        """Strike a trial out for which nothing was sent: its place has nothing to rest from.

        Raises ValueError for one that was not next of its lane.
        """
        self._at[self._lane(slot)] += 1

    def played(self, slot: Slot, started: float, ended: float, *, frozen: bool) -> str:
        """Strike a trial out; why it may be contaminated, or "".

        Raises ValueError for one that was not next of its lane.
        """
        self.void(slot)
        one = Past(slot.destinations, started, ended, self.rest(slot, frozen=frozen))
        why = contaminated(one, self.past)
        self.past.append(one)
        self._forget(ended)
        return why

    def rest(self, slot: Slot, *, frozen: bool) -> float:
        """Seconds for which a place is left alone after a trial; none where spacing is none."""
        return max(slot.spacing, self.after_freeze) if frozen and slot.spacing else slot.spacing

    def skip(self, cell: Cell) -> None:
        """Strike out all that is left of a cell: enough is known, or nothing can be."""
        for number, lane in enumerate(self.lanes):
            if lane and lane[0].cell == cell:
                self._at[number] = len(lane)

    def seconds(self, each: float) -> float:
        """About how long the rest takes where a trial takes `each` seconds and nothing freezes."""
        busy: dict[str, float] = {}
        for lane, at in zip(self.lanes, self._at, strict=True):
            for slot in lane[at:]:
                for where in slot.destinations:
                    busy[where] = busy.get(where, 0.0) + each + slot.spacing
        return max(*busy.values(), self.left * each) if busy else 0.0

    def _lane(self, slot: Slot) -> int:
        for number, (lane, at) in enumerate(zip(self.lanes, self._at, strict=True)):
            if at < len(lane) and lane[at] == slot:
                return number
        raise ValueError(f"{slot.cell}, block {slot.block}, {slot.arm} is not next")

    def _forget(self, now: float) -> None:
        self.past = [one for one in self.past if one.ended + one.rest + SLACK > now]
