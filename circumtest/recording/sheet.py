"""What is marked on the bytes of a flow while it is being imported.

A sheet is one datagram, or one direction of a stream; the book is what all sheets of a flow share:
which values recur, what was recognised, what is kept.  It refuses to know protocols.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from circumtest.recording import Kind, Place

MIN_NAMED = 4
"""Bytes that a value must have to be taken for the same one when it recurs."""
_WORD = re.compile(rb"[A-Za-z0-9+/=]+")
_PRINTABLE = re.compile(rb"[\x20-\x7e]+")


@dataclass(slots=True)
class Book:
    """One flow's: `survey` while it is only looked at, before anything is marked."""

    keep_names: bool = False
    survey: bool = True
    labels: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    sources: dict[tuple[bool, bytes], list[int]] = field(default_factory=dict)
    """Sequence numbers of what may be RTP, by direction and SSRC."""
    tids: set[bytes] = field(default_factory=set)
    tags: set[bytes] = field(default_factory=set)
    first: dict[str, int] = field(default_factory=dict)
    _names: dict[tuple[Kind, bytes], str] = field(default_factory=dict)
    _next: Counter[str] = field(default_factory=Counter)

    def name(self, letter: str, kind: Kind, value: bytes) -> str:
        """The name of a value, the same for the same one; "" for what is too short to have one."""
        if len(value) < MIN_NAMED:
            return ""
        if (kind, value) not in self._names:
            self._next[letter] += 1
            self._names[kind, value] = f"{letter}{self._next[letter]}"
        return self._names[kind, value]

    def count(self, name: str, value: int, bits: int) -> int:
        """By how much a counter is beyond its first value; negative for what was overtaken."""
        ahead = (value - self.first.setdefault(name, value)) % (1 << bits)
        return ahead - (1 << bits) if ahead >> (bits - 1) else ahead


class Sheet:
    """Bytes of one side, and the places marked in them."""

    def __init__(self, data: bytes, book: Book, *, client: bool) -> None:
        self.data = bytearray(data)
        self.book = book
        self.client = client
        self.places: list[Place] = []
        self.at = 0
        """Where what is being looked at begins."""
        self.spots: list[tuple[int, str]] = []

    def seen(self, label: str, count: int = 1) -> None:
        """Say what was recognised on it."""
        self.spots.append((self.at, label))
        self.book.labels[label] += count

    def mark(self, offset: int, size: int, kind: Kind, name: str = "", add: int = 0) -> None:
        """Have these bytes fresh in every play."""
        if size > 0:
            self.places.append(Place(offset, size, kind, name, add))

    def draw(self, offset: int, size: int, letter: str = "", kind: Kind = Kind.RANDOM) -> None:
        """Have them drawn; with a letter, the same ones wherever the same value stands.

        Zeros stay: where a field is empty, it is so in every call.
        """
        value = bytes(self.data[offset : offset + size])
        if not any(value):
            return
        if kind is not Kind.PLAIN or 0xFF not in value:
            self.mark(offset, size, kind, self.book.name(letter, kind, value) if letter else "")
            return
        at = offset
        for piece in value.split(b"\xff"):  # each 0xff stays one
            if piece:
                self.draw(at, len(piece), letter, kind)
            at += len(piece) + 1

    def text(self, offset: int, size: int, letter: str) -> None:
        """Have what is written there replaced, letter for letter; signs between words stay."""
        value = bytes(self.data[offset : offset + size])
        if not _PRINTABLE.fullmatch(value):
            self.draw(offset, size, letter)
            return
        for word in _WORD.finditer(value):
            self.draw(offset + word.start(), len(word[0]), letter, Kind.BASE64)

    def count(self, offset: int, size: int, name: str) -> None:
        """A big-endian number that counts on."""
        value = int.from_bytes(self.data[offset : offset + size])
        self.mark(offset, size, Kind.COUNTER, name, self.book.count(name, value, size * 8))

    def write(self, offset: int, value: bytes) -> None:
        """Put something else there, for good."""
        self.data[offset : offset + len(value)] = value

    def bare(self) -> bytes:
        """The bytes, with zeros at the places."""
        data = bytearray(self.data)
        for place in self.places:
            data[place.offset : place.end] = bytes(place.size)
        return bytes(data)
