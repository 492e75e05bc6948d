"""SIP in recordings: lines keep their shape, and nobody is named in them."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.recording.sheet import Book, Sheet
from circumtest.recording.sip import sip, sip_stream

INVITE = b"""INVITE sip:alice@home.example SIP/2.0\r
Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKabcdef;rport\r
From: "Robert" <sip:robert@home.example>;tag=fromtag1\r
To: <sip:alice@home.example>\r
Call-ID: callid12@203.0.113.9\r
CSeq: 1 INVITE\r
Content-Type: application/sdp\r
Content-Length: 99\r
\r
v=0\r
o=robert 1234567 1 IN IP4 203.0.113.9\r
c=IN IP4 203.0.113.9\r
m=audio 4000 RTP/AVP 0\r
a=rtpmap:0 PCMU/8000\r
a=candidate:1 1 UDP 2130706431 203.0.113.9 4000 typ host\r
"""
OK = INVITE.replace(b"INVITE sip:alice@home.example SIP/2.0", b"SIP/2.0 200 OK")


def seen(data: bytes, book: Book | None = None) -> Sheet:
    """Looked at."""
    sheet = Sheet(data, book or Book(), client=True)
    assert sip(sheet, 0, len(data))
    return sheet


def test_the_grammar_stays_and_names_and_addresses_go() -> None:
    """In requests, answers and session descriptions."""
    for message, first in ((INVITE, b"INVITE sip:\0\0\0\0\0@"), (OK, b"SIP/2.0 200 OK\r\n")):
        left = seen(message).bare()
        assert left.startswith(first)
        for kept in (
            b"\r\nVia: SIP/2.0/UDP ",
            b";branch=z9hG4bK",
            b">;tag=",
            b"\r\nCSeq: 1 INVITE\r\n",
            b"Content-Length: 99",
            b"m=audio 4000 RTP/AVP 0",
            b"a=rtpmap:0 PCMU/8000",
            b"c=IN IP4 ",
        ):
            assert kept in left
        for gone in (b"alice", b"obert", b"203", b"113", b"abcdef", b"home", b"fromtag", b"callid"):
            assert gone not in left


def test_a_word_that_recurs_recurs() -> None:
    """Within a message, and in its answer."""
    book = Book()
    asked, answered = seen(INVITE, book), seen(OK, book)
    alice = next(p.name for p in asked.places if p.offset == INVITE.index(b"alice"))

    assert alice
    assert sum(place.name == alice for place in (*asked.places, *answered.places)) == 3


def test_names_are_kept_if_one_wants_it() -> None:
    """All of them."""
    assert seen(INVITE, Book(keep_names=True)).bare() == INVITE


def test_a_stream_is_looked_at_by_the_same_lines() -> None:
    """Of several messages."""
    sheet = Sheet(INVITE + OK, Book(), client=True)

    assert sip_stream(sheet)
    assert b"alice" not in sheet.bare()


@given(st.binary(max_size=80), st.sampled_from([b"", INVITE[:60], OK[:40]]))
def test_garbage_is_taken_or_not(data: bytes, before: bytes) -> None:
    """Without an exception."""
    sheet = Sheet(before + data, Book(), client=True)
    sip(sheet, 0, len(sheet.data))
    assert all(place.end <= len(sheet.data) for place in sheet.places)
