"""One half of a handshake of ours: records in, its ladder fed, flights sent until answered.

It refuses to know which half it is and which version: ladders do.  It speaks to no network, looks
at no clock, and never sends an alert: who gives up just stops.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

from circumtest.dtls.endpoint import SrtpKeys
from circumtest.dtls.flight import Assembly
from circumtest.dtls.records13 import Records
from circumtest.dtls.session import Awaited, Ladder, Session
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire import dtls13
from circumtest.wire.dtls import ACK, ALERT, HANDSHAKE, V12, V13, Record, alert, fragments

Older = Callable[[Record], bytes]
"""What a sealed record of DTLS 1.2 says.  Raises ValueError for what was not sealed with ours."""


class Half:
    """An `endpoint.Endpoint` that climbs `ladder`; `older` opens sealed records of DTLS 1.2."""

    def __init__(self, session: Session, records: Records, ladder: Ladder, older: Older) -> None:
        self._session, self._records = session, records
        self._ladder, self._older = ladder, older
        self._assembly = Assembly()
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
        return None if self._failed else self._session.sender.due

    def tick(self, now: float) -> list[bytes]:
        due = self.timer()
        if due is None or now < due:
            return []
        return self._records.acknowledge() + self._session.sender.again(now)

    # -------------------------------------------------------------- records

    def _opened(self, datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
        """(content type, epoch, content) of the records that are somebody's we speak to."""
        with suppress(ValueError):
            for record in dtls13.records(datagram):
                with suppress(ValueError):
                    yield self._open(record)

    def _open(self, record: "Record | dtls13.Sealed") -> tuple[int, int, bytes]:
        if isinstance(record, dtls13.Sealed):
            return self._records.open(record)
        if record.epoch:
            return record.kind, record.epoch, self._older(record)
        if self._session.newest:
            raise ValueError("a record in the clear that anybody could have sent")
        self._records.saw(0, record.seq)
        return record.kind, 0, record.body

    def _take(self, kind: int, epoch: int, body: bytes) -> None:
        if kind == HANDSHAKE:
            with suppress(ValueError):
                for fragment in fragments(body):
                    self._assembly.put(fragment, epoch)
            self._advance()
            if self.established and self._session.newest:
                self._session.out += self._records.acknowledge_rest()
        elif kind == ALERT:
            self._alerted(body, epoch)
        elif kind == ACK and epoch:
            with suppress(ValueError):
                self._records.acknowledged(body)

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

    def _out(self) -> list[bytes]:
        out, self._session.out = self._session.out, []
        return out
