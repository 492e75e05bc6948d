"""A Discord voice connection: IP discovery, keep-alive, sound, all on one UDP port.

The packets are those of a capture of 2022.  SSRC and server come from the voice gateway, which is
not played: the SSRC is drawn here, and the two junk bytes of discovery prove to the far half that
the caller knows the secret.  It refuses to imitate the gateway, and the sealing that has been put
around sound since.
"""

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import calls
from circumtest.calls import Call, Calls, Leg, Numbers, converse, derive
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, exchange, steady
from circumtest.media import Beat, Heard
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.pipe import Straight
from circumtest.script import (
    Answerer,
    Arrival,
    Emit,
    Flow,
    Listen,
    Script,
    Send,
    enter,
    note,
    open_udp,
)
from circumtest.wire import discord, rtp
from circumtest.wire.rtp import Frame

REPEAT = 1.0
"""Seconds until an unanswered request is made again; the application's own are not known."""
KEEP_ALIVE_EVERY = 5.0
SSRC = 24
"""Bits of an SSRC that are drawn: the gateway's are small numbers."""
MAX_HOLDERS = 512
"""SSRCs whose host is remembered; the oldest is forgotten first."""


@dataclass(frozen=True)
class DiscordVoice:
    """Speak to one voice server; `secret` is what the far half knows callers by."""

    port: Annotated[int, Meta(ge=1, le=65535)] = 50004
    level: Level = Level.QUICK
    secret: str = "circumtest lab"
    handoff: bool = False
    """Set up in the tunnel, continued outside of it: in the inside arm only."""

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.BINDING,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "discord-voice"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port)

    @property
    def opening(self) -> int:
        return discord.SIZE

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Discovery says which address was seen; the first keep-alive's answer opens the sound."""
        return self._call(target, rng, None)

    def moved(
        self, target: Sequence[Address], rng: Random, cross: Callable[[], None]
    ) -> Script[None]:
        """The same; sound and keep-alives leave from a new channel, without another discovery."""
        return self._call(target, rng, cross)

    def _call(
        self, target: Sequence[Address], rng: Random, cross: Callable[[], None] | None
    ) -> Script[None]:
        pace = PACES[self.level]
        offsets = steady(REPEAT, pace.patience)
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(target[0])
        caller = _Caller(Straight(channel, target[0]), rng.getrandbits(SSRC), self.secret)
        seen = yield from exchange(caller.discover, caller.discovered, offsets, pace.patience)
        yield from note(seen)
        yield from enter(Stage.CONNECTIVITY)
        yield from exchange(caller.keep_alive, caller.kept, offsets, pace.patience)
        if cross is not None:
            cross()
            caller.move(Straight((yield from open_udp(target[0])), target[0]))
        beats = (Beat(KEEP_ALIVE_EVERY, caller.keep_alive),)
        yield from converse(caller.leg, seconds=pace.media, beats=beats)

    def answerer(self) -> Answerer:
        return VoiceServer(self.secret, follows=self.handoff)


def _tail(secret: str, ssrc: int) -> int:
    """The junk that proves who asks; sixteen bits are all the room that there is."""
    return int.from_bytes(derive(secret, "discovery", ssrc.to_bytes(4))[:2])


def _pack(frame: Frame, ssrc: int, key: bytes) -> bytes:
    # In captures these four bytes are sealed with the sound: they look drawn.
    extension = hmac.digest(key, frame.seq.to_bytes(4), "sha256")[:4]
    return calls.seal(discord.header(frame.seq, ssrc, extension), frame, key)


