"""A Zoom call of the native application: its own STUN to two controllers, then one media server.

The request, its answer and the first packets of a media flow are those of a capture of about 2020;
what fills the latter is drawn, and sound has the head that a published dissector gives it.  It
refuses to imitate what nobody has described: signalling, keep-alives, the flow's end.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import calls
from circumtest.calls import Calls, Leg, converse, derive
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, Pace, exchange, steady
from circumtest.media import Heard
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.pipe import Straight
from circumtest.script import (
    Answerer,
    Arrival,
    Channel,
    Emit,
    Flow,
    Listen,
    Script,
    Send,
    enter,
    note,
    open_udp,
)
from circumtest.wire import rtp, zoom
from circumtest.wire.rtp import Frame
from circumtest.wire.zoom import GO, GONE, OPENED, OPENING

CONTROLLERS = 2
COPIES, APART = 3, 0.01
"""Requests to one place, and the seconds between them: the application's redundancy."""
REPEAT = 1.0
"""Seconds until unanswered requests are made again; the application's own are not known."""
MEDIA_PORT = 8801
_AUDIO, _CLOCK, _PROFILE = 112, 640, 0xBEDE
_EXTENSION = bytes(4)
_HALF = zoom.TID // 2
_NONCE = 16
_TICKET = 12
_PROOF = 16


@dataclass(frozen=True)
class ZoomCall:
    """Ask `port` and the next one of two controllers, then talk to a third host's 8801."""

    port: Annotated[int, Meta(ge=1, le=65534)] = 3478
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.BINDING,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "zoom-call"
    far: ClassVar[str] = ""

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port, CONTROLLERS + 1)

    @property
    def also(self) -> tuple[Listen, ...]:
        ports = (self.port + 1, MEDIA_PORT)
        return tuple(Listen(Transport.UDP, port, CONTROLLERS + 1) for port in ports)

    @property
    def opening(self) -> int:
        return zoom.ASK_SIZE

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """One controller that answers is enough.  Media has a port of its own, as captured."""
        pace = PACES[self.level]
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(target[0])
        second = target[CONTROLLERS - 1]
        places = (*target[:CONTROLLERS], second._replace(port=self.port + 1))
        controllers = _Controllers(channel, places, rng, self.secret)
        bursts = steady(REPEAT, pace.patience)
        offsets = [burst + APART * copy for burst in bursts for copy in range(COPIES)]
        seen = yield from exchange(controllers.ask, controllers.told, offsets, pace.patience)
        yield from note(seen)
        yield from self._talk(target[CONTROLLERS]._replace(port=MEDIA_PORT), rng, pace)

    def _talk(self, remote: Address, rng: Random, pace: Pace) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_udp(remote)
        offsets = steady(REPEAT, pace.patience)
        caller = _Caller(Straight(channel, remote), rng, self.secret)
        yield from exchange(caller.open, caller.opened, offsets, pace.patience)
        yield from exchange(caller.go, caller.gone, offsets, pace.patience)
        yield from converse(caller.leg, seconds=pace.media)

    def answerer(self) -> Answerer:
        return ZoomServer(self.secret)


class _Controllers:
    """What was asked where, how often, and whether it was answered."""

    def __init__(
        self, channel: Channel, places: Sequence[Address], rng: Random, secret: str
    ) -> None:
        self._pipes = [Straight(channel, place) for place in places]
        halves = [rng.randbytes(_HALF) for _ in places]
        self._tids = [half + _binding(secret, half) for half in halves]
        self._copies = 0

    def ask(self) -> Iterable[Send]:
        self._copies += 1
        for pipe, tid in zip(self._pipes, self._tids, strict=True):
            yield pipe.encode(zoom.ask(tid))

    def told(self, arrival: Arrival) -> Address | None:
        """The address seen.  All copies of the first burst leave, however soon one is answered."""
        for pipe, tid in zip(self._pipes, self._tids, strict=True):
            for data in pipe.decode(arrival):
                if zoom.is_answer(data, tid):
                    try:
                        seen = Address(*zoom.parse_answer(data))
                    except ValueError as error:
                        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
                    return seen if self._copies >= COPIES else None
        return None


