"""SIP messages: what stands in them, what is none, and where they begin and end on a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import sip
from circumtest.wire.sip import Framer, Request, Response

HEADERS = (
    ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone;rport=4000;received=198.51.100.7"),
    ("From", '"A, B" <sip:a@example.org;x=1>;tag=from'),
    ("To", "<sip:b@example.org>"),
    ("Call-ID", "call"),
    ("CSeq", "7 INVITE"),
)
INVITE = Request(HEADERS, b"body", "INVITE", "sip:b@example.org")
RAW = (
    b"INVITE sip:b@example.org SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone,\r\n  SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKtwo\r\n"
    b"f: <sip:a@example.org>;tag=from\r\nt:<sip:b@example.org>\r\nI : call\r\n"
    b"CSeq: 7 INVITE\r\nl: 4\r\n\r\nbody and more"
)


def test_what_is_packed_is_unpacked_again() -> None:
    """Requests and answers; the length is not the message's but its bytes'."""
    answer = Response(HEADERS, b"", 180, "Ringing")

    for message in (INVITE, answer):
        assert sip.unpack(sip.pack(message)) == message
    assert b"Content-Length: 4\r\n\r\nbody" in sip.pack(INVITE)
    assert sip.pack(answer).startswith(b"SIP/2.0 180 Ringing\r\n")


def test_compact_names_folds_and_what_follows_the_body_are_understood() -> None:
    """RFC 3261 7.3.1, 7.3.3 and 18.3."""
    message = sip.unpack(RAW)

    assert isinstance(message, Request)
    assert message.body == b"body"
    assert message.get("call-id") == "call"
    assert message.cseq == (7, "INVITE")
    assert sip.branch(message) == "z9hG4bKone"
    assert len(sip.split(message.get("Via"))) == 2
    assert sip.tag(message.get("From")) == "from"
    assert message.get("Contact") == ""


def test_a_length_given_twice_alike_is_one_length() -> None:
    """And two that differ are none."""
    twice = RAW.replace(b"l: 4\r\n", b"l: 4\r\nContent-Length: 4\r\n")

    assert sip.unpack(twice).body == b"body"
    with pytest.raises(ValueError, match="two lengths"):
        sip.unpack(twice.replace(b"Length: 4", b"Length: 3"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        RAW[:60],
        RAW.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1),
        RAW.replace(b"sip:b@example.org SIP", b" SIP", 1),
        RAW.replace(b"7 INVITE", b"7 BYE"),
        RAW.replace(b"7 INVITE", b"-7 INVITE"),
        RAW.replace(b"7 INVITE", b"2147483648 INVITE"),
        RAW.replace(b"7 INVITE", b"7"),
        RAW.replace(b"I : call\r\n", b""),
        RAW.replace(b"l: 4", b"l: 400"),
        RAW.replace(b"l: 4", b"l: x"),
        RAW.replace(b"l: 4", b"no header"),
        RAW.replace(b"l: 4", b"a b: c"),
        RAW.replace(b"l: 4", b"x: \0"),
        RAW.replace(b"l: 4", b"x: \xff"),
        RAW.replace(b"l: 4", b"x: y\r\n" * 200 + b"l: 4"),
        RAW.replace(b"INVITE sip", b"IN(VITE sip"),
        b"SIP/2.0 700 Odd\r\n" + RAW.partition(b"\r\n")[2],
        b"SIP/2.0 20 Odd\r\n" + RAW.partition(b"\r\n")[2],
        RAW + bytes(sip.MAX_SIZE),
    ],
)
def test_what_is_no_sip_message_is_a_value_error(data: bytes) -> None:
    """Cut, of another version, contradicting itself, beyond the bounds."""
    with pytest.raises(ValueError):
        sip.unpack(data)


@given(st.binary(max_size=300))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Alone, and behind a good beginning."""
    for tried in (data, RAW[:80] + data, b"SIP/2.0 200 OK\r\n" + data, RAW[:-18] + data):
        try:
            message = sip.unpack(tried)
        except ValueError:
            continue
        sip.branch(message)
        message.cseq  # noqa: B018


@given(st.lists(st.integers(0, 400), max_size=8))
def test_a_stream_is_cut_where_messages_end_however_it_comes(cuts: list[int]) -> None:
    """Blank lines between them keep a stream alive and mean nothing."""
    whole = b"\r\n\r\n" + sip.pack(INVITE) + b"\r\n" + sip.pack(Response(HEADERS, b"", 200, "OK"))
    framer, found = Framer(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(whole)], strict=True):
        found += framer.feed(whole[start:end])

    assert found == [INVITE, Response(HEADERS, b"", 200, "OK")]


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (sip.MAX_SIZE + 1),
        RAW.replace(b"l: 4\r\n", b""),
        RAW.replace(b"l: 4", b"l: 16384"),
        b"\x16\x03\x01\x02\x00\x01" * 9 + b"\r\n\r\n",
    ],
)
def test_what_cannot_be_framed_is_a_value_error(data: bytes) -> None:
    """Without end, without a length, too long, another protocol."""
    with pytest.raises(ValueError):
        Framer().feed(data)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_a_stream_of_garbage_is_a_value_error_and_nothing_else(chunks: list[bytes]) -> None:
    """Or nothing yet."""
    framer = Framer()
    try:
        for chunk in chunks:
            framer.feed(chunk)
    except ValueError:
        return


def test_parts_of_values_keep_their_quotes_and_brackets() -> None:
    """Commas and semicolons inside do not count, quotes may be escaped."""
    value = r'"a, \" b" <sip:x;y,z>;tag=1, <sip:c>'

    assert sip.split(value) == [r'"a, \" b" <sip:x;y,z>;tag=1', "<sip:c>"]
    assert sip.parameters('x;A=1;b;c="d;e"') == {"a": "1", "b": "", "c": "d;e"}
    assert sip.uri_in(value) == "sip:x;y,z"
    assert sip.uri_in("sip:a@b;tag=1") == "sip:a@b"
    assert sip.uri_in("") == ""


def test_where_we_were_seen_stands_in_the_topmost_via() -> None:
    """IPv4, IPv6 with and without brackets, with and without a port."""
    assert sip.seen_at(INVITE) == ("198.51.100.7", 4000)
    for written, read in (
        ("received=[2001:db8::1];rport=5", ("2001:db8::1", 5)),
        ("received=2001:DB8::1", ("2001:db8::1", 0)),
        ("rport;received=192.0.2.1", ("192.0.2.1", 0)),
    ):
        message = Response((("Via", f"SIP/2.0/TCP x.invalid;{written}"), *HEADERS[1:]), b"", 200)
        assert sip.seen_at(message) == read


@pytest.mark.parametrize("written", ["rport=1", "received=x", "received=192.0.2.1;rport=70000"])
def test_an_address_that_is_none_is_a_value_error(written: str) -> None:
    """Missing, a name, a port beyond 65535."""
    message = Response((("Via", f"SIP/2.0/UDP x;{written}"), *HEADERS[1:]), b"", 200)

    with pytest.raises(ValueError):
        sip.seen_at(message)


def test_an_address_in_a_uri_has_brackets_when_it_needs_them() -> None:
    """RFC 3261 25.1."""
    assert sip.host_of("2001:db8::1") == "[2001:db8::1]"
    assert sip.host_of("192.0.2.1") == "192.0.2.1"
