"""Session descriptions: what is written is read, what phones write is read, and bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import sdp

ATTRIBUTES = (("group", "BUNDLE 0"), ("ice-lite", ""))
SOUND = sdp.Media(
    "audio",
    49170,
    "UDP/TLS/RTP/SAVPF",
    ("111", "0"),
    "192.0.2.7",
    (("ice-ufrag", "abcd"), ("sendrecv", ""), ("rtpmap", "111 opus/48000/2")),
)
SESSION = sdp.Session("192.0.2.7", 2890844526, 2, (SOUND,), attributes=ATTRIBUTES)
# RFC 8866 section 5 (a shortened form of its example), with lines that no call has.
EXAMPLE = b"""v=0\r
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r
s=Call to John Smith\r
i=SDP Offer #1\r
e=Jane Doe <jane@jdoe.example.com>\r
c=IN IP4 198.51.100.1\r
b=AS:64\r
t=0 0\r
m=audio 49170 RTP/AVP 0\r
m=audio 49180 RTP/AVP 0\r
m=video 51372/2 RTP/AVP 99\r
c=IN IP6 2001:db8::2\r
a=rtpmap:99 h263-1998/90000\r
"""


def test_what_is_written_is_read() -> None:
    """Session, media, attributes in their order, over either IP."""
    assert sdp.parse(sdp.pack(SESSION)) == SESSION
    six = sdp.Session("2001:db8::1", 1, 1, (), "me", "a name", "2001:db8::1")
    assert sdp.parse(sdp.pack(six)) == six
    assert sdp.pack(SESSION).endswith(b"a=rtpmap:111 opus/48000/2\r\n")


def test_the_example_of_the_rfc_is_read() -> None:
    """A medium without an address has the session's; lines of no interest are read over."""
    session = sdp.parse(EXAMPLE)

    assert (session.user, session.name, session.origin) == (
        "jdoe",
        "Call to John Smith",
        "198.51.100.1",
    )
    assert [session.address(media) for media in session.media] == [
        ("198.51.100.1", 49170),
        ("198.51.100.1", 49180),
        ("2001:db8::2", 51372),
    ]
    assert session.media[2].formats == ("99",)
    assert session.media[2].get("rtpmap") == "99 h263-1998/90000"


def test_lines_may_end_as_unix_has_it() -> None:
    """RFC 8866 section 5."""
    assert sdp.parse(EXAMPLE.replace(b"\r\n", b"\n")) == sdp.parse(EXAMPLE)


def test_a_medium_inherits_what_its_session_says() -> None:
    """But what it says itself counts; where nobody says where, that is an error."""
    assert SESSION.get(SOUND, "group") == "BUNDLE 0"
    assert SESSION.get(SOUND, "ice-ufrag") == "abcd"
    assert SESSION.get(SOUND, "ice-pwd") is None
    with pytest.raises(ValueError, match="address"):
        SESSION.address(sdp.Media("audio", 1, "RTP/AVP", ("0",)))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"v=1\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n",
        b"v=0\r\ns=-\r\no=- 1 1 IN IP4 192.0.2.1\r\n",
        b"v=0\r\no=- one 1 IN IP4 192.0.2.1\r\ns=-\r\n",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 65536 RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 1 RTP/AVP\r\n",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nwhat is this\r\n",
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=\xff\r\n",
        EXAMPLE + b"a=x\r\n" * 5000,
        EXAMPLE + b"m=audio 1 RTP/AVP 0\r\n" * 20,
    ],
)
def test_what_is_not_well_formed_is_an_error(broken: bytes) -> None:
    """Versions, order, names for addresses, families, numbers, ports, letters, sizes."""
    with pytest.raises(ValueError):
        sdp.parse(broken)


def test_candidates_are_read_as_browsers_write_them() -> None:
    """With whatever they add behind the type."""
    value = (
        "842163049 1 udp 1677729535 203.0.113.1 61764 typ srflx raddr 0.0.0.0 rport 0 generation 0"
    )

    assert sdp.parse_candidate(value) == sdp.Candidate(
        "203.0.113.1", 61764, 1677729535, "srflx", "842163049"
    )
    mine = sdp.Candidate("2001:db8::7", 40000)
    assert sdp.parse_candidate(mine.pack()) == mine
    for wrong in ("", "1 1 udp 1 a-name.local 1 typ host", "1 1 udp 1 192.0.2.1 70000 typ host"):
        with pytest.raises(ValueError):
            sdp.parse_candidate(wrong)


@given(st.binary(max_size=200), st.integers(0, 300), st.binary(max_size=4))
def test_garbage_is_an_error_and_nothing_else(data: bytes, at: int, put: bytes) -> None:
    """Alone, and inside a good description."""
    for text in (data, EXAMPLE[:at] + put + EXAMPLE[at + 1 :], EXAMPLE + data):
        try:
            session = sdp.parse(text)
        except ValueError:
            continue
        assert len(session.media) <= sdp.MAX_MEDIA


@given(st.text(max_size=80))
def test_garbage_is_no_candidate(text: str) -> None:
    """Whatever it is."""
    try:
        sdp.parse_candidate(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("IN IP4 pc33.atlanta.example.com", "pc33.atlanta.example.com"),
        ("IN IP6 [2001:db8::1]", "2001:db8::1"),
        ("IN IP4 2001:db8::1", "2001:db8::1"),
    ],
)
def test_who_made_it_may_be_written_as_agents_do(written: str, origin: str) -> None:
    """Names, brackets and a version that does not fit: nothing is ever sent there."""
    session = sdp.parse(f"v=0\r\no=- 1 1 {written}\r\ns=-\r\n".encode())

    assert session.origin == origin
    assert sdp.parse(sdp.pack(session)).origin == origin