class _Caller:
    """The caller's half with the media server: the flow is opened in two steps, then sound."""

    def __init__(self, pipe: Straight, rng: Random, secret: str) -> None:
        self._pipe, self._secret = pipe, secret
        self._nonce = rng.randbytes(_NONCE)
        room = zoom.SIZES[OPENING] - len(zoom.HEADS[OPENING]) - _NONCE - _PROOF
        body = self._nonce + _proof(secret, self._nonce) + rng.randbytes(room)
        self._opening = zoom.pack(OPENING, body)
        self._ticket = b""
        up, down = (derive(secret, way, self._nonce) for way in ("up", "down"))

        def pack(frame: Frame) -> bytes:
            return _pack(frame, self._nonce, up, upwards=True)

        def unpack(data: bytes) -> Heard:
            return calls.unseal(zoom.unwrap(data, upwards=False), down)

        self.leg = Leg(pipe, pack, unpack)

    def open(self) -> Iterable[Send]:
        yield self._pipe.encode(self._opening)

    def opened(self, arrival: Arrival) -> bool | None:
        """True for the server's own answer, whose ticket goes back to it."""
        body = self._body(arrival, OPENED) or b""
        self._ticket, proof = body[:_TICKET], body[_TICKET:]
        expected = _greeting(self._secret, self._nonce, self._ticket)
        return True if hmac.compare_digest(proof, expected) else None

    def go(self) -> Iterable[Send]:
        yield self._pipe.encode(zoom.pack(GO, self._ticket))

    def gone(self, arrival: Arrival) -> bool | None:
        """True for the go-ahead of this call.  Sound that overtook it is kept for later."""
        body = self._body(arrival, GONE)
        if body is None:
            self.leg.overhear(arrival)
            return None
        return True if hmac.compare_digest(body, _go_ahead(self._secret, self._nonce)) else None

    def _body(self, arrival: Arrival, wanted: int) -> bytes | None:
        for data in self._pipe.decode(arrival):
            try:
                kind, body = zoom.unpack(data)
            except ValueError:
                continue
            if kind == wanted:
                return body
        return None


# ------------------------------------------------------------------ what the secret proves


def _binding(secret: str, half: bytes) -> bytes:
    return derive(secret, "binding", half)[:_HALF]


def _proof(secret: str, nonce: bytes) -> bytes:
    return derive(secret, "opening", nonce)[:_PROOF]


def _ticket(secret: str, nonce: bytes, caller: Address) -> bytes:
    """Of one call from one address: who repeats another's opening does not get another's."""
    return derive(secret, "ticket", nonce + str(caller).encode())[:_TICKET]


def _greeting(secret: str, nonce: bytes, ticket: bytes) -> bytes:
    room = zoom.SIZES[OPENED] - len(zoom.HEADS[OPENED]) - _TICKET
    return derive(secret, "opened", nonce + ticket)[:room]


def _go_ahead(secret: str, nonce: bytes) -> bytes:
    return derive(secret, "go", nonce)[:_TICKET]


def _pack(frame: Frame, nonce: bytes, key: bytes, *, upwards: bool) -> bytes:
    ssrc = int.from_bytes(nonce[:4]) ^ (not upwards)
    header = rtp.Header(
        _AUDIO, frame.seq, frame.seq * _CLOCK, ssrc, profile=_PROFILE, extension=_EXTENSION
    )
    return zoom.wrap(calls.seal(header, frame, key), upwards=upwards)


# ------------------------------------------------------------------ the far half


class ZoomServer:
    """Controllers and media server in one: it answers less than it was sent, to who proves himself.

    Sound goes only to an address that has sent back the ticket which it was sent.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._calls = Calls()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if len(data) == zoom.ASK_SIZE:
            return self._bind(flow, data)
        try:
            kind, body = zoom.unpack(data)
        except ValueError:
            self._hear(flow, data, now)
            return ()
        if kind == OPENING:
            return self._open(flow, body)
        return self._go(flow, body, now) if kind == GO else ()

    def timer(self) -> float | None:
        return self._calls.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        for call, frame in self._calls.tick(now):
            key = derive(self._secret, "down", call.id)
            yield Emit(call.flow, _pack(frame, call.id, key, upwards=False))

    def _bind(self, flow: Flow, data: bytes) -> Iterable[Emit]:
        try:
            tid = zoom.parse_ask(data)
        except ValueError:
            return ()
        if not hmac.compare_digest(tid[_HALF:], _binding(self._secret, tid[:_HALF])):
            return ()
        return (Emit(flow, zoom.answer(tid, *flow.remote)),)

    def _open(self, flow: Flow, body: bytes) -> Iterable[Emit]:
        nonce, proof = body[:_NONCE], body[_NONCE : _NONCE + _PROOF]
        if not hmac.compare_digest(proof, _proof(self._secret, nonce)):
            return ()
        self._calls.admit(flow, nonce)
        ticket = _ticket(self._secret, nonce, flow.remote)
        greeting = _greeting(self._secret, nonce, ticket)
        return (Emit(flow, zoom.pack(OPENED, ticket + greeting)),)

    def _go(self, flow: Flow, body: bytes, now: float) -> Iterable[Emit]:
        call = self._calls.get(flow)
        if call is None or not hmac.compare_digest(
            body, _ticket(self._secret, call.id, flow.remote)
        ):
            return ()
        self._calls.talk(call, now)
        return (Emit(flow, zoom.pack(GONE, _go_ahead(self._secret, call.id))),)

    def _hear(self, flow: Flow, data: bytes, now: float) -> None:
        if (call := self._calls.get(flow)) is None:
            return
        try:
            packet = zoom.unwrap(data, upwards=True)
            heard = calls.unseal(packet, derive(self._secret, "up", call.id))
        except ValueError:
            return
        self._calls.hear(call, heard, now)
