"""Five bad networks, made for a handshake so that they spare its set-up and spoil its sound.

Which packets are sound, and how many come before it, is learnt by watching a call in virtual time;
the rules that come of it are then carried out by the simulator and by the kernel alike.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from circumtest.censor.judge import Censor, flow_of
from circumtest.censor.packet import Packet, Verdict
from circumtest.censor.policy import (
    Bits,
    Confidence,
    Drop,
    Lose,
    Policy,
    Rule,
    Scope,
    Shape,
    Signature,
    Way,
)
from circumtest.censor.signatures import ALL
from circumtest.model import Cause, Failure, Level, Record, Stage, Transport
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.script import Handshake
from circumtest.simulate import START, far_end, simulate

SILENT = {
    "echo",
    "stun-binding",
    "whatsapp-message",
    "telegram-message",
    "signal-message",
}
"""Handshakes without sound."""
CALLS = [kind for kind in kinds(HANDSHAKES) if kind not in SILENT]
NETWORKS = ("nothing comes down", "nothing goes up", "30 % is lost", "25 packets", "22 seconds")
MARGIN = 10
"""Packets that a real set-up may take more than a simulated one."""
ENOUGH = 20
"""Packets of a kind in one call that may be its sound."""
STRAYS = 4
"""Packets of sound that may come by another way, in what a relay sends before its channel is bound,
or among the set-up of a recording."""
SEED = 1

Ending = tuple[Stage, Cause]
ENDINGS: dict[str, Ending] = {
    "nothing comes down": (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK),
    "nothing goes up": (Stage.MEDIA_UP, Cause.NO_UPLINK),
    "30 % is lost": (Stage.MEDIA_UP, Cause.LOSSY),
    "25 packets": (Stage.SUSTAIN, Cause.FROZEN),
    "22 seconds": (Stage.SUSTAIN, Cause.FROZEN),
}
"""How each network is told from the others."""


def level(network: str) -> Level:
    """What is seen within 1.6 s, and what needs more: time, or packets enough for a share."""
    return Level.STANDARD if network in ("22 seconds", "30 % is lost") else Level.QUICK


def handshake(kind: str, how_long: Level) -> Handshake:
    """A call with its defaults."""
    cls: Any = load(HANDSHAKES, kind, "test", "")
    made: Handshake = cls(level=how_long)
    return made


def call(kind: str, how_long: Level, judge: Any = None, version: int = 4) -> Record:
    """One call in virtual time."""
    made = handshake(kind, how_long)
    target, services = far_end(made, version)
    return simulate(made.script(target, Random(SEED)), services, judge)


def behind(kind: str, network: str, version: int = 4) -> Record:
    """One call behind a bad network, in virtual time."""
    return call(kind, level(network), Censor(policy(kind, network), SEED), version)


def ending(record: Record) -> Ending | None:
    """Where and how a call failed, None for one that did not."""
    outcome = record.outcome
    return (outcome.stage, outcome.cause) if isinstance(outcome, Failure) else None


def policy(kind: str, network: str) -> Policy:
    """The network as a censor's policy with one rule."""
    seen = watched(kind)
    anything = (ALL["any"],)
    match network:
        case "30 % is lost":
            rule = Rule("it", anything, Lose(0.3), Scope.FLOW, seen.before)
        case "25 packets":
            rule = Rule("it", anything, Drop(), Scope.FLOW, seen.before + 25)
        case "22 seconds":
            rule = Rule("it", anything, Drop(), Scope.FLOW, seconds=22.0)
        case _:
            rule = one_way(kind, network)
    return single(rule)


def single(rule: Rule) -> Policy:
    """A policy of one rule."""
    return Policy("bad-network", "", (), Confidence.GUESSED, (rule,))


def is_dead(record: Record, network: str) -> bool:
    """Whether one direction has died, and the report and the ending say which.

    What came by a stray way makes it a direction that fell silent after so many packets.
    """
    (media,) = record.media
    down = network == "nothing comes down"
    dead, alive = (media.down, media.up) if down else (media.up, media.down)
    if dead.received is None or dead.received > STRAYS:
        return False
    if alive.received is not None and (alive.lost or 0) > STRAYS:
        return False
    if dead.received == 0:
        return ending(record) == ENDINGS[network]
    outcome = record.outcome
    return isinstance(outcome, Failure) and outcome.cause in (Cause.FROZEN, Cause.LOSSY)


@cache
def one_way(kind: str, network: str) -> Rule:
    """Drops what is sound in one direction: the first kind of packet without which it is dead.

    In a stream nothing can be left out: there one direction of the stream stops after the set-up.
    """
    seen = watched(kind)
    if seen.transport is Transport.TCP:
        way = Way.DOWN if network == "nothing comes down" else Way.UP
        return Rule("it", (ALL["any"],), Drop(), Scope.FLOW, seen.before, direction=way)
    for way, shape in seen.candidates():
        found = Signature("sound", (shape,), "this test", Confidence.GUESSED)
        rule = Rule("it", (found,), Drop(), Scope.PACKET, direction=way)
        if is_dead(call(kind, Level.QUICK, Censor(single(rule), SEED)), network):
            return rule
    raise AssertionError(f"no kind of packet is the sound of {kind}")


# ------------------------------------------------------------------ what a call looks like


@dataclass
class Watch:
    """Lets everything pass, and remembers it."""

    packets: list[tuple[float, Packet]] = field(default_factory=list)

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.packets.append((now - START, packet))
        return Verdict.PASS


@dataclass(frozen=True)
class Watched:
    """One call: packets of its busiest flow until the sound began, and those during the sound."""

    before: int
    sound: tuple[Packet, ...]

    @property
    def transport(self) -> Transport:
        return Counter(packet.transport for packet in self.sound).most_common(1)[0][0]

    def candidates(self) -> Iterator[tuple[Way, Shape]]:
        """Kinds of datagrams seen during the sound, the most frequent first."""
        for parts in ((True, True), (True, False), (False, True)):
            counted = Counter(_kind(packet, *parts) for packet in self.sound)
            for (way, length, first), count in counted.most_common():
                if count >= ENOUGH:
                    bits = () if first is None else (Bits(0, 8, first, first),)
                    size = None if length is None else (length, length)
                    yield way, Shape(Transport.UDP, bits, size)


_Kind = tuple[Way, int | None, int | None]


def _kind(packet: Packet, by_length: bool, by_first: bool) -> _Kind:
    way = Way.UP if packet.upwards else Way.DOWN
    length = len(packet.payload) if by_length else None
    return way, length, packet.payload[0] if by_first and packet.payload else None


@cache
def watched(kind: str) -> Watched:
    """One call that nobody hinders."""
    watch = Watch()
    record = call(kind, Level.QUICK, watch)
    (start,) = (stage.start for stage in record.stages if stage.stage is Stage.MEDIA_UP)
    sound = tuple(packet for at, packet in watch.packets if at >= start)
    busiest = Counter(flow_of(packet) for at, packet in watch.packets if at < start)
    return Watched(max(busiest.values()) + MARGIN, sound)
