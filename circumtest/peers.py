"""Two peers of one call, both ours, that speak through a Telegram reflector: the caller's half.

What the UDP and the TCP call share: their tags, ICE checks both ways, media both ways.  Whatever
does not carry this call's tag, this peer's number and a seal under this trial's keys is as if it
had never come.  It refuses to do DTLS: the keys of media are drawn, not negotiated.
"""

import base64
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import NamedTuple

from circumtest import tags
from circumtest.errors import HandshakeFailed
from circumtest.ladders import exchange, steady
from circumtest.media import Heard
from circumtest.model import Address, Cause, Transport
from circumtest.script import Arrival, Channel, Script, Send, now
from circumtest.wire import ice, reflector, rtp, stun
from circumtest.wire.mtproto_transport import Framer, Framing

INTERVAL = 0.5
"""Seconds between two hellos, and between two tries to reach the other peer."""
AUDIO = 126
"""Bytes of sound in a packet, which makes a datagram of 184 bytes, as calls have them."""
OPUS = 111
"""The payload type of sound in these calls."""
SAMPLES = 960
"""20 ms at 48 kHz."""
_COMMON, _PURPOSE = 11, "telegram-call"
_SOUND = struct.Struct(">Id")


def draw_tags(rng: Random, *, natural: bool, secret: str = "") -> tuple[bytes, bytes]:
    """The 16-byte tags of caller and callee: 11 bytes in common, byte 0 the role, 4 of their own.

    Unless `natural`, no byte is 0xff: a run of 0xff that starts early hides the hello from DPIs
    that look for the run behind the tag, which befalls about one call in eighteen.  With a `secret`
    the second half of what is in common shows that the caller knows it.
    """
    top = 256 if natural else 255

    def draw(count: int) -> bytes:
        return bytes(rng.randrange(top) for _ in range(count))

    call, caller, callee = draw(_COMMON), draw(4), draw(4)
    call = tags.below_ff(call, secret, _PURPOSE)
    while not any(caller):
        caller = draw(4)
    while not any(callee) or callee == caller:
        callee = draw(4)
    return b"\x00" + call + caller, b"\x01" + call + callee


def knows(tag: bytes, secret: str) -> bool:
    """Whether a tag was drawn by who knows the secret."""
    return tags.is_below_ff(tag[1 : 1 + _COMMON], secret, _PURPOSE)


@dataclass(frozen=True, slots=True)
class End:
    """One of the two peers: its channel, its tag, and the other's own 4 bytes.

    `reflectors` are those whose packets are listened to.
    """

    channel: Channel
    tag: bytes
    peer: bytes
    reflectors: frozenset[Address]
    framer: Framer

    def encode(self, payload: bytes, via: Address) -> Send:
        """A payload for the other peer, through the reflector `via`."""
        packet = reflector.Data(self.tag[:12], self.peer, self.tag[12:], payload).pack()
        tcp = self.channel.transport is Transport.TCP
        return Send(self.channel, reflector.frame(packet) if tcp else packet, via)

    def decode(self, arrival: Arrival) -> list[bytes]:
        """The other peer's payloads in what arrived; the caller says whether they are authentic.

        Give it every arrival once: on TCP it keeps the beginnings of packets.
        """
        if arrival.channel != self.channel or isinstance(arrival.data, Cause):
            return []
        found = (self._payload(packet) for packet in self._packets(arrival, arrival.data))
        return [payload for payload in found if payload is not None]

    def _packets(self, arrival: Arrival, data: bytes) -> list[bytes]:
        if self.channel.transport is Transport.UDP:
            return [data] if arrival.source in self.reflectors else []
        try:
            return self.framer.feed(data)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None

    def _payload(self, packet: bytes) -> bytes | None:
        try:
            data = reflector.parse_data(packet)
        except ValueError:
            return None
        ours = (data.prefix, data.target, data.sender) == (
            self.tag[:12],
            self.tag[12:],
            self.peer,
        )
        return data.payload if ours else None


class Pair(NamedTuple):
    """Both ends."""

    caller: End
    callee: End


def pair(
    channels: tuple[Channel, Channel],
    tags: tuple[bytes, bytes],
    reflectors: Iterable[Address],
) -> Pair:
    """The two ends of one call."""
    known = frozenset(reflectors)
    ends = [
        End(channel, tag, peer[12:], known, Framer(Framing.INTERMEDIATE))
        for channel, tag, peer in zip(channels, tags, reversed(tags), strict=True)
    ]
    return Pair(*ends)


# ------------------------------------------------------------------ reaching each other


class _Check:
    """One peer's ICE check of the other (RFC 8445 7): the request, and the answer to it."""

    def __init__(self, rng: Random, asker: bytes, asked: bytes, *, controlling: bool) -> None:
        self._key = _letters(rng, 24)
        self._tid = _letters(rng, 12)
        self.request = ice.pack_check(
            self._tid, asked + b":" + asker, self._key, controlling=controlling
        )

    def is_request(self, payload: bytes) -> bool:
        return ice.is_authentic(payload, stun.BINDING, self._tid, self._key)

    def answer(self, via: Address) -> bytes:
        """libwebrtc sees its peer at the reflector's address."""
        return ice.pack_answer(self._tid, *via, self._key)

    def is_answer(self, payload: bytes) -> bool:
        return ice.is_authentic(payload, stun.BINDING_OK, self._tid, self._key)


