"""Sealed records of DTLS 1.3 as either half has them: opened by epoch, remembered, acknowledged.

RFC 9147 4 and 7.  It refuses to know a ladder: which epochs there are, it is told.
"""

from collections import deque

from circumtest.dtls.keys13 import Protection, Suite
from circumtest.dtls.session import Session
from circumtest.wire import dtls13
from circumtest.wire.dtls import ACK
from circumtest.wire.dtls13 import MAX_ACKS, Sealed

HANDSHAKE_EPOCH, DATA_EPOCH = 2, 3
"""RFC 9147 6.1."""


class Records:
    """The peer's records, and our ACKs of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opens: dict[int, Protection] = {}
        self._seen: deque[tuple[int, int]] = deque(maxlen=MAX_ACKS)
        self._speaks = 0

    def use(self, epoch: int, suite: Suite, theirs: bytes, ours: bytes) -> None:
        """Open and seal an epoch's records from now on, under both halves' traffic secrets."""
        self._opens[epoch] = Protection(suite, theirs, epoch)
        self._session.use(epoch, Protection(suite, ours, epoch).seal)
        self._speaks = epoch

    def open(self, record: Sealed) -> tuple[int, int, bytes]:
        """(content type, epoch, content).  Raises ValueError for what was not sealed with ours."""
        for epoch, protection in self._opens.items():
            if epoch & 3 == record.epoch:
                kind, seq, content = protection.open(record)
                if kind != ACK:
                    self.saw(epoch, seq)
                return kind, epoch, content
        raise ValueError("a record of another epoch")

    def saw(self, epoch: int, seq: int) -> None:
        """Remember a record that an ACK would name."""
        self._seen.append((epoch, seq))

    def forget(self) -> None:
        """What we say next tells the peer that all of it has come."""
        self._seen.clear()

    def acknowledge(self) -> list[bytes]:
        """An ACK of what has come of a flight (RFC 9147 7.1); nothing without keys to seal it."""
        if not self._speaks or not self._seen:
            return []
        body = dtls13.pack_ack(sorted(set(self._seen)))
        return [self._session.sender.record(self._speaks, ACK, body)]

    def acknowledge_rest(self) -> list[bytes]:
        """An ACK of what came behind the handshake, or of its last flight, once."""
        acknowledged = self.acknowledge()
        self.forget()
        return acknowledged

    def acknowledged(self, body: bytes) -> bool:
        """Take an ACK; whether nothing is left of our flight.  Raises ValueError for none."""
        return self._session.sender.acknowledge(dtls13.unpack_ack(body))
