"""What a NAT does with one socket that speaks to several: the mapping behaviour of RFC 5780.

Asked of one server that has two addresses (OTHER-ADDRESS), or of several plain ones: who is shown
different ports is behind a symmetric NAT.  It refuses to guess what a NAT lets in (filtering),
which needs a server that answers from elsewhere, and to decide by one answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from circumtest.model import Address, Cause
from circumtest.script import Arrival, Channel, Script, now, open_udp, recv, send
from circumtest.wire import stun

OTHER_ADDRESS = 0x802C
CHANGED_ADDRESS = 0x0005
"""What servers of RFC 3489 call it."""
SENDS = (0.0, 0.5, 1.2)
PATIENCE = 2.5
"""Seconds for each round of questions."""


class Mapping(StrEnum):
    """How a NAT chooses the port that others see (RFC 4787 4.1)."""

    SAME_FOR_ALL = "endpoint-independent"
    BY_ADDRESS = "address-dependent"
    BY_ADDRESS_AND_PORT = "address-and-port-dependent"
    DIFFERS = "address-or-port-dependent"
    """Several plain servers were shown different ports: which of the two cannot be told."""
    UNKNOWN = "unknown"

    @property
    def symmetric(self) -> bool:
        """Whether what one server sees is of no use to another."""
        return self in (self.BY_ADDRESS, self.BY_ADDRESS_AND_PORT, self.DIFFERS)


@dataclass(frozen=True)
class Seen:
    """What one server saw, and the other address that it says it has."""

    mapped: Address
    other: Address | None = None


@dataclass(frozen=True)
class Nat:
    """The mapping behaviour, and the address that was seen first (None where nobody answered)."""

    mapping: Mapping
    mapped: Address | None = None
    answers: int = 0


def mapping(servers: Sequence[Address], rng: Random) -> Script[Nat]:
    """Ask all servers from one socket, then the other addresses of the first that has one.

    Never fails for silence: that is UNKNOWN.  Raises HandshakeFailed without a route.
    """
    channel = yield from open_udp(servers[0])
    seen = yield from _ask(channel, _alike(servers), rng)
    if not seen:
        return Nat(Mapping.UNKNOWN)
    first, found = next(iter(seen.values())).mapped, compared(seen)
    precise = yield from _by_other_address(channel, seen, rng)
    if precise is not Mapping.UNKNOWN and found is not Mapping.SAME_FOR_ALL:
        found = precise
    return Nat(found, first, len(seen))


def asked_at_once(
    servers: Sequence[Address], rng: Random, patience: float = PATIENCE
) -> Script[dict[Address, Seen]]:
    """One round from one socket: what each server that answered saw, for `compared`."""
    channel = yield from open_udp(servers[0])
    return (yield from _ask(channel, _alike(servers), rng, min(patience, PATIENCE)))


def compared(seen: dict[Address, Seen]) -> Mapping:
    """What the ports that several servers saw of one socket say; UNKNOWN for fewer than two."""
    ports = {(server.host, one.mapped) for server, one in seen.items()}
    if len({host for host, _ in ports}) < 2:
        return Mapping.UNKNOWN
    return Mapping.DIFFERS if len({mapped for _, mapped in ports}) > 1 else Mapping.SAME_FOR_ALL


def _alike(servers: Sequence[Address]) -> list[Address]:
    """Those of the first one's IP version: a socket has one."""
    return [one for one in servers if one.version == servers[0].version]


def _by_other_address(channel: Channel, seen: dict[Address, Seen], rng: Random) -> Script[Mapping]:
    """RFC 5780 4.3: tests II and III, at the first server that names another address."""
    for server, one in seen.items():
        other = one.other
        if other is None or other.host == server.host or other.version != server.version:
            continue
        second = Address(other.host, server.port)
        answers = yield from _ask(channel, (second, other), rng)
        if second not in answers:
            continue
        if answers[second].mapped == one.mapped:
            return Mapping.SAME_FOR_ALL
        if other not in answers or other == second:
            return Mapping.DIFFERS
        same = answers[other].mapped == answers[second].mapped
        return Mapping.BY_ADDRESS if same else Mapping.BY_ADDRESS_AND_PORT
    return Mapping.UNKNOWN


def _ask(
    channel: Channel, servers: Iterable[Address], rng: Random, patience: float = PATIENCE
) -> Script[dict[Address, Seen]]:
    """A Binding to each, again while it is not answered; by server what it said."""
    asked = {server: rng.randbytes(12) for server in dict.fromkeys(servers)}
    seen: dict[Address, Seen] = {}
    start = yield from now()
    for until in (*(at for at in SENDS[1:] if at < patience), patience):
        for server, tid in asked.items():
            if server not in seen:
                yield from send(channel, stun.pack(stun.Message(stun.BINDING, tid)), server)
        while len(seen) < len(asked):
            arrival = yield from recv(start + until)
            if arrival is None:
                break
            _take(arrival, channel, asked, seen)
        if len(seen) == len(asked):
            break
    return {server: seen[server] for server in asked if server in seen}


def _take(
    arrival: Arrival, channel: Channel, asked: dict[Address, bytes], seen: dict[Address, Seen]
) -> None:
    if arrival.channel != channel or isinstance(arrival.data, Cause):
        return
    for server, tid in asked.items():
        if (answer := parse(arrival.data, tid)) is not None:
            seen[server] = answer


def parse(data: bytes, tid: bytes) -> Seen | None:
    """A Binding's success with this transaction id; None for anything else, whatever the bytes."""
    try:
        reply = stun.unpack(data)
        if reply.tid != tid or reply.type != stun.BINDING_OK:
            return None
        mapped = stun.parse_xor_address(reply.get(stun.XOR_MAPPED_ADDRESS) or b"", tid)
    except ValueError:
        return None
    other = reply.get(OTHER_ADDRESS) or reply.get(CHANGED_ADDRESS)
    return Seen(Address(*mapped), None if other is None else _plain(other))


def _plain(value: bytes) -> Address | None:
    """An address that is not XORed (RFC 8489 14.1), None for what is none."""
    mask = stun.COOKIE.to_bytes(4) + bytes(12)
    size = {8: 4, 20: 16}.get(len(value))
    if size is None:
        return None
    masked = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    port = int.from_bytes(value[2:4]) ^ (stun.COOKIE >> 16)
    try:
        whole = value[:2] + port.to_bytes(2) + masked
        return Address(*stun.parse_xor_address(whole, bytes(12)))
    except ValueError:
        return None
