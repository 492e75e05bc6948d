"""What tests of calls through TURN servers share: a censor that reads the lab's packets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.model import Cause, Failure, Record, Stage
from circumtest.script import Handshake
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.wire import stun, turn


def is_up(packet: Packet) -> bool:
    """Whether a packet leaves the client."""
    return packet.source.host in CLIENT.values()


def inside(payload: bytes) -> bytes:
    """What a packet carries for the peer, or of him; b"" for none."""
    try:
        if turn.is_channel_data(payload):
            return turn.parse_channel_data(payload)[1]
        return stun.unpack(payload).get(turn.DATA) or b""
    except ValueError:
        return b""


def kind(packet: Packet) -> str:
    """What a packet is: "sound", "dtls", "check", or the number of its STUN method."""
    first = inside(packet.payload)[:1]
    if first >= b"\x80":
        return "sound"
    if b"\x14" <= first <= b"\x3f":
        return "dtls"
    if first:
        return "check"
    try:
        return f"{stun.unpack(packet.payload).type & 0xF:#x}"
    except ValueError:
        return "other"


Which = Callable[[Packet, float, int], bool]


@dataclass
class Dropping:
    """Drops what `which` names by packet, seconds and its number among those of its kind and way.

    It keeps all packets, dropped or not, with their times.
    """

    which: Which = lambda packet, at, number: False
    packets: list[tuple[float, Packet]] = field(default_factory=list)
    _seen: dict[tuple[bool, str], int] = field(default_factory=dict)

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.packets.append((now - START, packet))
        key = (is_up(packet), kind(packet))
        number = self._seen[key] = self._seen.get(key, -1) + 1
        return Verdict.DROP if self.which(packet, now - START, number) else Verdict.PASS

    def up(self) -> list[bytes]:
        """What left the client."""
        return [packet.payload for _, packet in self.packets if is_up(packet)]

    def down(self) -> list[bytes]:
        """What was sent to it."""
        return [packet.payload for _, packet in self.packets if not is_up(packet)]


def drops(*kinds: str, way: bool | None = None, after: int = 0) -> Which:
    """Names packets of those kinds, of one way (True: up) or both, from a number on."""
    return lambda packet, at, number: (
        kind(packet) in kinds and (way is None or is_up(packet) is way) and number >= after
    )


def nth(number: int) -> Which:
    """Names the packet of that number, whatever it is."""
    count = iter(range(10**9))
    return lambda packet, at, _: next(count) == number


def play(
    handshake: Handshake, judge: Judge | None = None, version: int = 4, seed: int = 5
) -> Record:
    """One trial in virtual time."""
    target, services = far_end(handshake, version)
    return simulate(handshake.script(target, Random(seed)), services, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


def shape(data: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    """Type, size, and every attribute with its size, in order, integrity included."""
    found = []
    at = stun.HEADER
    while at + 4 <= len(data):
        name, size = int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])
        found.append((name, size))
        at += 4 + size + -size % 4
    return int.from_bytes(data[:2]), len(data), found


def names(packets: Sequence[bytes]) -> list[tuple[int, list[int]]]:
    """Types, and attributes in order."""
    return [(one, [name for name, _ in fields]) for one, _, fields in map(shape, packets)]


MEDIA_ENDS = [
    (drops("sound", way=True), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
    (drops("sound", way=False), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
    (drops("sound", way=True, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
    (drops("sound", way=False, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
]
"""What is dropped of sound, and what a call says of it."""
