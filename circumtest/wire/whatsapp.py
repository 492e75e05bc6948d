"""WhatsApp's relay dialect of STUN, as its native application spoke it in February 2023.

Builders of the packets a call setup exchanges with its relays, and a parser of requests.  Layouts
are facts read from published captures and clients (see docs/handshakes/whatsapp-call.md).  It
refuses to guess: what the 2026 clients send beyond this is left out.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from circumtest.wire import stun

ALLOCATE = 0x0003
ALLOCATE_OK = 0x0103
ALLOCATE_ERROR = 0x0113
HANG_UP = 0x0800
PING = 0x0801
PONG = 0x0802

TOKEN = 0x4000
CLOCK = 0x4002
SUBSCRIPTION = 0x0022
_LAST_WORD = 0x802B

TOKEN_SIZE = 150
TOKEN_PREFIX = b"\x09\x02"
PAYLOAD_TYPE = 120
PROFILE = 0xDEBE
EXTENSION = bytes.fromhex("30010000")
"""What the media's header extension holds in many packets; its meaning is not known."""

Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One attribute 0x0022: `03`, a stream's SSRC, 8 opaque bytes, and a tail."""

    ssrc: int
    opaque: bytes
    tail: bytes

    def pack(self) -> bytes:
        return b"\x03" + struct.pack("!I", self.ssrc) + self.opaque + self.tail


WIDE, NARROW = bytes.fromhex("013000"), b"\0"
"""Tails seen: 16-byte subscriptions end in the one, the 14-byte one in the middle in the other."""


def allocate(tid: bytes, token: bytes, relay: Host, key: bytes) -> bytes:
    """The first request to a relay: 212 bytes over IPv4."""
    return _request(ALLOCATE, tid, token, (), relay, key)


def reallocate(
    tid: bytes, token: bytes, subscriptions: Sequence[Subscription], relay: Host, key: bytes
) -> bytes:
    """The request when the other side accepts: 272 bytes over IPv4 with three subscriptions."""
    extra = tuple((SUBSCRIPTION, item.pack()) for item in subscriptions)
    return _request(ALLOCATE, tid, token, extra, relay, key)


def hang_up(tid: bytes, token: bytes, relay: Host, key: bytes) -> bytes:
    """The last packet to a relay: 220 bytes over IPv4."""
    return _request(HANG_UP, tid, token, ((_LAST_WORD, bytes(4)),), relay, key)


def ping(tid: bytes) -> bytes:
    """The keep-alive: 20 bytes."""
    return stun.pack(stun.Message(PING, tid))


def pong(tid: bytes) -> bytes:
    """Its answer: 20 bytes."""
    return stun.pack(stun.Message(PONG, tid))


def allocate_ok(tid: bytes, seen: Host, clock: float, key: bytes) -> bytes:
    """A relay's answer: the address it saw and its clock, 68 bytes over IPv4."""
    attributes = (
        (stun.XOR_MAPPED_ADDRESS, stun.xor_address(*seen, tid)),
        (CLOCK, struct.pack("!Q", round(clock * 1000))),
    )
    return stun.pack(stun.Message(ALLOCATE_OK, tid, attributes), key)


def allocate_error(tid: bytes, code: int, reason: str, key: bytes) -> bytes:
    """A relay's refusal."""
    attributes = ((stun.ERROR_CODE, stun.pack_error(code, reason)),)
    return stun.pack(stun.Message(ALLOCATE_ERROR, tid, attributes), key)


def parse_token(message: stun.Message) -> bytes:
    """The token of a request to a relay.  Raises ValueError when there is none of that kind."""
    token = message.get(TOKEN) or b""
    if len(token) != TOKEN_SIZE:
        raise ValueError("no relay token")
    return token


def own_stream(message: stun.Message) -> int | None:
    """The SSRC that a re-allocate names as the caller's own, the last one; None where it has none.

    Raises ValueError for a malformed subscription.
    """
    named = [value for kind, value in message.attributes if kind == SUBSCRIPTION]
    if not named:
        return None
    if len(named[-1]) < 13 or named[-1][0] != 3:
        raise ValueError("malformed subscription")
    return int.from_bytes(named[-1][1:5])


def _request(
    kind: int,
    tid: bytes,
    token: bytes,
    extra: tuple[tuple[int, bytes], ...],
    relay: Host,
    key: bytes,
) -> bytes:
    address = (stun.XOR_RELAYED_ADDRESS, stun.xor_address(*relay, tid))
    return stun.pack(stun.Message(kind, tid, ((TOKEN, token), *extra, address)), key)
