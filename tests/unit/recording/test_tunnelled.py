"""What hides all that it carries: types, versions and sizes stay, all else is random."""

import struct

from circumtest.recording import Kind
from circumtest.recording.sheet import Book, Sheet
from circumtest.recording.tunnelled import ike, quic, wireguard


def sheet(data: bytes, book: Book | None = None) -> Sheet:
    """One of the client's."""
    return Sheet(data, book or Book(survey=False), client=True)


def test_wireguards_four_messages_keep_their_type_and_indices() -> None:
    """A peer's index is the same wherever it stands; data keeps its number."""
    book = Book()
    one, two = b"aaaa", b"bbbb"
    messages = (
        b"\1\0\0\0" + one + b"x" * 124 + bytes(16),
        b"\2\0\0\0" + two + one + b"x" * 64 + bytes(16),
        b"\3\0\0\0" + one + b"x" * 56,
        b"\4\0\0\0" + two + struct.pack("<Q", 5) + b"x" * 32,
    )
    sheets = [sheet(data, book) for data in messages]

    assert all(wireguard(one, 0, len(one.data)) for one in sheets)
    assert all(b"xx" not in one.bare() for one in sheets)
    assert sheets[0].places[0].name == sheets[1].places[1].name
    assert sheets[1].places[0].name == sheets[3].places[0].name
    assert struct.pack("<Q", 5) in sheets[3].bare()
    assert sheets[0].bare()[:4] == b"\1\0\0\0"


def test_what_has_another_size_or_type_is_not_wireguard() -> None:
    """Nor are reserved bytes that are set."""
    for data in (b"\1\0\0\0" + bytes(143), b"\5\0\0\0" + bytes(60), b"\4\1\0\0" + bytes(60)):
        assert not wireguard(sheet(data), 0, len(data))


def test_quic_keeps_version_and_lengths() -> None:
    """Short headers are known by their company only."""
    book = Book()
    long = b"\xc3\0\0\0\1\4" + b"dcid" + b"\0" + b"sealed" * 20
    short = b"\x41" + b"sealed" * 5
    assert not quic(sheet(short, book), 0, len(short))
    first = sheet(long, book)
    assert quic(first, 0, len(long))
    assert quic(sheet(short, book), 0, len(short))

    assert first.bare()[:6] == long[:6]
    assert b"sealed" not in first.bare()
    for wrong in (
        b"\xc3\0\0\0\2" + bytes(20),
        b"\xc3\0\0\0\1\x15" + bytes(40),
        b"\xc3\0\0\0\1\4ab",
    ):
        assert not quic(sheet(wrong), 0, len(wrong))


def test_ike_is_known_with_and_without_a_marker_and_brings_esp_along() -> None:
    """Its identifiers recur."""
    book = Book()
    body = b"spi_here" + b"spi_ther" + bytes.fromhex("2120220800000001") + struct.pack("!I", 40)
    asked = body + b"sealed......"
    esp = b"\1\2\3\4" + b"sealed" * 9
    assert not ike(sheet(esp, book), 0, len(esp))
    for data in (asked, bytes(4) + asked):
        one = sheet(data, book)
        assert ike(one, 0, len(data))
        assert b"sealed" not in one.bare()
        assert one.places[0].name == "y1"
    behind = sheet(esp, book)
    assert ike(behind, 0, len(esp))
    assert [place.kind for place in behind.places] == [Kind.RANDOM]
    assert ike(sheet(b"\xff", book), 0, 1)
