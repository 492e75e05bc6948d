"""A censor's policy as values, and its one meaning: `Censor.judge`.

A signature is offsets, widths and allowed values: the predicate used here and the expression that
`circumtest.censor.nft` compiles come from the same values.  This file refuses to do I/O, to read
files (`circumtest.censor.load`) and to know any protocol (`circumtest.censor.signatures`).
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from random import Random
from typing import Protocol

import msgspec

from circumtest.model import Address, Transport

FLOW_MEMORY = 120.0
"""Seconds for which a recognised flow is remembered after its last packet."""
MAX_FLOWS = 65536
"""Flows a rule remembers.  A full memory lets new flows through: it never forgets a live one."""
PERMILLE = 1000
"""The grain of a probability, in the kernel and here."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at the censor: `payload` is the layer 4 payload, b"" for a bare TCP segment.

    `upwards` is whether it comes from the client's side.
    """

    transport: Transport
    source: Address
    destination: Address
    payload: bytes
    upwards: bool = True


class Verdict(Enum):
    PASS = "pass"
    DROP = "drop"


class Judge(Protocol):
    """What the simulator asks about every packet, in order of time."""

    def judge(self, packet: Packet, now: float) -> Verdict: ...


class Confidence(StrEnum):
    """How well something is known: seen on the wire, told by others, or supposed."""

    MEASURED = "measured"
    REPORTED = "reported"
    GUESSED = "guessed"


class Scope(StrEnum):
    """What a rule acts on: the packets that match, or every packet of a flow from a match on."""

    PACKET = "packet"
    FLOW = "flow"


class Way(StrEnum):
    """Which packets meet the action: those from the client's side, those towards it, or both."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"

    def includes(self, packet: Packet) -> bool:
        return self is Way.BOTH or (self is Way.UP) is packet.upwards


# ------------------------------------------------------------------ what is recognised


