"""DTLS and TLS in recordings: fingerprints stay, and nothing that is anybody's."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.recording.capture import open_capture
from circumtest.recording.sheet import Book, Sheet
from circumtest.recording.tls import dtls, tls

DATA = Path(__file__).parents[2] / "data"
RANDOM, SESSION, COOKIE, KEY = b"R" * 32, b"S" * 32, b"C" * 20, b"K" * 32


def extension(kind: int, body: bytes) -> bytes:
    """One of a hello."""
    return struct.pack("!HH", kind, len(body)) + body


def client_hello(*, cookie: bytes | None = None, name: bytes = b"www.example") -> bytes:
    """With a server's name, groups and a key."""
    share = struct.pack("!HHH", 36, 29, 32) + KEY
    sni = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extensions = extension(0, sni) + extension(10, b"\0\2\0\x1d") + extension(51, share)
    middle = b"" if cookie is None else bytes([len(cookie)]) + cookie
    return (
        b"\xfe\xfd" + RANDOM + b"\x20" + SESSION + middle + b"\0\4\xc0\x2b\xc0\x2f\1\0"
        + struct.pack("!H", len(extensions)) + extensions
    )  # fmt: skip


def handshake(kind: int, body: bytes, *, header: int) -> bytes:
    """A message with its header of 4 or 12 bytes."""
    size = len(body).to_bytes(3)
    return bytes([kind]) + size + (bytes(5) + size if header == 12 else b"") + body


def record(body: bytes, kind: int = 22, epoch: int = 0, number: int = 0) -> bytes:
    """A DTLS record."""
    return struct.pack("!B2sHIHH", kind, b"\xfe\xfd", epoch, 0, number, len(body)) + body


def tls_record(body: bytes, kind: int = 22) -> bytes:
    """A TLS record."""
    return struct.pack("!BHH", kind, 0x0303, len(body)) + body


def seen(data: bytes, book: Book | None = None, *, stream: bool = False) -> Sheet:
    """Looked at."""
    sheet = Sheet(data, book or Book(survey=False), client=True)
    assert tls(sheet) if stream else dtls(sheet, 0, len(data))
    return sheet


@pytest.mark.parametrize("stream", [False, True])
def test_a_hello_keeps_its_fingerprint_and_nothing_else(stream: bool) -> None:
    """Ciphers, kinds of extensions and groups stay; random, session, key and name do not."""
    if stream:
        data = tls_record(handshake(1, client_hello(), header=4))
    else:
        data = record(handshake(1, client_hello(cookie=COOKIE), header=12))
    left = seen(data, stream=stream).bare()

    for kept in (b"\xc0\x2b\xc0\x2f", b"\0\x0a\0\4\0\2\0\x1d", b"\0\x33\0\x26\0\x24\0\x1d"):
        assert kept in left
    for gone in (RANDOM, SESSION, COOKIE, KEY, b"example", b"www"):
        assert gone not in left


def test_a_servers_name_is_kept_if_one_wants_it() -> None:
    """And told."""
    data = tls_record(handshake(1, client_hello(), header=4))
    sheet = seen(data, Book(keep_names=True), stream=True)

    assert b"www.example" in sheet.bare()
    assert sheet.book.kept == {"server name 'www.example'": 1}


def test_a_cookie_that_comes_back_is_the_same_place() -> None:
    """In the request to verify, and in the second hello."""
    book = Book()
    verify = seen(record(handshake(3, b"\xfe\xff\x14" + COOKIE, header=12)), book)
    hello = seen(record(handshake(1, client_hello(cookie=COOKIE), header=12)), book)

    (asked,) = verify.places
    assert asked.name in {place.name for place in hello.places}


def test_certificates_keys_and_what_is_encrypted_are_random() -> None:
    """With their sizes; an explicit nonce that is the record's number stays."""
    book = Book()
    own = bytes.fromhex("0001000000000001")
    data = record(handshake(11, b"certificate", header=12)) + record(own + b"sealed", 22, 1, 1)
    left = seen(data, book).bare()

    assert b"cert" not in left
    assert b"sealed" not in left
    assert own in left[13:]


def test_records_of_dtls_1_3_are_known_by_their_company() -> None:
    """Alone they could be anything."""
    book = Book(survey=False)
    data = b"\x2f" + b"x" * 30
    assert not dtls(Sheet(data, book, client=True), 0, len(data))
    seen(record(b"\1", 20), book)

    assert seen(data, book).bare() == b"\x2f" + bytes(30)


def test_messages_that_lie_about_their_length_are_random() -> None:
    """Nothing of them is kept but their heads."""
    hello = handshake(1, client_hello(cookie=b""), header=12)
    for data in (record(hello[:60]), record(b"\x63" + bytes(30) + b"secret")):
        left = seen(data).bare()
        assert RANDOM not in left
        assert b"secret" not in left


def test_of_a_hello_in_fragments_the_first_keeps_its_fingerprint() -> None:
    """Up to the extension that it ends in; the others are random."""
    body = client_hello(cookie=b"")
    size = len(body).to_bytes(3)

    def fragment(begin: int, end: int) -> bytes:
        part = body[begin:end]
        return b"\1" + size + b"\0\0" + begin.to_bytes(3) + len(part).to_bytes(3) + part

    left = seen(record(fragment(0, len(body) - 20))).bare()
    for kept in (b"\xc0\x2b\xc0\x2f", b"\0\x0a\0\4\0\2\0\x1d", b"\0\x33\0\x26"):
        assert kept in left
    for gone in (RANDOM, SESSION, KEY[:4], b"example"):
        assert gone not in left
    assert KEY[:4] not in seen(record(fragment(len(body) - 20, len(body)))).bare()
    assert RANDOM not in seen(record(fragment(0, 40))).bare()


def test_a_stream_after_the_change_of_ciphers_is_random() -> None:
    """And where it is no stream of records any more."""
    data = tls_record(b"\1", 20) + tls_record(b"finished") + b"no record, but secret"
    left = seen(data, stream=True).bare()

    assert b"finished" not in left
    assert b"secret" not in left


def test_a_real_handshake_has_nothing_random_left() -> None:
    """No eight bytes of its certificates, keys and randoms recur in what is kept."""
    packets = open_capture(DATA / "aiortc_p2p.pcap").packets
    for packet in packets[4:8]:
        sheet = seen(packet.payload)
        left = sheet.bare()
        zeros = sum(place.size for place in sheet.places)
        assert len(left) - zeros < 260
        assert b"\x30\x82" not in left  # no certificate


@given(st.binary(max_size=120), st.booleans())
def test_garbage_is_taken_or_not(data: bytes, stream: bool) -> None:
    """Without an exception."""
    sheet = Sheet(data or b"\0", Book(), client=True)
    if stream:
        tls(sheet)
    else:
        dtls(sheet, 0, len(sheet.data))
    assert all(place.end <= len(sheet.data) for place in sheet.places)
