"""A far half of our own: it registers, answers, and plays back what it hears.

REGISTER and INVITE want a password that the secret gives, for a nonce that only its own address was
told; OPTIONS is answered to anybody, as everywhere, but no answer to a stranger is larger than what
he sent.  Sound goes to who called, or to where authentic sound of his call comes from.  It refuses
to forward calls, and to remember more than a bounded number of them.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from circumtest.media import Heard
from circumtest.model import Address, Transport
from circumtest.script import Emit, Flow
from circumtest.sip import sound_key
from circumtest.sip.gate import Gate
from circumtest.sip.transactions import T1, T2
from circumtest.talker import Talker
from circumtest.wire import pcmu, sdp, sip
from circumtest.wire.rtp import Header
from circumtest.wire.sip import Request, Response

MAX_CALLS = 256
"""Calls remembered; the oldest is forgotten first."""
MAX_FLOWS = 512
"""Streams of which the beginning of a message is kept."""
GIVE_UP = 64 * T1
"""Seconds for which an answered call waits for its ACK (13.3.1.4)."""
HELD = 8
"""Packets of sound that wait to be played back: 160 ms."""
_KEPT = ("via", "from", "to", "call-id", "cseq")


@dataclass(slots=True)
class _Call:
    """An answered call: the 200, when it is sent again, and the sound once it was acknowledged."""

    flow: Flow
    answer: Response
    branch: str
    ssrc: int
    key: bytes
    sound: Flow | None
    began: float
    again: float | None
    wait: float = T1
    talker: Talker | None = None
    held: deque[bytes] = field(default_factory=lambda: deque(maxlen=HELD))

    @property
    def due(self) -> float | None:
        return self.talker.due if self.talker else self.again


class Server:
    """Registrar and callee at `sound_port` of whatever addresses it is reached at."""

    def __init__(self, secret: str, sound_port: int) -> None:
        self._secret, self._port = secret, sound_port
        self._gate = Gate(secret)
        self._calls: dict[str, _Call] = {}
        self._streams: dict[Flow, sip.Framer] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.TCP:
            return self._streamed(flow, data, now)
        if flow.local.port == self._port:
            self._hear(flow, data, now)
            return ()
        try:
            message = sip.unpack(data)
        except ValueError:
            return ()
        return self._asked(flow, message, len(data), now)

    def timer(self) -> float | None:
        return min((call.due for call in self._calls.values() if call.due), default=None)

    def tick(self, now: float) -> Iterable[Emit]:
        for name, call in tuple(self._calls.items()):
            if call.talker:
                yield from self._speak(call, now)
            elif call.again is not None and now >= call.again:
                yield from self._remind(name, call, now)

    # -------------------------------------------------------------- messages

    def _streamed(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        framer = self._streams.pop(flow, None) or sip.Framer()
        if not data:
            return
        try:
            messages = framer.feed(data)
        except ValueError:
            return  # foreign: perhaps somebody else's at the same place
        if len(self._streams) >= MAX_FLOWS:
            del self._streams[next(iter(self._streams))]
        self._streams[flow] = framer
        for message in messages:
            yield from self._asked(flow, message, sip.MAX_SIZE, now)

    def _asked(self, flow: Flow, request: sip.Message, size: int, now: float) -> Iterable[Emit]:
        if not isinstance(request, Request):
            return
        if request.method == "OPTIONS":
            yield from self._reply(flow, request, 200, "OK", size)
        elif request.method == "REGISTER":
            more = [("Contact", value) for value in request.all("Contact")]
            no = self._refused(flow, request, size, now)
            yield from self._reply(flow, request, 200, "OK", more=more) if no is None else no
        elif request.method == "INVITE":
            yield from self._invited(flow, request, size, now)
        elif request.method in ("ACK", "BYE", "CANCEL"):
            yield from self._of_call(flow, request, now)

    def _invited(self, flow: Flow, request: Request, size: int, now: float) -> Iterable[Emit]:
        call = self._calls.get(request.get("Call-ID"))
        if call is not None:
            if call.branch == sip.branch(request) and call.flow == flow:
                yield Emit(flow, sip.pack(call.answer))
            return
        if (no := self._refused(flow, request, size, now)) is not None:
            yield from no
            return
        try:
            offer = sdp.parse(request.body)
            audio = next(one for one in offer.media if one.kind == "audio" and "0" in one.formats)
            wanted = Address(*offer.address(audio))
            ssrc = int((audio.get("ssrc") or "").partition(" ")[0])
        except (ValueError, StopIteration):
            yield from self._reply(flow, request, 488, "Not Acceptable Here")
            return
        yield from self._reply(flow, request, 100, "Trying")
        yield from self._reply(flow, request, 180, "Ringing")
        call = self._answer(flow, request, wanted, ssrc, now)
        yield Emit(flow, sip.pack(call.answer))

    def _answer(
        self, flow: Flow, request: Request, wanted: Address, ssrc: int, now: float
    ) -> _Call:
        name, host = request.get("Call-ID"), flow.local.host
        here = Address(host, self._port)
        attributes = (("rtpmap", "0 PCMU/8000"), ("ptime", "20"), ("sendrecv", ""))
        audio = sdp.Media("audio", self._port, "RTP/AVP", ("0",), attributes=attributes)
        body = sdp.pack(sdp.Session(host, 1, 1, (audio,), connection=host))
        contact = f"<sip:{sip.host_of(host)}:{flow.local.port}>"
        more = (("Contact", contact), ("Content-Type", sdp.TYPE))
        reply = self._made(flow, request, 200, "OK", more, body)
        # Only to who called: his address was proved by the nonce.
        known = wanted.host == flow.remote.host and wanted.port > 1023
        call = _Call(
            flow,
            reply,
            sip.branch(request),
            ssrc & 0xFFFFFFFF,
            sound_key(self._secret, name),
            Flow(Transport.UDP, here, wanted) if known else None,
            now,
            now + T1,
        )
        if len(self._calls) >= MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[name] = call
        return call

    def _of_call(self, flow: Flow, request: Request, now: float) -> Iterable[Emit]:
        call = self._calls.get(request.get("Call-ID"))
        if call is None or call.flow != flow:
            return
        if request.method == "CANCEL":  # too late (9.2), but he is told so
            yield from self._reply(flow, request, 200, "OK")
            return
        if sip.tag(request.get("To")) != sip.tag(call.answer.get("To")):
            return
        if request.method == "BYE":
            del self._calls[request.get("Call-ID")]
            yield from self._reply(flow, request, 200, "OK")
        elif call.talker is None:
            call.again = None
            call.talker = Talker(now)

    def _remind(self, name: str, call: _Call, now: float) -> Iterable[Emit]:
        """The 200 again until it is acknowledged, over any transport (13.3.1.4)."""
        if now - call.began > GIVE_UP:
            del self._calls[name]
            return
        call.wait = min(call.wait * 2, T2)
        call.again = now + call.wait
        yield Emit(call.flow, sip.pack(call.answer))

    def _refused(self, flow: Flow, request: Request, size: int, now: float) -> list[Emit] | None:
        """What is said to whoever has not proved who he is; None for the others."""
        invited = request.method == "INVITE"
        given = request.get("Proxy-Authorization" if invited else "Authorization")
        words = self._gate.challenge(request, given, flow.remote.host, now)
        if not words:
            return None
        code, reason = (407, "Proxy Authentication Required") if invited else (401, "Unauthorized")
        name = "Proxy-Authenticate" if invited else "WWW-Authenticate"
        return self._reply(flow, request, code, reason, size, [(name, words)])

    # -------------------------------------------------------------- answers

    def _reply(
        self,
        flow: Flow,
        request: Request,
        code: int,
        reason: str,
        most: int = sip.MAX_SIZE,
        more: Iterable[tuple[str, str]] = (),
    ) -> list[Emit]:
        """An answer, unless it has more than `most` bytes."""
        data = sip.pack(self._made(flow, request, code, reason, more))
        return [Emit(flow, data)] if len(data) <= most else []

    def _made(
        self,
        flow: Flow,
        request: Request,
        code: int,
        reason: str,
        more: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        fields: list[tuple[str, str]] = []
        for name, value in request.fields:
            kind = sip.canonical(name)
            if kind not in _KEPT:
                continue
            text = value
            if kind == "via" and not any(one[0] == name for one in fields):
                text = _received(value, flow.remote)
            elif kind == "to" and code > 100 and not sip.tag(value):
                text = f"{value};tag={self._gate.tag(request.get('Call-ID'))}"
            fields.append((name, text))
        return Response((*fields, *more), body, code, reason)

    # -------------------------------------------------------------- sound

    def _hear(self, flow: Flow, data: bytes, now: float) -> None:
        try:
            header, payload = pcmu.unpack(data)
        except ValueError:
            return
        call = next((one for one in self._calls.values() if one.ssrc == header.ssrc), None)
        if call is None or call.talker is None:
            return
        for mark in pcmu.marks(payload[: pcmu.SAMPLES], call.key):
            call.talker.hear(Heard(*mark), now)
            call.held.append(payload[: pcmu.SAMPLES])
            call.sound = flow

    def _speak(self, call: _Call, now: float) -> Iterable[Emit]:
        assert call.talker is not None
        frame = call.talker.speak(now)
        if frame is None or call.sound is None:
            return
        sound = call.held.popleft() if call.held else pcmu.SILENCE
        stamp, ssrc = frame.seq * pcmu.SAMPLES, int.from_bytes(call.key[:4])
        header = Header(pcmu.PAYLOAD_TYPE, frame.seq, stamp, ssrc, marker=frame.seq == 0)
        yield Emit(call.sound, pcmu.pack(header, sound))


def _received(via: str, remote: Address) -> str:
    """The topmost Via with where its request came from (18.2.1, RFC 3581 4)."""
    first, *others = sip.split(via)
    head, *params = sip.split(first, ";")
    kept = [one for one in params if one.partition("=")[0].strip().lower() != "received"]
    kept = [f"rport={remote.port}" if one.lower() == "rport" else one for one in kept]
    return ", ".join([";".join([head, *kept, f"received={remote.host}"]), *others])