class _Caller:
    """What lasts for the whole call: the way to the server, the SSRC, the count of keep-alives."""

    def __init__(self, pipe: Straight, ssrc: int, secret: str) -> None:
        self._pipe, self._ssrc, self._secret = pipe, ssrc, secret
        self._count = 0
        up, down = (derive(secret, way, ssrc.to_bytes(4)) for way in ("up", "down"))

        def pack(frame: Frame) -> bytes:
            return _pack(frame, ssrc, up)

        def unpack(data: bytes) -> Heard:
            return calls.unseal(data, down)

        self.leg = Leg(pipe, pack, unpack)
        self._sound = pack, unpack

    def move(self, pipe: Straight) -> None:
        """Go on by another way: its sound is numbered anew."""
        self._pipe = pipe
        self.leg = Leg(pipe, *self._sound)
        self.leg.numbers = Numbers(anew=True)

    def discover(self) -> Iterable[Send]:
        yield self._pipe.encode(discord.ask(self._ssrc, _tail(self._secret, self._ssrc)))

    def discovered(self, arrival: Arrival) -> Address | None:
        for data in self._pipe.decode(arrival):
            if discord.is_answer(data, self._ssrc):
                try:
                    return Address(*discord.parse_answer(data))
                except ValueError as error:
                    raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        return None

    def keep_alive(self) -> Iterable[Send]:
        self._count += 1
        yield self._pipe.encode(discord.keep_alive(self._count))

    def kept(self, arrival: Arrival) -> bool | None:
        """True for the answer to one of ours.  Sound that overtook it is kept for later."""
        for data in self._pipe.decode(arrival):
            try:
                number = discord.parse_keep_alive(data)
            except ValueError:
                self.leg.overhear(arrival)
                continue
            if 1 <= number <= self._count:
                return True
        return None


class VoiceServer:
    """The far half.  It answers 74 bytes to 74, to who knows the secret, and 8 to 8 after that.

    An SSRC belongs to the host that used it first, so that nobody has sound sent elsewhere by
    repeating what he saw; to guess a tail for another address costs more bytes than it would move.
    Where it `follows`, sound of a caller that comes from another address is answered there, as
    users report of the real one.
    """

    def __init__(self, secret: str, *, follows: bool = False) -> None:
        self._secret, self._follows = secret, follows
        self._calls = Calls()
        self._holders: dict[bytes, Flow] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if len(data) == discord.SIZE:
            return self._discover(flow, data)
        if len(data) == discord.KEEP_ALIVE_SIZE:
            return self._keep_alive(flow, data, now)
        self._hear(flow, data, now)
        return ()

    def timer(self) -> float | None:
        return self._calls.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        for call, frame in self._calls.tick(now):
            # The server's stream has a number of its own, beside the caller's.
            ssrc = int.from_bytes(call.id) ^ 1
            key = derive(self._secret, "down", call.id)
            yield Emit(call.flow, _pack(frame, ssrc, key))

    def _discover(self, flow: Flow, data: bytes) -> Iterable[Emit]:
        try:
            ssrc, tail = discord.parse_ask(data)
        except ValueError:
            return ()
        name = ssrc.to_bytes(4)
        holder = self._holders.get(name, flow).remote.host
        if tail != _tail(self._secret, ssrc) or holder != flow.remote.host:
            return ()
        if len(self._holders) >= MAX_HOLDERS and name not in self._holders:
            del self._holders[next(iter(self._holders))]
        self._holders[name] = flow
        self._calls.admit(flow, name)
        return (Emit(flow, discord.answer(ssrc, *flow.remote)),)

    def _keep_alive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        call = self._calls.get(flow)
        try:
            discord.parse_keep_alive(data)
        except ValueError:
            return ()
        if call is None:
            return ()
        self._calls.talk(call, now)
        return (Emit(flow, data),)

    def _hear(self, flow: Flow, data: bytes, now: float) -> None:
        call = self._calls.get(flow)
        if call is None:
            call = self._followed(flow, data) if self._follows else None
        if call is None:
            return
        try:
            heard = calls.unseal(data, derive(self._secret, "up", call.id))
        except ValueError:
            return
        self._calls.hear(call, heard, now)

    def _followed(self, flow: Flow, data: bytes) -> Call | None:
        """The call whose sound this is, moved to where it came from; None where it is nobody's."""
        try:
            name = rtp.unpack(data)[0].ssrc.to_bytes(4)
            heard = calls.unseal(data, derive(self._secret, "up", name))
        except ValueError:
            return None
        before = self._holders.get(name)
        call = self._calls.get(before) if before else None
        if call is None or call.id != name or not self._calls.move(call, flow, heard):
            return None
        self._holders[name] = flow
        return call
