"""A resolver of our own: what names are in its zone, over UDP, TCP and HTTPS, honest or not.

Its moods are what people meet: a name that is said not to exist, a forged address, an injector's
answer in front of the true one, an answer that comes too late.  Over UDP whole answers go only to
who shows the cookie that the secret gives; anybody else is told to ask over TCP, where nobody can
be somebody else, and never gets more bytes than he sent.  It refuses to ask anybody further.
"""

import heapq
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from itertools import count

from circumtest import doh
from circumtest.model import Transport
from circumtest.script import Answerer, Emit, Flow
from circumtest.secure import TlsAnswerer
from circumtest.wire import dns

MAX_FLOWS = 256
"""Streams on which more is awaited; the oldest is forgotten first."""
MAX_WAITING = 1024
"""Late answers that are kept; further questions stay unanswered."""
MAX_QUESTION = 512
"""Bytes of a question that are read."""
FORGED = {4: "192.175.48.66", 6: "2620:4f:8000::66"}
"""A forger's addresses: public, but of AS112 (RFC 7534), where what should not be asked ends."""
BOGONS = {4: "10.66.66.66", 6: "fd66::66"}


class Mood(StrEnum):
    """How a resolver, or somebody on the way to it, treats who asks."""

    HONEST = "honest"
    EMPTY = "empty"
    REFUSE = "refuse"
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    POISON = "poison"
    BOGON = "bogon"
    INJECT = "inject"
    """A forged answer in front of the true one; over streams, where nobody can, honest."""
    LATE = "late"
    SILENT = "silent"
    GARBAGE = "garbage"
    TRUNCATE = "truncate"
    """Over UDP nothing but the advice to ask over TCP."""


_CODES = {Mood.REFUSE: dns.REFUSED, Mood.NXDOMAIN: dns.NXDOMAIN, Mood.SERVFAIL: dns.SERVFAIL}


@dataclass(frozen=True)
class Zone:
    """Which names have which addresses, and the mood in which that is told.

    `late` is how many seconds an answer takes in the mood of that name.
    """

    names: Mapping[str, tuple[str, ...]]
    mood: Mood = Mood.HONEST
    late: float = 4.0

    def replies(self, question: dns.Question, transport: Transport) -> Iterable[bytes]:
        """The messages with which a question is answered, in order."""
        mood = self.mood
        truth = self._truth(question)
        if mood is Mood.SILENT:
            return ()
        if mood in _CODES:
            return (question.reply(_CODES[mood]),)
        if mood is Mood.EMPTY:
            return (question.reply(),)
        if mood is Mood.GARBAGE:
            return (truth[:2] + b"\xff" * 20,)
        if question.version and mood in (Mood.POISON, Mood.BOGON, Mood.INJECT):
            lies = BOGONS if mood is Mood.BOGON else FORGED
            forged = question.reply(addresses=(lies[question.version],))
            if mood is not Mood.INJECT:
                return (forged,)
            return (forged, truth) if transport is Transport.UDP else (truth,)
        if mood is Mood.TRUNCATE and transport is Transport.UDP:
            return (question.reply(truncated=True),)
        return (truth,)

    def _truth(self, question: dns.Question) -> bytes:
        """Names of other zones are refused, as by who is not to be asked about them."""
        if question.name not in self.names:
            return question.reply(dns.REFUSED)
        found = self.names[question.name]
        fit = [one for one in found if ip_address(one).version == question.version]
        return question.reply(addresses=fit)


def https(zone: Zone, secret: str, name: str) -> Answerer:
    """The zone over HTTPS, for who wants the key that `secret` gives."""
    return TlsAnswerer(HttpNames(zone), secret, name, alpn=(doh.ALPN,))


