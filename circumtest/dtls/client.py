"""A DTLS client whose ClientHello can be any: everything but the ladders of the versions.

Records in, the right ladder fed, flights sent until they are answered.  It refuses to speak to the
network and to look at a clock, and never sends an alert: who gives up just stops.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random

from circumtest.dtls.endpoint import SrtpKeys
from circumtest.dtls.flight import Assembly, Seal, Sender
from circumtest.dtls.ladder12 import Twelve
from circumtest.dtls.ladder13 import Thirteen
from circumtest.dtls.session import Awaited, Ladder, Session
from circumtest.dtls.shapes import Shaped
from circumtest.errors import HandshakeFailed
from circumtest.identity import Identity
from circumtest.model import Cause
from circumtest.wire import dtls13
from circumtest.wire.dtls import (
    ACK,
    ALERT,
    HANDSHAKE,
    HELLO_VERIFY_REQUEST,
    SERVER_HELLO,
    SUPPORTED_VERSIONS,
    V12,
    V13,
    Record,
    alert,
    fragments,
    hello_verify_cookie,
)

MAX_COOKIES = 3
"""HelloVerifyRequests that are answered: a server that forgets its own cookies is none."""


class Client:
    """One handshake, of DTLS 1.2 or 1.3 as the server chooses: an `endpoint.Endpoint`."""

    def __init__(self, shaped: Shaped, own: Identity, peer: bytes | None, rng: Random) -> None:
        self._version = shaped.version
        self._sender = Sender(shaped.wait, self._plain())
        self._session = Session(shaped.hello, shaped.shares, own, peer, rng, self._sender)
        self._assembly = Assembly()
        self._twelve, self._thirteen = Twelve(self._session), Thirteen(self._session)
        self._ladder: Ladder = self._climb()
        self._awaited: Awaited = {}
        self._failed = False
        self.closed = False
        """Whether the peer has ended the connection, once it was established."""

    @property
    def established(self) -> bool:
        return self._session.established

    @property
    def keys(self) -> SrtpKeys | None:
        return self._session.keys if self.established else None

    @property
    def version(self) -> int:
        """What was agreed on, DTLS 1.2 as long as nothing is."""
        return V13 if self._session.newest else V12

    def start(self, now: float) -> list[bytes]:
        self._session.now = now
        self._awaited = next(self._ladder)
        return self._out()

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        if self._failed:
            return []
        self._session.now = now
        try:
            for kind, epoch, body in self._opened(datagram):
                self._take(kind, epoch, body)
        except HandshakeFailed:
            self._failed = True
            raise
        return self._out()

    def timer(self) -> float | None:
        return None if self._failed else self._sender.due

    def tick(self, now: float) -> list[bytes]:
        due = self.timer()
        if due is None or now < due:
            return []
        return self._thirteen.acknowledge() + self._sender.again(now)

    # -------------------------------------------------------------- records

    def _opened(self, datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
        """(content type, epoch, content) of the records that are somebody's we speak to."""
        with suppress(ValueError):
            for record in dtls13.records(datagram):
                with suppress(ValueError):
                    yield self._open(record)

    def _open(self, record: "Record | dtls13.Sealed") -> tuple[int, int, bytes]:
        if isinstance(record, dtls13.Sealed):
            return self._thirteen.open(record)
        if record.epoch == 0:
            if self._session.newest:
                raise ValueError("a record in the clear that anybody could have sent")
            self._thirteen.saw(0, record.seq)
            return record.kind, 0, record.body
        body = self._twelve.open(record.kind, record.epoch, record.seq, record.body)
        return record.kind, record.epoch, body

    def _take(self, kind: int, epoch: int, body: bytes) -> None:
        if kind == HANDSHAKE:
            with suppress(ValueError):
                for fragment in fragments(body):
                    self._assembly.put(fragment, epoch)
            self._advance()
            if self.established and self._session.newest:
                self._session.out += self._thirteen.acknowledge_rest()
        elif kind == ALERT:
            self._alerted(body, epoch)
        elif kind == ACK and epoch:
            with suppress(ValueError):
                self._thirteen.acknowledged(body)

    def _alerted(self, body: bytes, epoch: int) -> None:
        """An alert in the clear counts as long as its sender could not have sealed it."""
        if epoch == 0 and self.established:
            return
        with suppress(ValueError):
            ends, name = alert(body)
            if self.established:
                self.closed = self.closed or ends
            elif ends:
                raise HandshakeFailed(Cause.ERROR_REPLY, f"DTLS alert: {name}")

    # -------------------------------------------------------------- the ladder

    def _advance(self) -> None:
        while not self.established:
            message = self._assembly.take(self._awaited)
            if message is None:
                return
            try:
                self._awaited = self._ladder.send(message)
            except StopIteration:
                return
            except ValueError as error:
                raise HandshakeFailed(Cause.MALFORMED, f"DTLS: {error}") from None

    def _climb(self) -> Ladder:
        """Hello, cookies, and on by the ladder of the version that the server chose."""
        session = self._session
        session.say_hello()
        message = yield from session.wait({0: (SERVER_HELLO, HELLO_VERIFY_REQUEST)})
        for _ in range(MAX_COOKIES):
            if message.kind == SERVER_HELLO:
                break
            session.transcript.clear()  # RFC 6347 4.2.1: neither of the two is hashed
            cookie = hello_verify_cookie(message.body)
            session.again_with(replace(session.hello, cookie=cookie))
            session.say_hello()
            message = yield from session.wait({0: (SERVER_HELLO, HELLO_VERIFY_REQUEST)})
        theirs = session.accept(message)
        if theirs.get(SUPPORTED_VERSIONS) is None:
            yield from self._twelve.climb(theirs)
        else:
            yield from self._thirteen.climb(theirs)

    # -------------------------------------------------------------- sending

    def _plain(self) -> Seal:
        """RFC 6347 4.2.1: hellos may say that they are DTLS 1.0, nothing behind them does."""

        def record(kind: int, seq: int, body: bytes) -> bytes:
            version = V12 if self._session.answered else self._version
            return Record(kind, 0, seq, body, version).pack()

        return record

    def _out(self) -> list[bytes]:
        out, self._session.out = self._session.out, []
        return out
