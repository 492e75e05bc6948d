"""Handshake messages over datagrams: put together from fragments, and sent again until answered.

It refuses to know what a message says and how a record is sealed: it is told.  What it keeps of a
peer's bytes is bounded, whatever he sends.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from circumtest.wire.dtls import HANDSHAKE, MESSAGE_HEADER, Fragment

MTU = 1200
"""Bytes of a datagram at most: libwebrtc's and pion's default, with room for a relay's header."""
MAX_MESSAGE = 1 << 14
"""Bytes of a handshake message that is put together; a chain of certificates has some thousands."""
WINDOW = 8
"""How many messages ahead of the next one are kept: no flight has more."""
LONGEST_WAIT = 60.0
"""Seconds that the wait between two sendings doubles to at most (RFC 6347 4.2.4.1)."""
_SEALED = 64
"""Bytes at most that sealing adds to a fragment: header, explicit IV, MAC and padding."""

Seal = Callable[[int, int, bytes], bytes]
"""Content type, sequence number, body -> a record."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole handshake message, and the epoch of the records that brought it."""

    kind: int
    seq: int
    body: bytes
    epoch: int = 0

    def long(self) -> bytes:
        """As DTLS 1.2 hashes it: with the header of its only fragment (RFC 6347 4.2.6)."""
        return Fragment(self.kind, len(self.body), self.seq, 0, self.body).pack()

    def short(self) -> bytes:
        """As DTLS 1.3 hashes it: with TLS's header (RFC 9147 5.2)."""
        return self.kind.to_bytes(1) + len(self.body).to_bytes(3) + self.body


# ------------------------------------------------------------------ what comes in


class _Parts:
    """A message of which something has come."""

    def __init__(self, kind: int, length: int) -> None:
        self.kind = kind
        self.body = bytearray(length)
        self._missing = bytearray(b"\1" * length)

    def put(self, fragment: Fragment) -> None:
        if (fragment.kind, fragment.length) == (self.kind, len(self.body)):
            until = fragment.offset + len(fragment.data)
            self.body[fragment.offset : until] = fragment.data
            self._missing[fragment.offset : until] = bytes(len(fragment.data))

    @property
    def whole(self) -> bool:
        return not any(self._missing)


class Assembly:
    """Puts a peer's messages together and gives them in order, each once."""

    def __init__(self) -> None:
        self._next = 0
        self._parts: dict[tuple[int, int], _Parts] = {}

    def put(self, fragment: Fragment, epoch: int) -> None:
        """Keep a fragment, unless it is of a message that is over, far ahead or too long."""
        if not self._next <= fragment.seq < self._next + WINDOW or fragment.length > MAX_MESSAGE:
            return
        key = (fragment.seq, epoch)
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = _Parts(fragment.kind, fragment.length)
        parts.put(fragment)

    def take(self, epochs: Iterable[int]) -> Message | None:
        """The next message, if it is whole and came in one of `epochs`."""
        for epoch in epochs:
            parts = self._parts.get((self._next, epoch))
            if parts is not None and parts.whole:
                message = Message(parts.kind, self._next, bytes(parts.body), epoch)
                self._next += 1
                self._parts = {
                    key: kept for key, kept in self._parts.items() if key[0] >= self._next
                }
                return message
        return None


# ------------------------------------------------------------------ what goes out


@dataclass(slots=True)
class Piece:
    """What goes into one record: a fragment of a message, or a ChangeCipherSpec."""

    epoch: int
    kind: int
    body: bytes
    numbers: set[tuple[int, int]] = field(default_factory=set)
    """(epoch, sequence number) of the records that it was sent in."""


def cut(message: Message, mtu: int = MTU) -> list[Piece]:
    """A message in fragments that fit into datagrams of `mtu` bytes."""
    room = mtu - MESSAGE_HEADER - (13 if message.epoch == 0 else _SEALED)
    body, length = message.body, len(message.body)
    return [
        Piece(
            message.epoch,
            HANDSHAKE,
            Fragment(message.kind, length, message.seq, at, body[at : at + room]).pack(),
        )
        for at in range(0, max(length, 1), room)
    ]


class Sender:
    """Sends a flight, and again when its time comes, each time in records of new numbers."""

    def __init__(self, first: float, plain: Seal) -> None:
        self._first = self._wait = first
        self._seals: dict[int, Seal] = {0: plain}
        self._seqs: dict[int, int] = {}
        self._flight: list[Piece] = []
        self.due: float | None = None

    def seal(self, epoch: int, seal: Seal) -> None:
        """How records of an epoch are made from now on."""
        self._seals[epoch] = seal

    def begin(self, flight: Sequence[Piece], now: float) -> list[bytes]:
        """Send a new flight; the one before has been answered."""
        self._flight, self._wait = list(flight), self._first
        self.due = now + self._wait
        return self._send()

    def again(self, now: float) -> list[bytes]:
        """Send what is not answered once more, and wait twice as long."""
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        self.due = now + self._wait
        return self._send()

    def rest(self) -> None:
        """All of it has been answered."""
        self._flight, self.due = [], None

    def acknowledge(self, numbers: Iterable[tuple[int, int]]) -> bool:
        """Take records that the peer has; whether nothing of the flight is left."""
        known = set(numbers)
        self._flight = [piece for piece in self._flight if not piece.numbers & known]
        if not self._flight:
            self.due = None
        return not self._flight

    def record(self, epoch: int, kind: int, body: bytes) -> bytes:
        """One record by itself, that is never sent again."""
        return self._seals[epoch](kind, self._number(epoch), body)

    def _send(self) -> list[bytes]:
        datagrams: list[bytes] = []
        for piece in self._flight:
            number = self._number(piece.epoch)
            piece.numbers.add((piece.epoch, number))
            record = self._seals[piece.epoch](piece.kind, number, piece.body)
            if datagrams and len(datagrams[-1]) + len(record) <= MTU:
                datagrams[-1] += record
            else:
                datagrams.append(record)
        return datagrams

    def _number(self, epoch: int) -> int:
        self._seqs[epoch] = number = self._seqs.get(epoch, -1) + 1
        return number
