"""Sound without a negotiation: one ICE check, then sealed packets, under keys that a secret gives.

It stands for whatever two people agree on behind a relay, where that is not what is looked at: the
keys are as if signalling had brought them, and the name that a caller draws for himself says which.
It refuses to resemble an application's own media, and to nominate, renew consent or change roles.
"""

import base64
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from circumtest import calls
from circumtest.calls import OVER, Calls, derive
from circumtest.errors import HandshakeFailed
from circumtest.ladders import Pace, exchange
from circumtest.media import Beat, Heard, media
from circumtest.model import Address, Cause, Stage
from circumtest.pipe import Pipe
from circumtest.script import Arrival, Emit, Flow, Script, Send, enter, now, send
from circumtest.turn import Allocation, Channels, Dialect, left, through
from circumtest.wire import ice, rtp, stun
from circumtest.wire.rtp import Frame

CALLEE = b"lab0"
"""The callee's user fragment: everybody calls the same person."""
OPUS = 111
SAMPLES = 960
"""20 ms at 48 kHz."""
MAX_EARLY = 512
"""Payloads kept that came before the answer to the check."""
HELD = 600.0
"""Seconds for which a name belongs to the place that it came from."""
_FRAGMENT, _PASSWORD, _TID = 4, 24, 12


class Keys(NamedTuple):
    """What the two ends of one call know: the check's password, and a key for each direction."""

    check: bytes
    up: bytes
    down: bytes


@lru_cache(4096)
def keys(secret: str, user: bytes) -> Keys:
    """Those of the call in which the checks' user name is `user`."""
    check, up, down = (derive(secret, f"voice {way}", user) for way in ("check", "up", "down"))
    return Keys(base64.b64encode(check)[:_PASSWORD], up, down)


def seal(frame: Frame, key: bytes) -> bytes:
    """20 ms of sound with libwebrtc's extensions: abs-send-time (6.18 bits), transport-wide number.

    The SSRC is the end of the key.
    """
    send_time, number = int(frame.sent_at * 2**18) % 2**24, frame.seq % 2**16
    extension = struct.pack(">IBHx", 2 << 28 | 2 << 24 | send_time, 0x31, number)
    ssrc, stamp = int.from_bytes(key[-4:]), frame.seq * SAMPLES
    header = rtp.Header(OPUS, frame.seq, stamp, ssrc, profile=0xBEDE, extension=extension)
    return calls.seal(header, frame, key)


# ------------------------------------------------------------------ the caller


class Leg:
    """The caller's end, over any pipe: the check, and then a `media.Leg`."""

    def __init__(self, pipe: Pipe, rng: Random, secret: str) -> None:
        self._pipe = pipe
        letters = base64.b64encode(rng.randbytes(_FRAGMENT + _TID))
        self._user = CALLEE + b":" + letters[:_FRAGMENT]
        self._tid = letters[_FRAGMENT : _FRAGMENT + _TID]
        self._keys = keys(secret, self._user)
        self._early: list[bytes] = []

    def ask(self) -> Iterable[Send]:
        """The check, the same at every sending."""
        check = ice.pack_check(self._tid, self._user, self._keys.check, controlling=True)
        yield self._pipe.encode(check)

    def answered(self, arrival: Arrival) -> Address | None:
        """Where the callee saw us, once he says so under the call's key.

        Sound that overtook it is kept.  Raises HandshakeFailed MALFORMED for an answer of his that
        names no address.
        """
        found = None
        for payload in self._pipe.decode(arrival):
            if ice.is_authentic(payload, stun.BINDING_OK, self._tid, self._keys.check):
                found = _mapped(payload)
            elif len(self._early) < MAX_EARLY:
                self._early.append(payload)
        return found

    def encode(self, seq: int, at: float) -> Send:
        frame = Frame.silent(seq, at)
        return self._pipe.encode(seal(frame, self._keys.up))

    def hang_up(self) -> Script[None]:
        """Tell the callee; nothing answers."""
        over = self.encode(OVER, 0.0)
        yield from send(over.channel, over.data, over.remote)

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        payloads = [*self._early, *self._pipe.decode(arrival)]
        self._early.clear()
        for payload in payloads:
            try:
                heard = calls.unseal(payload, self._keys.down)
            except ValueError:
                continue
            yield heard


