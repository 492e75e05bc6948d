"""A WhatsApp call of the native application: allocates to all relays at once, media over one.

The packets are those of a call captured in February 2023; tokens and keys, which the real
application gets from its signalling, are drawn here and known to the far half by a secret.  It
refuses to replay a captured token, and it does not know what a real relay says to a drawn one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import warp
from circumtest.calls import Numbers
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, Pace, exchange, steady
from circumtest.media import Beat, Heard, media
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.script import (
    Answerer,
    Arrival,
    Channel,
    Listen,
    Script,
    Send,
    enter,
    note,
    now,
    open_udp,
    post,
    send,
)
from circumtest.wire import stun, whatsapp
from circumtest.wire.rtp import Frame
from circumtest.wire.whatsapp import NARROW, WIDE, Subscription

COPIES = 2
"""Requests to one relay, sent one right after the other: the application's redundancy."""
REPEAT = 1.0
"""Seconds until unanswered requests are made again, as two open clients do it (10 s in all)."""
PING_EVERY = 3.0
MAX_EARLY = 512
"""Media packets kept that came before the media stage began."""
_PREFIX = 8


@dataclass(frozen=True)
class WhatsappCall:
    """Call through `relays` relays; `secret` is what the far half knows tokens and keys by."""

    relays: Annotated[int, Meta(ge=3, le=5)] = 5
    port: Annotated[int, Meta(ge=1, le=65535)] = 3478
    level: Level = Level.QUICK
    secret: str = "circumtest lab"
    handoff: bool = False
    """Set up in the tunnel, continued outside of it: in the inside arm only."""

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.ALLOCATE,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = "whatsapp-message"
    app: ClassVar[str] = "whatsapp-call"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port, self.relays)

    @property
    def opening(self) -> int:
        relay = ("192.0.2.1", self.port)
        return len(whatsapp.allocate(bytes(12), bytes(whatsapp.TOKEN_SIZE), relay, b""))

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Any relay that answers is enough; the first to answer a re-allocate carries the media.

        Whatever becomes of the call, every relay is told 0x0800 once one has answered.
        """
        return self._call(target, rng, None)

    def moved(
        self, target: Sequence[Address], rng: Random, cross: Callable[[], None]
    ) -> Script[None]:
        """The same; pings and sound leave from a new channel, and nothing of the set-up again."""
        return self._call(target, rng, cross)

    def _call(
        self, target: Sequence[Address], rng: Random, cross: Callable[[], None] | None
    ) -> Script[None]:
        pace = PACES[self.level]
        yield from enter(Stage.ALLOCATE)
        channel = yield from open_udp(target[0])
        caller = _Caller(channel, target, rng, self.secret)
        offsets = steady(REPEAT, pace.patience)
        answered = yield from caller.ask(caller.allocates, offsets, pace.patience)
        yield from note(answered.seen)
        try:
            yield from self._talk(caller, pace, cross)
        except HandshakeFailed:
            yield from caller.hang_up()
            raise
        yield from caller.hang_up()

    def _talk(
        self, caller: "_Caller", pace: Pace, cross: Callable[[], None] | None
    ) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        until = (yield from now()) + pace.patience
        offsets = steady(REPEAT, pace.patience)
        answered = yield from caller.ask(caller.reallocates, offsets, pace.patience)
        leg = caller.leg(answered.relay)
        left = until - (yield from now())
        yield from exchange(leg.ping, leg.ponged, steady(REPEAT, left), left)
        if cross is not None:
            cross()
            leg = caller.moved(answered.relay, (yield from open_udp(answered.relay.address)))
            # A client pings all through a call: who drops pings ends this one at once.
            for item in leg.ping():
                yield from post(item)
        beats = (Beat(PING_EVERY, leg.ping),)
        yield from media(leg, None, seconds=pace.media, beats=beats, early=leg.early)

    def answerer(self) -> Answerer:
        return warp.WarpRelay(self.secret, follows=self.handoff)


@dataclass(frozen=True, slots=True)
class _Relay:
    """A relay as the call's signalling names it: address, token, key."""

    address: Address
    token: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class _Answered:
    """The relay that answered, and the address it saw."""

    relay: _Relay
    seen: Address


