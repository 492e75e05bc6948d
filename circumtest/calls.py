"""Calls that an answerer of our own is in, and the caller's end of their sound.

For dialects whose far half both signals and talks: what is known by a caller-drawn id, sealed under
keys that the secret gives.  The sound has the shape that the dialect gives it; what is inside is a
`Frame`.  It refuses to authenticate anybody (the dialect does) and to know packets.
"""

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from circumtest.errors import HandshakeFailed
from circumtest.media import Beat, Heard, media
from circumtest.pipe import Pipe
from circumtest.script import Arrival, Flow, Script, Send, send
from circumtest.talker import Talker, Turns, said
from circumtest.wire import rtp
from circumtest.wire.rtp import Frame

MAX_CALLS = 512
"""Calls that an answerer remembers; the oldest is forgotten first."""
MAX_KEYS = 4096
"""Derivations that are remembered: a packet of sound must not cost one."""
MAX_EARLY = 512
"""Sound kept that came before the media stage began."""
SOUND = 160
"""Bytes of sealed sound in a packet: 20 ms at 64 kbit/s."""
OVER = 0xFFFFFFFF
"""The number of the packet with which a caller hangs up, for want of a signalling that tells it.
To who does not know the key it is a packet of sound, with a number far ahead."""


@lru_cache(MAX_KEYS)
def derive(secret: str, purpose: str, id: bytes) -> bytes:  # noqa: A002  # it is one
    """64 bytes that only the two ends of the call `id` know, for one purpose."""
    return hmac.digest(secret.encode(), purpose.encode() + b"\0" + id, "sha512")


def seal(header: rtp.Header, frame: Frame, key: bytes) -> bytes:
    """A packet of sound: SOUND sealed bytes and a tag behind the header."""
    return rtp.seal(header, frame.pack(SOUND), key[: rtp.KEY])


def unseal(packet: bytes, key: bytes) -> Heard:
    """What a packet of sound says.  Raises ValueError for what was not sealed under `key`."""
    _, payload = rtp.unseal(packet, key[: rtp.KEY])
    return said(Frame.unpack(payload))


# ------------------------------------------------------------------ a call that moves

AHEAD = 50
"""Packets that a far end sends more than it hears, once it has followed a caller to an address that
nothing proves to be his: a second of them."""


@dataclass(slots=True)
class Moved:
    """What keeps a far end from flooding somebody whose address a repeated packet gave.

    `said` and `heard` count the sound since the call moved there.
    """

    said: int = 0
    heard: int = 0

    def may_speak(self) -> bool:
        """Whether one more may be said; it counts as said then."""
        if self.said - self.heard >= AHEAD:
            return False
        self.said += 1
        return True


@dataclass(slots=True)
class Numbers:
    """The numbers of sound as a leg counts them: `anew`, from the first that came, after a move.

    What the far end said before it knew of the move is not lost.
    """

    anew: bool = False
    _first: int | None = None

    def count(self, heard: Heard) -> tuple[Heard, ...]:
        """The packet by its new number; nothing for one from before."""
        if not self.anew:
            return (heard,)
        if self._first is None:
            self._first = heard.seq
        return (heard._replace(seq=heard.seq - self._first),) if heard.seq >= self._first else ()


# ------------------------------------------------------------------ the far half


@dataclass(slots=True)
class Call:
    """One caller: where he is, the id that he drew, and the sound, once he has asked for it."""

    flow: Flow
    id: bytes
    talker: Talker | None = None
    moved: Moved | None = None


class Calls:
    """The calls of one answerer, one a flow."""

    def __init__(self) -> None:
        self._calls: dict[Flow, Call] = {}
        self._turns: Turns[Flow] = Turns()

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, flow: Flow) -> Call | None:
        return self._calls.get(flow)

    def admit(self, flow: Flow, id: bytes) -> Call:  # noqa: A002
        """The call on that flow; another id makes it a new one, for ports are used again."""
        call = self._calls.get(flow)
        if call is None or call.id != id:
            self._forget(flow)
            if len(self._calls) >= MAX_CALLS:
                self._forget(next(iter(self._calls)))
            call = self._calls[flow] = Call(flow, id)
        return call

    def talk(self, call: Call, now: float) -> None:
        """Begin the sound, or note that its listener is still there."""
        if call.talker is None:
            call.talker = Talker(now)
            self._turns.add(call.flow, call.talker)
        else:
            call.talker.touch(now)

    def hear(self, call: Call, heard: Heard, now: float) -> None:
        """Count one authentic packet of sound; OVER ends the call."""
        if heard.seq == OVER:
            self._forget(call.flow)
        elif call.talker:
            call.talker.hear(heard, now)
            if call.moved:
                call.moved.heard += 1

    def timer(self) -> float | None:
        return self._turns.timer()

    def tick(self, now: float) -> Iterable[tuple[Call, Frame]]:
        """What is to be said now, and in which call."""
        for flow, frame in self._turns.speak(now):
            call = self._calls[flow]
            if call.moved is None or call.moved.may_speak():
                yield call, frame

    def move(self, call: Call, flow: Flow, heard: Heard) -> bool:
        """Follow a caller whose sound came from another address of his; whether it is his.

        It is where it is newer than all that was heard of him: a repeated packet moves nothing.
        """
        if call.talker is None or not call.talker.ear.highest < heard.seq < OVER:
            return False
        self._forget(flow)
        self._forget(call.flow)
        call.flow, call.moved = flow, Moved()
        self._calls[flow] = call
        self._turns.add(flow, call.talker)
        return True

    def _forget(self, flow: Flow) -> None:
        self._calls.pop(flow, None)
        self._turns.discard(flow)


# ------------------------------------------------------------------ the caller's half


class Leg:
    """The caller's end: `pack` and `unpack` are the dialect's (unpack raises ValueError)."""

    def __init__(
        self, pipe: Pipe, pack: Callable[[Frame], bytes], unpack: Callable[[bytes], Heard]
    ) -> None:
        self._pipe, self._pack, self._unpack = pipe, pack, unpack
        self.numbers = Numbers()
        self.early: list[Arrival] = []

    def overhear(self, arrival: Arrival) -> None:
        """Keep what overtook the answer that is waited for, in case it is sound."""
        if len(self.early) < MAX_EARLY:
            self.early.append(arrival)

    def encode(self, seq: int, at: float) -> Send:
        return self._pipe.encode(self._pack(Frame.silent(seq, at)))

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        for data in self._pipe.decode(arrival):
            try:
                heard = self._unpack(data)
            except ValueError:
                continue
            yield from self.numbers.count(heard)


def converse(leg: Leg, *, seconds: float, beats: Sequence[Beat] = ()) -> Script[None]:
    """Media with a far end that talks of its own accord; it is told at the end, however it went.

    Raises like `media`.
    """
    over = leg.encode(OVER, 0.0)
    try:
        yield from media(leg, None, seconds=seconds, beats=beats, early=leg.early)
    except HandshakeFailed:
        yield from send(over.channel, over.data, over.remote)
        raise
    yield from send(over.channel, over.data, over.remote)
