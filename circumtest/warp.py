"""The relay of a WhatsApp call: the far half, and the keys that both halves derive.

It answers only requests whose MESSAGE-INTEGRITY verifies, and sends media only to whom asked for
it under the secret, for a bounded time.  Nothing on this wire proves that he is where he says:
who knows the secret is trusted not to lie about his address.  It refuses to forward calls: the
other side of the call is the relay itself, which reports what it heard.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from circumtest.calls import Moved, derive
from circumtest.media import Heard
from circumtest.model import Address
from circumtest.script import Emit, Flow
from circumtest.talker import Talker, Turns, said
from circumtest.wire import rtp, stun, whatsapp
from circumtest.wire.rtp import Frame

PAYLOAD = 160
"""Bytes of encrypted payload in a media packet: 20 ms at 64 kbit/s."""
TIMESTAMP_STEP = 320
"""RTP clock ticks in 20 ms at 16 kHz."""
MAX_CALLS = 2560
"""Allocations that are remembered, five of them a call; the oldest is forgotten first."""
MAX_TOKENS = 4096
"""Tokens whose holder it remembers."""
HELD = 600.0
"""Seconds after which a token may be used from another address: a call is long over by then."""


def integrity_key(secret: str, token: bytes) -> bytes:
    """The key of a relay's requests and answers: ASCII base64 text, as the real one is."""
    return b64encode(derive(secret, "integrity", token)[:16])


def media_key(secret: str, token: bytes, direction: str) -> bytes:
    """The key of one direction ("up" or "down") of media: rtp.KEY bytes."""
    return derive(secret, direction, token)[: rtp.KEY]


def seal(frame: Frame, ssrc: int, key: bytes) -> bytes:
    """A media packet: `90 78`, extension profile 0xdebe, 160 encrypted bytes, a 10-byte tag."""
    header = rtp.Header(
        whatsapp.PAYLOAD_TYPE,
        frame.seq,
        frame.seq * TIMESTAMP_STEP,
        ssrc,
        profile=whatsapp.PROFILE,
        extension=whatsapp.EXTENSION,
    )
    return rtp.seal(header, frame.pack(PAYLOAD), key)


def unseal(data: bytes, key: bytes) -> tuple[int, Heard]:
    """The SSRC and what a media packet says.  Raises ValueError for what was not sealed with it."""
    header, payload = rtp.unseal(data, key)
    return header.ssrc, said(Frame.unpack(payload))


# ------------------------------------------------------------------ the far half


@dataclass(slots=True)
class _Call:
    """One caller's allocation at one relay: who he is, and which stream is his."""

    token: bytes
    prefix: bytes
    ssrc: int | None = None
    moved: Moved | None = None


_NOBODY = Address("", 0)
"""Who holds the token of a call that was hung up."""