def _mapped(answer: bytes) -> Address:
    message = stun.unpack(answer)
    value = message.get(stun.XOR_MAPPED_ADDRESS) or b""
    try:
        return Address(*stun.parse_xor_address(value, message.tid))
    except ValueError as error:
        raise HandshakeFailed(Cause.MALFORMED, f"the callee's answer: {error}") from None


def reach(
    pipe: Pipe, rng: Random, secret: str, sends: Sequence[float], patience: float
) -> Script[Leg]:
    """Ask the callee, at each of `sends` seconds, whether he is there, and hear that he is.

    Raises HandshakeFailed like `exchange`.
    """
    leg = Leg(pipe, rng, secret)
    yield from exchange(leg.ask, leg.answered, sends, patience)
    return leg


def converse(
    leg: Leg,
    *,
    seconds: float,
    beats: Sequence[Beat] = (),
    early: Iterable[Arrival] = (),
    answer: Callable[[Arrival], Iterable[Send]] | None = None,
) -> Script[None]:
    """Media with the callee, who is told at the end, however it went.  Arguments as `media`'s."""
    try:
        yield from media(leg, None, seconds=seconds, beats=beats, early=early, answer=answer)
    except HandshakeFailed:
        yield from leg.hang_up()
        raise
    yield from leg.hang_up()


def call(
    allocations: Sequence[Allocation],
    peer: Address,
    rng: Random,
    secret: str,
    dialect: Dialect,
    pace: Pace,
) -> Script[None]:
    """Reach the callee at `peer` through allocations, converse, and give them back.

    Enters CONNECTIVITY and media's stages; `pace.patience` is for all of the former.  Raises what
    `Allocation.permit`, `reach` and `media` raise.
    """

    def find(allocation: Allocation) -> Script[Leg]:
        until = (yield from now()) + pace.patience
        yield from allocation.permit(peer, pace.patience)
        if dialect.channel is Channels.FIRST:
            yield from allocation.bind(peer, (yield from left(until)))
        sends = dialect.sends if allocation.loses else (0.0,)
        patience = yield from left(until)
        leg = yield from reach(allocation.to(peer), rng, secret, sends, patience)
        if dialect.channel is Channels.LATER:
            yield from allocation.bind(peer, (yield from left(until)))
        return leg

    def talk(allocation: Allocation, leg: Leg) -> Script[None]:
        kept = allocation.kept((yield from now()))
        answer, beats = allocation.answer, allocation.beats
        yield from converse(leg, seconds=pace.media, beats=beats, early=[kept], answer=answer)

    yield from enter(Stage.CONNECTIVITY)
    yield from through(allocations, find, talk)


# ------------------------------------------------------------------ the callee


class Callee:
    """Answers checks made under the secret; from the first one on he speaks, and counts."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._calls = Calls()
        self._places: dict[bytes, tuple[Flow, float]] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if data[:1] == b"\x90":
            self._hear(flow, data, now)
            return ()
        try:
            check = stun.unpack(data)
            user = check.get(ice.USERNAME) or b""
            if check.type != stun.BINDING or not self._is_name(user):
                return ()
            key = keys(self._secret, user).check
            if not stun.authentic(data, key) or not self._is_at_home(user, flow, now):
                return ()
        except ValueError:
            return ()
        self._calls.talk(self._calls.admit(flow, user), now)
        return (Emit(flow, ice.pack_answer(check.tid, *flow.remote, key)),)

    def timer(self) -> float | None:
        return self._calls.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        for call, frame in self._calls.tick(now):
            yield Emit(call.flow, seal(frame, keys(self._secret, call.id).down))

    @staticmethod
    def _is_name(user: bytes) -> bool:
        return user.startswith(CALLEE + b":") and len(user) == len(CALLEE) + 1 + _FRAGMENT

    def _is_at_home(self, user: bytes, flow: Flow, now: float) -> bool:
        """Whether a name comes from its first place: who replays it elsewhere gains nothing.

        Once the call is long over it may come from another one.
        """
        place, until = self._places.pop(user, (flow, 0.0))
        if place != flow and now >= until:
            place = flow
        if len(self._places) >= calls.MAX_CALLS:
            del self._places[next(iter(self._places))]
        self._places[user] = (place, now + HELD if place == flow else until)
        return place == flow

    def _hear(self, flow: Flow, data: bytes, now: float) -> None:
        call = self._calls.get(flow)
        if call is None:
            return
        try:
            heard = calls.unseal(data, keys(self._secret, call.id).up)
        except ValueError:
            return
        self._calls.hear(call, heard, now)
