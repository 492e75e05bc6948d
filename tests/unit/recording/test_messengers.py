"""MTProto's framings and WhatsApp's Noise in recordings: lengths stay, secrets do not."""

import struct
from zlib import crc32

import pytest

from circumtest.recording.messengers import mtproto, noise
from circumtest.recording.sheet import Book, Sheet

ASKED = bytes(8) + b"messagei" + struct.pack("<I", 20) + b"\xf1\x8e\x7e\xbe" + b"N" * 16
SEALED = b"authkey!" + b"sealed" * 8


def framed(message: bytes, framing: str) -> bytes:
    """A message as it travels."""
    if framing == "abridged":
        return bytes([len(message) // 4]) + message
    if framing == "full":
        head = struct.pack("<II", len(message) + 12, 0) + message
        return head + struct.pack("<I", crc32(head))
    return struct.pack("<I", len(message)) + message


INTRODUCTIONS = {
    "abridged": b"\xef",
    "intermediate": b"\xee" * 4,
    "padded": b"\xdd" * 4,
    "full": b"",
}


@pytest.mark.parametrize("framing", INTRODUCTIONS)
def test_every_open_framing_is_known_on_both_sides(framing: str) -> None:
    """The server's by the client's; the nonce recurs, what is sealed is random."""
    book = Book()
    up = Sheet(
        INTRODUCTIONS[framing] + framed(ASKED, framing) + framed(SEALED, framing), book, client=True
    )
    down = Sheet(framed(ASKED, framing), book, client=False)

    assert mtproto(up)
    assert mtproto(down)
    for sheet in (up, down):
        left = sheet.bare()
        assert b"\xf1\x8e\x7e\xbe" in left
        assert not any(word in left for word in (b"messagei", b"NNNN", b"authkey!", b"sealed"))
    assert {p.name for p in up.places if p.name} == {p.name for p in down.places if p.name} != set()
    assert book.labels["MTProto"] == 3


def test_a_stream_that_is_obfuscated_is_not_known() -> None:
    """Nor a server's whose client was not."""
    assert not mtproto(Sheet(bytes(range(64, 200)), Book(), client=True))
    assert not mtproto(Sheet(framed(ASKED, "intermediate"), Book(), client=False))


def test_what_breaks_off_or_does_not_fit_is_random() -> None:
    """It is kept by nobody's length."""
    for rest in (b"\xff\xff\xff\x7fsecret", b"\4\0\0\0s", b"sec"):
        sheet = Sheet(b"\xee" * 4 + framed(ASKED, "intermediate") + rest, Book(), client=True)
        assert mtproto(sheet)
        assert b"sec" not in sheet.bare()
        assert max(place.end for place in sheet.places) == len(sheet.data)


@pytest.mark.parametrize("intro", [b"WA\6\3", b"ED\0\1\0\0\4\x08\5\x08\2WA\6\3"])
def test_whatsapps_stream_keeps_its_introduction_and_lengths(intro: bytes) -> None:
    """And which message is the first; the server's side is known by the client's."""
    book = Book()
    hello = b"\0\0\x24\x12\x22\x0a\x20" + b"K" * 32
    down = Sheet(b"\0\0\x08\x1a\x06\x0a\x04Kkey" + b"\0\0\4seal", book, client=False)
    assert not noise(down)
    up = Sheet(intro + hello + b"\0\0\6sealed" + b"\0\1", book, client=True)

    assert noise(up)
    assert noise(down)
    assert up.bare().startswith(intro + hello[:7])
    assert b"K" not in up.bare() + down.bare()
    assert b"seal" not in up.bare() + down.bare()
    assert down.bare()[:7] == b"\0\0\x08\x1a\x06\x0a\x04"
