"""A censor's policy as values: what is recognised, and what is done about it.

Its one meaning is `circumtest.censor.judge`.  A signature that one packet is enough for is offsets,
widths and allowed values, from which `circumtest.censor.nft` makes the kernel's expression; one
that needs more is a function of what was seen of the flow.  This file refuses to do I/O, to read
files (`circumtest.censor.load`) and to know any protocol (`circumtest.censor.signatures`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

import msgspec

from circumtest.censor.packet import Packet
from circumtest.model import Transport

FLOW_MEMORY = 120.0
"""Seconds for which a recognised flow is remembered after its last packet."""
MAX_FLOWS = 65536
"""Flows a rule remembers.  A full memory lets new flows through: it never forgets a live one."""
PERMILLE = 1000
"""The grain of a probability, in the kernel and here."""


class Confidence(StrEnum):
    """How well something is known: seen on the wire, told by others, or supposed."""

    MEASURED = "measured"
    REPORTED = "reported"
    GUESSED = "guessed"


class Scope(StrEnum):
    """What a rule acts on, from a match on.

    The packets that match; every packet of a flow; of a triple (client, server, its port), new
    flows too; or of a server's address, whoever talks to it.
    """

    PACKET = "packet"
    FLOW = "flow"
    TRIPLE = "triple"
    ADDRESS = "address"


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


class Seen(Protocol):
    """What a signature may ask about a flow so far, this packet included.

    `up` and `down` are the first bytes of a stream, in order, or the first datagram of either
    direction; `sizes` the payload lengths of the first packets that had one, those towards the
    client negative.  `payloads` counts all packets that had one.
    """

    @property
    def up(self) -> bytes: ...
    @property
    def down(self) -> bytes: ...
    @property
    def sizes(self) -> Sequence[int]: ...
    @property
    def payloads(self) -> int: ...
    @property
    def hello(self) -> "Hello | None":
        """The TLS, DTLS or QUIC ClientHello that the client began with, once it is whole."""
        ...


@dataclass(frozen=True, slots=True)
class Hello:
    """What a ClientHello shows to everybody: the server's name, its JA4, whether it has ECH."""

    name: str
    ja4: str
    ech: bool = False


Sees = Callable[[Packet, Seen], bool]


@dataclass(frozen=True, slots=True)
class Signature:
    """What one protocol looks like: any of `shapes` in one packet, or what `sees` finds in a flow.

    `source` says who says so.
    """

    name: str
    shapes: tuple[Shape, ...]
    source: str
    confidence: Confidence
    sees: Sees | None = None

    def matches(self, packet: Packet, seen: Seen | None = None) -> bool:
        """Whether the packet shows it, alone or by what was `seen` of its flow."""
        if any(shape.matches(packet) for shape in self.shapes):
            return True
        return self.sees is not None and seen is not None and self.sees(packet, seen)


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


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reset", tag_field="do"):
    """TCP only: dropped, and both ends are reset."""


class Reject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reject", tag_field="do"):
    """Dropped, and the sender is told by ICMP; `admin`: administratively prohibited."""

    admin: bool = False


class Police(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="police", tag_field="do"):
    """What is more than `rate` bytes a second, each direction of a flow by itself, is dropped.

    `rate` + `burst` bytes may come at once, as in the kernel's `limit`.  Headers count.
    """

    rate: int
    burst: int = 8192

    def __post_init__(self) -> None:
        if not (100 <= self.rate <= 1 << 30 and 1500 <= self.burst <= 1 << 24):
            raise ValueError("`rate` is 100 to 2^30 bytes a second, `burst` 1500 to 2^24 bytes")