@dataclass(frozen=True, slots=True)
class Bits:
    """A test on the payload: `width` bits at bit `offset`, a big-endian number in low..high.

    A payload that ends before the tested bytes does not match.  `width` is 1 to 128, as in nft.
    """

    offset: int
    width: int
    low: int
    high: int

    def __post_init__(self) -> None:
        if not (self.offset >= 0 and 1 <= self.width <= 128):
            raise ValueError(f"a test of {self.width} bits at {self.offset} cannot be carried out")
        if not 0 <= self.low <= self.high < 1 << self.width:
            raise ValueError(f"{self.low:#x}..{self.high:#x} does not fit {self.width} bits")

    def matches(self, payload: bytes) -> bool:
        end = self.offset + self.width
        if len(payload) * 8 < end:
            return False
        number = int.from_bytes(payload[self.offset // 8 : (end + 7) // 8], "big")
        value = number >> (-end % 8) & (1 << self.width) - 1
        return self.low <= value <= self.high


def octets(offset: int, value: str) -> Bits:
    """A test that the bytes at byte `offset` equal `value` (hexadecimal, at most 16 bytes)."""
    raw = bytes.fromhex(value)
    number = int.from_bytes(raw, "big")
    return Bits(offset * 8, len(raw) * 8, number, number)


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of packet: transport, destination port, payload length and bits, all of them.

    `length` is least and most bytes of a datagram's payload.  TCP has no such thing: ValueError.
    """

    transport: Transport
    bits: tuple[Bits, ...] = ()
    length: tuple[int, int] | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        if self.length and self.transport is not Transport.UDP:
            raise ValueError("only a datagram has a length of its own")

    def matches(self, packet: Packet) -> bool:
        payload = packet.payload
        return (
            packet.transport is self.transport
            and (self.port is None or packet.destination.port == self.port)
            and (self.length is None or self.length[0] <= len(payload) <= self.length[1])
            and all(bits.matches(payload) for bits in self.bits)
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """What one protocol looks like in one packet: any of `shapes`.  `source` says who says so."""

    name: str
    shapes: tuple[Shape, ...]
    source: str
    confidence: Confidence

    def matches(self, packet: Packet) -> bool:
        return any(shape.matches(packet) for shape in self.shapes)


# ------------------------------------------------------------------ what is done about it


class Drop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="drop", tag_field="do"):
    """Every packet is dropped, silently."""


class Lose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="lose", tag_field="do"):
    """Each packet is dropped with `probability`, 0.001 to 0.999 in steps of 0.001."""

    probability: float

    def __post_init__(self) -> None:
        grain = self.probability * PERMILLE
        if not 0 < self.permille < PERMILLE or abs(grain - self.permille) > 1e-9:
            raise ValueError("`probability` is 0.001 to 0.999 in steps of 0.001")

    @property
    def permille(self) -> int:
        return round(self.probability * PERMILLE)


Action = Drop | Lose


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets that match any of `match` (or flows that had one) meet `action`.

    `after` is the number of packets of the flow, both directions together, that pass before the
    action begins; the packet itself counts, as in the kernel's `ct packets`.  `seconds` is how long
    after the flow's first packet it begins.  Packets of the other direction than `direction` are
    recognised and counted like all others, and pass.
    """

    id: str
    match: tuple[Signature, ...]
    action: Action
    scope: Scope
    after: int = 0
    seconds: float = 0.0
    direction: Way = Way.BOTH


@dataclass(frozen=True, slots=True)
class Policy:
    """A censor: rules in order; the first one that drops a packet decides.

    `evidence` are the observations that it models, `confidence` how well they are known.
    """

    name: str
    summary: str
    evidence: tuple[str, ...]
    confidence: Confidence
    rules: tuple[Rule, ...]


# ------------------------------------------------------------------ the meaning

Key = tuple[Transport, Address, Address]


def flow_of(packet: Packet) -> Key:
    """The same key for both directions of a flow."""
    one, other = sorted((packet.source, packet.destination))
    return packet.transport, one, other


class Memory:
    """Flows with a number each, forgotten `FLOW_MEMORY` seconds after they were last touched."""

    def __init__(self, size: int = MAX_FLOWS) -> None:
        self._size = size
        self._flows: OrderedDict[Key, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, key: Key, now: float) -> float | None:
        self._expire(now)
        return self._flows[key][1] if key in self._flows else None

    def put(self, key: Key, number: float, now: float) -> bool:
        """Remember, and begin the time anew; False when there is no room for another flow."""
        self._expire(now)
        if key not in self._flows and len(self._flows) >= self._size:
            return False
        self._flows[key] = (now, number)
        self._flows.move_to_end(key)
        return True

    def _expire(self, now: float) -> None:
        while self._flows:
            key, (touched, _) = next(iter(self._flows.items()))
            if now - touched < FLOW_MEMORY:
                return
            del self._flows[key]


class Censor:
    """A policy at work on packets in order of time: what the compiled ruleset does in the kernel.

    All chance comes from `seed`.  `hits` is how many packets each rule has dropped.
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        self.hits = {rule.id: 0 for rule in policy.rules}
        self._rules = policy.rules
        self._random = Random(seed)
        self._counts = Memory()
        self._flows = {rule.id: Memory() for rule in policy.rules}
        self._begun = {rule.id: Memory() for rule in policy.rules}

    def judge(self, packet: Packet, now: float) -> Verdict:
        key = flow_of(packet)
        before = self._counts.get(key, now) or 0
        count = before + 1
        guilty = next(self._guilty(packet, key, count, now), None)
        if guilty is None:
            self._counts.put(key, count, now)
            return Verdict.PASS
        self.hits[guilty.id] += 1
        # The kernel's count begins with the first packet that passes: a flow whose packets were all
        # dropped was never confirmed, and is a new one each time.
        if before:
            self._counts.put(key, count, now)
        return Verdict.DROP

    def _guilty(self, packet: Packet, key: Key, count: float, now: float) -> Iterator[Rule]:
        for rule in self._rules:
            old = self._old_enough(rule, key, now)
            concerns = self._concerns(rule, packet, key, now) and rule.direction.includes(packet)
            if concerns and old and count > rule.after:
                match rule.action:
                    case Drop():
                        yield rule
                    case Lose() as lose:
                        if self._random.randrange(PERMILLE) < lose.permille:
                            yield rule

    def _old_enough(self, rule: Rule, key: Key, now: float) -> bool:
        if not rule.seconds:
            return True
        begun = self._begun[rule.id].get(key, now)
        first = now if begun is None else begun
        return self._begun[rule.id].put(key, first, now) and now - first >= rule.seconds

    def _concerns(self, rule: Rule, packet: Packet, key: Key, now: float) -> bool:
        matched = any(signature.matches(packet) for signature in rule.match)
        if rule.scope is Scope.PACKET:
            return matched
        memory = self._flows[rule.id]
        if matched or memory.get(key, now) is not None:
            return memory.put(key, 0, now)
        return False