class WarpRelay:
    """One instance is all relays of a call service: each address it is reached at is one relay.

    Where it `follows`, a caller whose sound comes from another address is answered there: whether
    real relays do so is not known.
    """

    def __init__(self, secret: str, *, follows: bool = False) -> None:
        self._secret, self._follows = secret, follows
        self._speaking: dict[tuple[Address, int], Flow] = {}
        self._calls: dict[Flow, _Call] = {}
        self._turns: Turns[Flow] = Turns()
        self._holders: dict[bytes, tuple[Address, float]] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if data[:1] == b"\x90":
            self._hear(flow, data, now)
            return ()
        try:
            message = stun.unpack(data)
            if message.type == whatsapp.PING:
                return self._ping(flow, message, now)
            if message.type not in (whatsapp.ALLOCATE, whatsapp.HANG_UP):
                return ()
            token = whatsapp.parse_token(message)
            if not self._authentic(flow, message, token, data, now):
                return ()
            stream = whatsapp.own_stream(message)
        except ValueError:
            return ()
        if message.type == whatsapp.HANG_UP:
            self._forget(flow)
            self._hold(token, _NOBODY, now)
            return ()
        self._admit(flow, token, message.tid[:8], stream, now)
        key = integrity_key(self._secret, token)
        return (Emit(flow, whatsapp.allocate_ok(message.tid, flow.remote, now, key)),)

    def timer(self) -> float | None:
        return self._turns.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        for flow, frame in self._turns.speak(now):
            call = self._calls[flow]
            if call.moved is None or call.moved.may_speak():
                yield Emit(flow, self._media(call, frame))

    # -------------------------------------------------------------- who calls

    def _authentic(
        self, flow: Flow, message: stun.Message, token: bytes, data: bytes, now: float
    ) -> bool:
        """Made by the token's holder, and sent by him who used the token first.

        Binding a token to its first address keeps a replay from having media sent to somebody else.
        XOR-RELAYED-ADDRESS must be one, but not ours: behind a NAT nobody knows his own address.
        """
        stun.parse_xor_address(message.get(stun.XOR_RELAYED_ADDRESS) or b"", message.tid)
        holder, until = self._holders.get(token, (flow.remote, 0.0))
        if holder != flow.remote and now < until:
            return False
        return stun.authentic(data, integrity_key(self._secret, token))

    def _admit(self, flow: Flow, token: bytes, prefix: bytes, ssrc: int | None, now: float) -> None:
        self._hold(token, flow.remote, now)
        call = self._calls.get(flow)
        if call is None or call.token != token:
            self._forget(flow)
            if len(self._calls) >= MAX_CALLS:
                self._forget(next(iter(self._calls)))
            call = self._calls[flow] = _Call(token, prefix)
        if talker := self._turns.get(flow):
            talker.touch(now)
        if ssrc is not None:
            call.ssrc = ssrc
            self._speaking[flow.local, ssrc] = flow

    def _forget(self, flow: Flow) -> None:
        call = self._calls.pop(flow, None)
        self._turns.discard(flow)
        if call is not None and call.ssrc is not None:
            self._speaking.pop((flow.local, call.ssrc), None)

    def _hold(self, token: bytes, holder: Address, now: float) -> None:
        self._holders.pop(token, None)
        if len(self._holders) >= MAX_TOKENS:
            del self._holders[next(iter(self._holders))]
        self._holders[token] = (holder, now + HELD)

    def _ping(self, flow: Flow, message: stun.Message, now: float) -> Iterable[Emit]:
        """Answer a caller's own ping; the first one after a re-allocate starts the media."""
        call = self._calls.get(flow)
        if call is None or message.attributes or message.tid[:8] != call.prefix:
            return ()
        if talker := self._turns.get(flow):
            talker.touch(now)
        elif call.ssrc is not None:
            self._turns.add(flow, Talker(now))
        return (Emit(flow, whatsapp.pong(message.tid)),)

    # -------------------------------------------------------------- media

    def _hear(self, flow: Flow, data: bytes, now: float) -> None:
        call = self._calls.get(flow)
        if call is None:
            call = self._followed(flow, data, now) if self._follows else None
        if call is None:
            return
        try:
            ssrc, heard = unseal(data, media_key(self._secret, call.token, "up"))
        except ValueError:
            return
        if ssrc == call.ssrc and (talker := self._turns.get(flow)):
            talker.hear(heard, now)
            if call.moved:
                call.moved.heard += 1

    def _followed(self, flow: Flow, data: bytes, now: float) -> _Call | None:
        """The call whose sound this is, moved to where it came from; None where it is nobody's.

        Sealed under the call's key and newer than all that was heard: a repetition moves nothing.
        """
        try:
            ssrc = rtp.unpack(data)[0].ssrc
            before = self._speaking[flow.local, ssrc]
            call, talker = self._calls[before], self._turns.get(before)
            _, heard = unseal(data, media_key(self._secret, call.token, "up"))
        except (ValueError, KeyError):
            return None
        if talker is None or heard.seq <= talker.ear.highest:
            return None
        self._forget(before)
        self._calls[flow], call.moved = call, Moved()
        self._speaking[flow.local, ssrc] = flow
        self._turns.add(flow, talker)
        self._hold(call.token, flow.remote, now)
        return call

    def _media(self, call: _Call, frame: Frame) -> bytes:
        ssrc = int.from_bytes(call.token[-4:])
        return seal(frame, ssrc, media_key(self._secret, call.token, "down"))