def _letters(rng: Random, count: int) -> bytes:
    """Random characters of the base64 alphabet, of which libwebrtc makes ids and passwords."""
    return base64.b64encode(rng.randbytes(count))[:count]


def reach(
    ends: Pair,
    rng: Random,
    vias: Callable[[], Iterable[Address]],
    until: float,
    beside: Callable[[], Iterable[Send]] = tuple,
    overhear: Callable[[Arrival], object] = bool,
) -> Script[Address]:
    """Each peer asks the other, through the reflectors that `vias()` names, and is answered.

    Requests, then answers, are repeated every 500 ms: what comes before the other peer has joined
    is lost.  Returns the reflector through which all of it went.  `beside` is what else to send
    with requests that are repeated, `overhear` gets every arrival meanwhile.  Raises
    HandshakeFailed like `exchange`, at `until` (script time) at the latest.
    """
    caller, callee = ends
    names = _letters(rng, 4), _letters(rng, 4)
    up = _Check(rng, names[0], names[1], controlling=True)
    down = _Check(rng, names[1], names[0], controlling=False)

    def ask() -> Iterable[Send]:
        for via in vias():
            yield callee.encode(down.request, via)
            yield caller.encode(up.request, via)
        if next(rounds):
            yield from beside()

    def asked(arrival: Arrival) -> Address | None:
        overhear(arrival)
        return requests(arrival, callee, up.is_request, caller, down.is_request)

    requests, answers, rounds = _Both(), _Both(), count()
    left = until - (yield from now())
    via = yield from exchange(ask, asked, steady(INTERVAL, left), left)

    def answer() -> Iterable[Send]:
        yield caller.encode(down.answer(via), via)
        yield callee.encode(up.answer(via), via)

    def answered(arrival: Arrival) -> Address | None:
        return answers(arrival, caller, up.is_answer, callee, down.is_answer)

    left = max(until - (yield from now()), INTERVAL)
    return (yield from exchange(answer, answered, steady(INTERVAL, left), left))


class _Both:
    """Remembers, for each reflector, which end has heard what it waits for."""

    def __init__(self) -> None:
        self._heard: dict[Address, set[int]] = {}

    def __call__(
        self,
        arrival: Arrival,
        first: End,
        is_first: Callable[[bytes], bool],
        second: End,
        is_second: Callable[[bytes], bool],
    ) -> Address | None:
        """The reflector through which both have heard it, once there is one."""
        for end, is_it in ((first, is_first), (second, is_second)):
            if any(is_it(payload) for payload in end.decode(arrival)):
                self._heard.setdefault(arrival.source, set()).add(end.channel.id)
        return arrival.source if len(self._heard.get(arrival.source, ())) == 2 else None


# ------------------------------------------------------------------ media


class Leg:
    """One end of the media: 20 ms of sealed sound a packet, as a call in Opus looks (PT 111)."""

    def __init__(self, end: End, via: Address, out: "_Voice", into: "_Voice") -> None:
        self._end, self._via, self._out, self._in = end, via, out, into

    def encode(self, seq: int, at: float) -> Send:
        return self._end.encode(self._out.pack(seq, at), self._via)

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        for payload in self._end.decode(arrival):
            if (heard := self._in.unpack(payload)) is not None:
                yield heard


class _Voice:
    """One direction of sound: numbers and times to RTP packets and back."""

    def __init__(self, rng: Random) -> None:
        self._key = rng.randbytes(rtp.KEY)
        self._first, self._stamp = rng.getrandbits(15), rng.getrandbits(31)
        self._ssrc = rng.getrandbits(32)

    def pack(self, seq: int, at: float) -> bytes:
        """Extensions as libwebrtc has them: abs-send-time (6.18 bits), transport-wide number."""
        send_time, number = int(at * 2**18) % 2**24, seq % 2**16
        extension = struct.pack(">IBHx", 2 << 28 | 2 << 24 | send_time, 0x31, number)
        stamp = self._stamp + SAMPLES * seq
        header = rtp.Header(
            OPUS, self._first + seq, stamp, self._ssrc, profile=0xBEDE, extension=extension
        )
        return rtp.seal(header, _SOUND.pack(seq, at).ljust(AUDIO, b"\0"), self._key)

    def unpack(self, packet: bytes) -> Heard | None:
        """None for what was not sealed under this key."""
        try:
            _, sound = rtp.unseal(packet, self._key)
        except ValueError:
            return None
        return Heard(*_SOUND.unpack_from(sound))


def legs(ends: Pair, via: Address, rng: Random) -> tuple[Leg, Leg]:
    """The caller's leg and the callee's, through one reflector, under keys of this trial."""
    up, down = _Voice(rng), _Voice(rng)
    return Leg(ends.caller, via, up, down), Leg(ends.callee, via, down, up)