class _Waiting:
    """Answers that are due later; what their flows ended for is forgotten."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Flow, bytes]] = []
        self._order = count()

    def put(self, due: float, flow: Flow, data: bytes) -> None:
        if len(self._heap) < MAX_WAITING:
            heapq.heappush(self._heap, (due, next(self._order), flow, data))

    def due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Iterable[tuple[Flow, bytes]]:
        while self._heap and self._heap[0][0] <= now:
            _, _, flow, data = heapq.heappop(self._heap)
            yield flow, data

    def forget(self, flow: Flow) -> None:
        self._heap = [one for one in self._heap if one[2] != flow]
        heapq.heapify(self._heap)


class Names:
    """The zone over UDP and TCP."""

    def __init__(self, zone: Zone, secret: str) -> None:
        self._zone, self._secret = zone, secret
        self._gathered: dict[Flow, bytes] = {}
        self._waiting = _Waiting()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            return self._datagram(flow, data, now)
        if not data:
            self._gathered.pop(flow, None)
            self._waiting.forget(flow)
            return ()
        return self._stream(flow, data, now)

    def timer(self) -> float | None:
        return self._waiting.due()

    def tick(self, now: float) -> Iterable[Emit]:
        return [Emit(flow, data) for flow, data in self._waiting.pop(now)]

    def _datagram(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        question = _question(data)
        if question is None:
            return
        expected = dns.cookie(self._secret, question.id, question.name)
        known = hmac.compare_digest(question.cookie, expected)
        for reply in self._zone.replies(question, flow.transport):
            if known or len(reply) <= len(data):
                yield from self._tell(flow, reply, now)
            elif len(advice := question.reply(truncated=True)) <= len(data):
                yield from self._tell(flow, advice, now)
            if not known:
                return

    def _stream(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        gathered = self._gathered.pop(flow, b"") + data
        while len(gathered) >= 2:
            size = int.from_bytes(gathered[:2])
            if size > MAX_QUESTION:
                yield Emit(flow, b"", close=True)
                return
            if len(gathered) < 2 + size:
                break
            question, gathered = _question(gathered[2 : 2 + size]), gathered[2 + size :]
            if question is not None:
                for reply in self._zone.replies(question, flow.transport):
                    yield from self._tell(flow, dns.frame(reply), now)
        if gathered:
            if len(self._gathered) >= MAX_FLOWS:
                del self._gathered[next(iter(self._gathered))]
            self._gathered[flow] = gathered

    def _tell(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if self._zone.mood is Mood.LATE:
            self._waiting.put(now + self._zone.late, flow, data)
        else:
            yield Emit(flow, data)


class HttpNames:
    """The zone over HTTP/2, inside TLS: wrap it in a TlsAnswerer, as `https` does."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._sessions: dict[Flow, doh.Server] = {}
        self._waiting = _Waiting()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if not data:
            self._forget(flow)
            return
        session = self._session(flow)
        try:
            asked = session.receive(data)
        except ValueError:
            self._forget(flow)
            yield Emit(flow, session.pending(), close=True)
            return
        for one in asked:
            question = _question(one.message)
            if question is None:
                session.refuse(one.stream, 400)
                continue
            for reply in self._zone.replies(question, Transport.TCP):
                yield from self._tell(flow, session, one.stream, reply, now)
        if out := session.pending():
            yield Emit(flow, out)

    def timer(self) -> float | None:
        return self._waiting.due()

    def tick(self, now: float) -> Iterable[Emit]:
        for flow, data in self._waiting.pop(now):
            session = self._sessions.get(flow)
            stream, reply = int.from_bytes(data[:4]), data[4:]
            if session and (out := session.answer(stream, reply)):
                yield Emit(flow, out)

    def _tell(
        self, flow: Flow, session: doh.Server, stream: int, reply: bytes, now: float
    ) -> Iterable[Emit]:
        if self._zone.mood is Mood.LATE:
            self._waiting.put(now + self._zone.late, flow, stream.to_bytes(4) + reply)
        elif out := session.answer(stream, reply):
            yield Emit(flow, out)

    def _session(self, flow: Flow) -> doh.Server:
        if flow not in self._sessions:
            if len(self._sessions) >= MAX_FLOWS:
                self._forget(next(iter(self._sessions)))
            self._sessions[flow] = doh.Server()
        return self._sessions[flow]

    def _forget(self, flow: Flow) -> None:
        self._sessions.pop(flow, None)
        self._waiting.forget(flow)


def _question(data: bytes) -> dns.Question | None:
    if len(data) > MAX_QUESTION:
        return None
    try:
        return dns.parse_query(data)
    except ValueError:
        return None