class _Caller:
    """What lasts for the whole call: the relays, the streams, the count of transactions."""

    def __init__(
        self, channel: Channel, target: Sequence[Address], rng: Random, secret: str
    ) -> None:
        self._channel, self._rng, self._secret = channel, rng, secret
        self._relays = tuple(_draw(address, rng, secret) for address in target)
        self._prefix = rng.randbytes(_PREFIX)
        self._count = rng.getrandbits(31)
        self._asked: dict[bytes, _Relay] = {}
        self._refused: dict[_Relay, str] = {}
        self.ssrc = rng.getrandbits(32)
        self._streams = (
            Subscription(rng.getrandbits(32), rng.randbytes(8), WIDE),
            Subscription(rng.getrandbits(32), rng.randbytes(8), NARROW),
            Subscription(self.ssrc, rng.randbytes(8), WIDE),
        )

    def tid(self) -> bytes:
        """The session's prefix and a counter that grows by one with every packet."""
        self._count += 1
        return self._prefix + self._count.to_bytes(4)

    def allocates(self) -> Iterable[Send]:
        for relay, tid in self._transactions():
            data = whatsapp.allocate(tid, relay.token, relay.address, relay.key)
            yield Send(self._channel, data, relay.address)

    def reallocates(self) -> Iterable[Send]:
        for relay, tid in self._transactions():
            data = whatsapp.reallocate(tid, relay.token, self._streams, relay.address, relay.key)
            yield Send(self._channel, data, relay.address)

    def _transactions(self) -> Iterable[tuple[_Relay, bytes]]:
        for relay in self._relays:
            for _ in range(COPIES):
                tid = self.tid()
                self._asked[tid] = relay
                yield relay, tid

    def ask(
        self, request: Callable[[], Iterable[Send]], offsets: Sequence[float], patience: float
    ) -> Script[_Answered]:
        """The first relay that answers a request of this asking.

        Raises HandshakeFailed ERROR_REPLY when all refused, or some did and the others are silent.
        """
        self._asked.clear()
        self._refused.clear()
        try:
            return (yield from exchange(request, self._answered, offsets, patience))
        except HandshakeFailed as error:
            if self._refused and error.cause is not Cause.ERROR_REPLY:
                raise self._refusal() from error
            raise

    def _answered(self, arrival: Arrival) -> _Answered | None:
        if isinstance(arrival.data, Cause):
            return None
        try:
            reply = stun.unpack(arrival.data)
            relay = self._asked.get(reply.tid)
            if relay is None:
                return None
            sealed = stun.authentic(arrival.data, relay.key)
        except ValueError:
            return None
        if reply.type == whatsapp.ALLOCATE_ERROR:
            self._note_refusal(relay, reply, sealed=sealed)
        elif reply.type == whatsapp.ALLOCATE_OK and sealed:
            value = reply.get(stun.XOR_MAPPED_ADDRESS) or b""
            try:
                return _Answered(relay, Address(*stun.parse_xor_address(value, reply.tid)))
            except ValueError as error:
                raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        return None

    def _note_refusal(self, relay: _Relay, reply: stun.Message, *, sealed: bool) -> None:
        """Remember it: another relay may still answer."""
        if not sealed:
            return
        try:
            code, reason = stun.error_code(reply.get(stun.ERROR_CODE) or b"")
        except ValueError:
            return
        self._refused[relay] = f"{code} {reason}".strip()
        if len(self._refused) == len(self._relays):
            raise self._refusal()

    def _refusal(self) -> HandshakeFailed:
        return HandshakeFailed(Cause.ERROR_REPLY, next(iter(self._refused.values())))

    def leg(self, relay: _Relay) -> "_Leg":
        return _Leg(self, self._channel, relay, self._secret)

    def moved(self, relay: _Relay, channel: Channel) -> "_Leg":
        """The leg from a new channel, by which everything is sent from now on."""
        self._channel = channel
        return _Leg(self, channel, relay, self._secret, anew=True)

    def hang_up(self) -> Script[None]:
        for relay in self._relays:
            data = whatsapp.hang_up(self.tid(), relay.token, relay.address, relay.key)
            yield from send(self._channel, data, relay.address)


class _Leg:
    """Pings and media with the one relay that carries the call."""

    def __init__(
        self, caller: _Caller, channel: Channel, relay: _Relay, secret: str, *, anew: bool = False
    ) -> None:
        self._caller, self._channel, self._relay = caller, channel, relay
        self._numbers = Numbers(anew=anew)
        self._up = warp.media_key(secret, relay.token, "up")
        self._down = warp.media_key(secret, relay.token, "down")
        self._pings: set[bytes] = set()
        self.early: list[Arrival] = []

    def ping(self) -> Iterable[Send]:
        tid = self._caller.tid()
        self._pings.add(tid)
        yield Send(self._channel, whatsapp.ping(tid), self._relay.address)

    def ponged(self, arrival: Arrival) -> bool | None:
        """True for the answer to one of our pings.  Media that overtook it is kept for later."""
        if isinstance(arrival.data, Cause):
            return None
        if arrival.data[:1] == b"\x90":
            if len(self.early) < MAX_EARLY:
                self.early.append(arrival)
            return None
        try:
            reply = stun.unpack(arrival.data)
        except ValueError:
            return None
        return True if reply.type == whatsapp.PONG and reply.tid in self._pings else None

    def encode(self, seq: int, at: float) -> Send:
        frame = Frame.silent(seq, at)
        data = warp.seal(frame, self._caller.ssrc, self._up)
        return Send(self._channel, data, self._relay.address)

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        if isinstance(arrival.data, Cause) or arrival.channel != self._channel:
            return ()
        try:
            return self._numbers.count(warp.unseal(arrival.data, self._down)[1])
        except ValueError:
            return ()


def _draw(address: Address, rng: Random, secret: str) -> _Relay:
    tail = whatsapp.TOKEN_SIZE - len(whatsapp.TOKEN_PREFIX)
    token = whatsapp.TOKEN_PREFIX + rng.randbytes(tail)
    return _Relay(address, token, warp.integrity_key(secret, token))
