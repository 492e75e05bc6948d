"""One cell's trials, counted: which blocks count, who succeeded, where the others died.

A block in which the harness, the tunnel or a control failed is void: it is counted and named, and
is part of no rate.  This file refuses to judge what the counts mean.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median_low

from circumtest.ear import PLAYOUT
from circumtest.finding import MOS, Death
from circumtest.model import (
    Arm,
    Cause,
    Failure,
    Invalid,
    Media,
    Outcome,
    Record,
    Stage,
    Success,
    TunnelFault,
    Unsupported,
)
from circumtest.stats import Pairs

Block = Mapping[Arm, Record]

_HOW = {
    Cause.TIMEOUT: "silent",
    Cause.RESET: "reset",
    Cause.ABORTED: "reset",
    Cause.EOF: "closed",
    Cause.REFUSED: "refused",
    Cause.HOST_UNREACHABLE: "unreachable",
    Cause.NETWORK_UNREACHABLE: "unreachable",
    Cause.DNS_NXDOMAIN: "no such name",
    Cause.DNS_REFUSED: "refused by the resolver",
    Cause.DNS_SERVFAIL: "the resolver failed",
    Cause.DNS_MISBEHAVING: "the resolver failed",
    Cause.DNS_EMPTY: "empty answer",
    Cause.DNS_BOGON: "poisoned",
    Cause.DNS_POISONED: "poisoned",
    Cause.DNS_LATE: "late answer",
    Cause.NO_UPLINK: "one-way, nothing goes up",
    Cause.NO_DOWNLINK: "one-way, nothing comes down",
    Cause.FROZEN: "frozen",
    Cause.LOSSY: "lossy",
}


@dataclass(slots=True)
class Count:
    """One arm over the blocks that count for it.

    `dull` of the successes carried sound below the line, `opinions` are all that were had.
    `failed_at` are the public endpoints at which it failed, in live runs.
    """

    successes: int = 0
    n: int = 0
    dull: int = 0
    opinions: list[float] = field(default_factory=list)
    failed_at: set[str] = field(default_factory=set)
    deaths: Counter[tuple[Stage, Cause]] = field(default_factory=Counter)
    frozen_after: list[int] = field(default_factory=list)

    def add(self, record: Record, line: float) -> None:
        self.n += 1
        opinion = _opinion(record)
        if opinion is not None:
            self.opinions.append(opinion)
        if isinstance(record.outcome, Success):
            self.successes += 1
            self.dull += opinion is not None and opinion < line
        elif isinstance(record.outcome, Failure):
            self.deaths[record.outcome.stage, record.outcome.cause] += 1
            if record.endpoint:
                self.failed_at.add(record.endpoint)
            if record.outcome.cause is Cause.FROZEN:
                self.frozen_after += _frozen_after(record.media)

    @property
    def lossy(self) -> int:
        """Failures that set up and then carried too little."""
        return sum(n for (_, cause), n in self.deaths.items() if cause is Cause.LOSSY)

    @property
    def mos(self) -> float | None:
        """The median opinion of its sound."""
        return median_low(self.opinions) if self.opinions else None

    def death(self) -> Death | None:
        """The most common stage and cause; of equals the earlier rung, so that order is no luck."""
        if not self.deaths:
            return None
        rungs = list(Stage)
        (stage, cause), count = min(
            self.deaths.items(), key=lambda one: (-one[1], rungs.index(one[0][0]), one[0][1])
        )
        how = _HOW.get(cause, "wrong reply")
        if cause is Cause.FROZEN and self.frozen_after:
            how = f"frozen after {median_low(self.frozen_after)} packets"
        return Death(stage, how, count, self.deaths.total())


def _opinion(record: Record) -> float | None:
    """What people would say of a call's sound; None where it had none, or was made late here.

    A player that was late itself took packets too late that the network had brought in time.
    """
    opinions = [media.mos for media in record.media if media.mos is not None]
    return min(opinions) if opinions and record.lag < PLAYOUT / 2 else None


def _frozen_after(media: Iterable[Media]) -> list[int]:
    """After how many packets the direction that fell silent first did so; [] when none did."""
    silent = [
        direction.silent_after
        for one in media
        for direction in (one.up, one.down)
        if direction.silent_after is not None
    ]
    return [min(silent)] if silent else []


@dataclass(slots=True)
class Tally:
    """A cell's counts.

    `outside_alone` and `inside_alone` count the blocks in which that arm and its control are
    sound, whatever became of the other; `outside` and `inside` those in which all four are.
    `discordant` are the pairs that differ, by block, True where the inside succeeded.
    `inside_successes`, `wrong_exits` and `leaks` are of the inside arm and of its control.
    `same_exits` are the blocks in which the far end saw one address outside and inside.
    """

    blocks: int = 0
    unfinished: int = 0
    outside: Count = field(default_factory=Count)
    inside: Count = field(default_factory=Count)
    outside_alone: Count = field(default_factory=Count)
    inside_alone: Count = field(default_factory=Count)
    both: int = 0
    neither: int = 0
    discordant: list[bool] = field(default_factory=list)
    voids: Counter[str] = field(default_factory=Counter)
    faults: Counter[TunnelFault] = field(default_factory=Counter)
    unsupported: int = 0
    wrong_exits: int = 0
    leaks: int = 0
    same_exits: int = 0
    inside_successes: int = 0
    outside_controls: int = 0
    outside_controls_passed: int = 0
    inside_controls: int = 0
    inside_controls_passed: int = 0

    @property
    def pairs(self) -> Pairs:
        """First is the outside, second the inside."""
        won = sum(self.discordant)
        return Pairs(self.both, len(self.discordant) - won, won, self.neither)

    @property
    def void(self) -> int:
        """Blocks that do not count, though they were played whole."""
        return self.blocks - self.pairs.n - self.unsupported


def tally(blocks: Mapping[int, Block], line: float = MOS) -> Tally:
    """Count a cell's blocks, in the order of their numbers; sound below `line` is dull."""
    counted = Tally()
    for number in sorted(blocks):
        _add(counted, blocks[number], line)
    return counted