class Delay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="delay", tag_field="do"):
    """Held back for `seconds`, 0.001 to 10."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0.001 <= self.seconds <= 10:
            raise ValueError("`seconds` is 0.001 to 10")


class Poison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="poison", tag_field="do"):
    """A DNS question over UDP gets a forged answer first; it passes, and the true one comes later.

    `address` is what A and AAAA questions are told, "" for "there is no such name".
    """

    address: str = ""

    def __post_init__(self) -> None:
        if self.address:
            ip_address(self.address)


Action = Drop | Lose | Reset | Reject | Police | Delay | Poison

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets that match any of `match` (or what `scope` makes of a match) meet `action`.

    Narrowed by: `to`, prefixes of the server; `ports` of the server, as ranges; `names` and `ja4`,
    patterns for its ClientHello; `unless`, signatures that spare a whole flow, and `unless_names`,
    patterns for a server's name that do (a TLS flow is left alone until it is told); `first`, the
    number of packets with a payload of a flow that are looked at (0: all); `concurrent`, more than
    so many flows of one client to the server's network (/24, /64) that match and have not ended;
    `chance` that a match is taken at all, drawn once a flow.

    `after` is the number of packets of the flow, both directions together, that pass before the
    action begins (the packet itself counts, as in the kernel's `ct packets`), `after_bytes` that of
    bytes with headers.  Where a place is remembered (triple, address) a flow matches when it has
    got so far, and from then on everything of the place meets the action.  `seconds` is how long
    after the flow's first packet the action begins; of an address, after the first match.  Packets
    of the other direction than `direction` are recognised and counted like all others, and pass.
    `hold` is for how many seconds a match is remembered: of a flow since its last packet, of a
    place since the last match.
    """

    id: str
    match: tuple[Signature, ...]
    action: Action
    scope: Scope
    after: int = 0
    seconds: float = 0.0
    direction: Way = Way.BOTH
    to: tuple[Prefix, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    ja4: tuple[str, ...] = ()
    unless: tuple[Signature, ...] = ()
    unless_names: tuple[str, ...] = ()
    first: int = 0
    concurrent: int = 0
    chance: float = 1.0
    after_bytes: int = 0
    hold: float = FLOW_MEMORY

    @property
    def of_places(self) -> bool:
        """Whether what a match is remembered of is no flow."""
        return self.scope in (Scope.TRIPLE, Scope.ADDRESS)

    @property
    def simple(self) -> bool:
        """Whether one packet and counts are enough to judge by: then the kernel can."""
        return (
            all(signature.sees is None for signature in self.match)
            and not (self.names or self.ja4 or self.unless or self.unless_names)
            and not (self.first or self.concurrent)
            and self.chance == 1.0
            and isinstance(self.action, Drop | Lose | Reject | Police)
        )


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link is like, each direction by itself: none of it is a censor's doing.

    Seconds of `delay` and `jitter` (standard deviation), shares that are lost and that overtake
    (`reorder`), `rate` in bytes a second (0: as fast as it goes), `mtu` in bytes (0: 1500).  `link`
    is the lab's cable to the "client", the "services" or the "exit".
    """

    link: str = "client"
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    rate: int = 0
    mtu: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.delay <= 10 and 0 <= self.jitter <= 10):
            raise ValueError("`delay` and `jitter` are 0 to 10 seconds")
        if not (0 <= self.loss <= 1 and 0 <= self.reorder <= 1):
            raise ValueError("`loss` and `reorder` are shares, 0 to 1")
        if self.rate < 0 or 0 < self.rate < 1000:
            raise ValueError("`rate` is 1000 bytes a second or more, or 0")


@dataclass(frozen=True, slots=True)
class Policy:
    """A censor: rules in order, simple ones before others; the first that acts on a packet decides.

    `evidence` are the observations that it models, `confidence` how well they are known; `network`
    is what the links are like meanwhile.
    """

    name: str
    summary: str
    evidence: tuple[str, ...]
    confidence: Confidence
    rules: tuple[Rule, ...]
    network: tuple[Conditions, ...] = ()

    def scaled(self, factor: float) -> "Policy":
        """The same with its times made shorter (or longer): what takes a censor ten minutes can be
        tested in seconds.

        Scaled are when rules begin (`seconds`) and how long places are remembered (`hold`), to the
        millisecond; not rates, nor how long a flow is.
        """
        return replace(self, rules=tuple(_scaled(rule, factor) for rule in self.rules))


def _scaled(rule: Rule, factor: float) -> Rule:
    hold = max(round(rule.hold * factor, 3), 0.001) if rule.of_places else rule.hold
    return replace(rule, seconds=round(rule.seconds * factor, 3), hold=hold)
