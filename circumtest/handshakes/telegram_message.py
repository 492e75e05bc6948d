"""Telegram's messaging control: an MTProto connection up to resPQ, before any account is involved.

It shows that a data centre can be reached and answers as one; it refuses to go on to the key
exchange, so it does not prove that the server holds the keys whose fingerprints it offers.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import ClassVar, Literal

from circumtest import tags
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, exchange
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.script import (
    Answerer,
    Arrival,
    Emit,
    Flow,
    Listen,
    Script,
    Send,
    enter,
    now,
    open_tcp,
)
from circumtest.wire import mtproto
from circumtest.wire.mtproto_transport import (
    INIT,
    PREAMBLES,
    Acceptor,
    Framer,
    Framing,
    Obfuscation,
    obfuscate,
    usable,
)

PURPOSE = "telegram-message"
MAX_QUESTION = 512
"""Bytes within which a stream must have asked."""
MAX_FLOWS = 1024
"""Connections an answerer remembers; the oldest is forgotten first."""
OFFERED = (0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5)
"""The fingerprints that our answerer names; it holds neither key."""
PQ = 0x17ED48941A08F981.to_bytes(8, "big")
"""A product of two primes, as a client that goes on will want to factorise it."""


@dataclass(frozen=True)
class TelegramMessage:
    """Connect, ask for resPQ, and check that it answers this very question.

    `transport` is what goes over TCP, `inner` the framing inside obfuscated2, `dc` the number that
    its header names (2 by default; real clients are seen to leave random bytes there too).  With a
    `secret` the nonce shows a mirror that the caller knows it.
    """

    transport: Literal["obfuscated2", "abridged", "intermediate", "padded"] = "obfuscated2"
    inner: Literal["abridged", "intermediate", "padded"] = "abridged"
    port: int = 443
    dc: int = 2
    level: Level = Level.STANDARD
    secret: str = field(default="", repr=False)

    stages: ClassVar[tuple[Stage, ...]] = (Stage.SIGNALLING,)
    reached: ClassVar[tuple[Stage, ...]] = stages
    role: ClassVar[Role] = Role.MESSAGING
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "telegram"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.TCP, self.port)

    @property
    def opening(self) -> int:
        """Preamble or header, and the framed req_pq_multi; padding not counted."""
        message = 40 + (1 if self._framing is Framing.ABRIDGED else 4)
        if self.transport == "obfuscated2":
            return INIT + message
        return len(PREAMBLES[self._framing]) + message

    @property
    def _framing(self) -> Framing:
        return Framing(self.inner if self.transport == "obfuscated2" else self.transport)

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """One connection to the first of `target`, one question, one answer."""
        patience = PACES[self.level].patience
        yield from enter(Stage.SIGNALLING)
        until = (yield from now()) + patience
        channel = yield from open_tcp(target[0], patience)
        cipher = self._cipher(rng)
        nonce = tags.mark(rng.randbytes(mtproto.NONCE), self.secret, PURPOSE)
        client = _Client(self._framing, cipher, nonce)
        at = yield from now()
        question = client.ask(at, rng)

        def request() -> Iterable[Send]:
            return (Send(channel, question, channel.remote),)

        yield from exchange(request, client.accept, (0.0,), until - at)

    reach = script
    """Strangers get resPQ.  Its fingerprints are public, so whoever knows them can say them."""

    def _cipher(self, rng: Random) -> tuple[bytes, Obfuscation | None]:
        """What goes out first, and the keystreams, if any."""
        if self.transport != "obfuscated2":
            return PREAMBLES[self._framing], None
        while not usable(init := rng.randbytes(INIT)):
            pass
        return obfuscate(init, self._framing, self.dc)

    def answerer(self) -> Answerer:
        return DataCentre()

    def is_ours(self, data: bytes) -> bool | None:
        """Whether a stream begins with a question of who knows the secret; None for not yet."""
        if len(data) > MAX_QUESTION:
            return False
        try:
            payloads = Acceptor().feed(data)
            if not payloads:
                return None
            nonce = mtproto.parse_req_pq_multi(mtproto.parse_message(payloads[0]).body)
        except ValueError:
            return False
        return tags.is_marked(nonce, self.secret, PURPOSE)


class _Client:
    """The caller's end of one stream: a question going out, what comes back judged."""

    def __init__(
        self, framing: Framing, opening: tuple[bytes, Obfuscation | None], nonce: bytes
    ) -> None:
        self._framer = Framer(framing)
        self._preamble, self._cipher = opening
        self._nonce = nonce

    def ask(self, at: float, rng: Random) -> bytes:
        """The whole first segment.  PADDED adds 0 to 15 random bytes."""
        message = mtproto.Message(mtproto.message_id(at), mtproto.pack_req_pq_multi(self._nonce))
        padding = (
            rng.randbytes(rng.randrange(16)) if self._framer.framing is Framing.PADDED else b""
        )
        frame = self._framer.pack(message.pack(), padding)
        return self._preamble + (self._cipher.encrypt(frame) if self._cipher else frame)

    def accept(self, arrival: Arrival) -> mtproto.ResPq | None:
        """The answer once it is whole.  Raises HandshakeFailed for a wrong one."""
        assert isinstance(arrival.data, bytes)
        data = self._cipher.decrypt(arrival.data) if self._cipher else arrival.data
        try:
            payloads = self._framer.feed(data)
            return self._judge(payloads[0]) if payloads else None
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None

    def _judge(self, payload: bytes) -> mtproto.ResPq:
        if (code := mtproto.transport_error(payload)) is not None:
            raise HandshakeFailed(Cause.ERROR_REPLY, f"transport error {code}")
        message = mtproto.parse_message(payload)
        answer = mtproto.parse_res_pq(message.body)
        if message.id & 3 != 1:
            raise ValueError("the message id is not that of an answer")
        if answer.nonce != self._nonce:
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "another nonce")
        if not mtproto.FINGERPRINTS.intersection(answer.fingerprints):
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "no known key fingerprint")
        return answer


class DataCentre:
    """The far half: resPQ for every req_pq_multi, in whichever transport the client speaks.

    A stream that is not MTProto, or goes beyond the question, is neither answered nor closed, so
    that another answerer may have it.
    """

    def __init__(self) -> None:
        self._streams: OrderedDict[Flow, Acceptor | None] = OrderedDict()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if not data:
            self._streams.pop(flow, None)
            return ()
        if flow not in self._streams:
            if len(self._streams) >= MAX_FLOWS:
                self._streams.popitem(last=False)
            self._streams[flow] = Acceptor()
        stream = self._streams[flow]
        if stream is None:
            return ()
        try:
            payloads = stream.feed(data)
        except ValueError:
            self._streams[flow] = None
            return ()
        replies = (_answer(payload, now) for payload in payloads)
        return [Emit(flow, stream.pack(reply)) for reply in replies if reply is not None]

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()


def _answer(payload: bytes, now: float) -> bytes | None:
    """resPQ to a payload that is req_pq_multi.  The server's nonce follows from the client's."""
    try:
        nonce = mtproto.parse_req_pq_multi(mtproto.parse_message(payload).body)
    except ValueError:
        return None
    server_nonce = sha256(b"server nonce" + nonce).digest()[: mtproto.NONCE]
    answer = mtproto.ResPq(nonce, server_nonce, PQ, OFFERED)
    return mtproto.Message(mtproto.message_id(now, server=True), answer.pack()).pack()