def _add(counted: Tally, block: Block, line: float) -> None:
    outcomes = {arm: record.outcome for arm, record in block.items()}
    _leaks(counted, outcomes)
    counted.same_exits += bool(_exits(block, "outside") & _exits(block, "inside"))
    if not _whole(outcomes):
        counted.unfinished += 1
        return
    counted.blocks += 1
    inside = outcomes[Arm.INSIDE]
    if isinstance(inside, Unsupported):
        counted.unsupported += 1
    if isinstance(inside, Invalid) and inside.reason == "tunnel-down":
        counted.faults[inside.fault or TunnelFault.NO_DATA] += 1
    _controls(counted, outcomes)
    outside_void, inside_void = _void(outcomes, "outside"), _void(outcomes, "inside")
    if not outside_void:
        counted.outside_alone.add(block[Arm.OUTSIDE], line)
    if not inside_void:
        counted.inside_alone.add(block[Arm.INSIDE], line)
    if isinstance(inside, Unsupported):
        return
    if outside_void or inside_void:
        counted.voids[outside_void or inside_void] += 1
        return
    _pair(counted, block, line)


def _leaks(counted: Tally, outcomes: Mapping[Arm, Outcome]) -> None:
    """What must never happen is counted in blocks that were cut short, too."""
    for arm in (Arm.INSIDE, Arm.INSIDE_CONTROL):
        outcome = outcomes.get(arm)
        counted.inside_successes += isinstance(outcome, Success)
        if isinstance(outcome, Invalid):
            counted.wrong_exits += outcome.reason == "wrong-exit"
            counted.leaks += outcome.reason == "leak"


def _exits(block: Block, side: str) -> set[str]:
    """The addresses that far ends saw of one side in a block."""
    records = (block.get(arm) for arm in (Arm(side), Arm(f"{side}-control")))
    return {record.exit.host for record in records if record and record.exit}


def _whole(outcomes: Mapping[Arm, Outcome]) -> bool:
    """All four arms were tried; a tunnel that did not come up needs no inside control."""
    missing = set(Arm) - set(outcomes)
    if missing == {Arm.INSIDE_CONTROL}:
        return isinstance(outcomes[Arm.INSIDE], Invalid | Unsupported)
    return not missing


def _controls(counted: Tally, outcomes: Mapping[Arm, Outcome]) -> None:
    outside, inside = outcomes[Arm.OUTSIDE_CONTROL], outcomes.get(Arm.INSIDE_CONTROL)
    if isinstance(outside, Success | Failure):
        counted.outside_controls += 1
        counted.outside_controls_passed += isinstance(outside, Success)
    if isinstance(inside, Success | Failure):
        counted.inside_controls += 1
        counted.inside_controls_passed += isinstance(inside, Success)


def _void(outcomes: Mapping[Arm, Outcome], side: str) -> str:
    """Why an arm says nothing in this block; "" when it does."""
    for arm in (Arm(side), Arm(f"{side}-control")):
        outcome = outcomes.get(arm)
        if isinstance(outcome, Invalid):
            return f"{arm}: {outcome.reason}"
        if isinstance(outcome, Unsupported):
            return f"{arm}: unsupported"
    if not isinstance(outcomes[Arm(f"{side}-control")], Success):
        return f"{side}-control: failed"
    return ""


def _pair(counted: Tally, block: Block, line: float) -> None:
    outside, inside = block[Arm.OUTSIDE], block[Arm.INSIDE]
    counted.outside.add(outside, line)
    counted.inside.add(inside, line)
    out, within = isinstance(outside.outcome, Success), isinstance(inside.outcome, Success)
    if out is not within:
        counted.discordant.append(within)
    elif out:
        counted.both += 1
    else:
        counted.neither += 1
