"""WHIP in bytes: requests, answers, and everything that is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import http, sdp, whip

POST = whip.post("192.0.2.1", 8080, b"v=0 offer")
CREATED = whip.created(b"v=0 answer", "/whip/1", "tag")


def test_an_offer_is_posted_as_the_rfc_has_it() -> None:
    """RFC 9725 4.2: POST, application/sdp; the answer is 201 with Location and entity tag."""
    assert POST.startswith(b"POST /whip HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n")
    assert b"\r\nContent-Type: application/sdp\r\nContent-Length: 9\r\n\r\nv=0 offer" in POST
    assert whip.request(POST) == whip.Request("POST", "/whip", b"v=0 offer")
    assert whip.reply(CREATED) == whip.Reply(201, "Created", "tag", "/whip/1", b"v=0 answer")
    assert b"Host: [2001:db8::1]:80" in whip.post("2001:db8::1", 80, b"")


def test_a_call_is_ended_by_delete() -> None:
    """Of what the POST made."""
    request = whip.request(whip.delete("192.0.2.1", 80, "/whip/1"))

    assert request == whip.Request("DELETE", "/whip/1", b"")
    assert whip.reply(whip.plain(200, "OK")) == whip.Reply(200, "OK", "", "", b"")


@pytest.mark.parametrize("data", [POST, whip.delete("192.0.2.1", 80, "/whip/1")])
def test_a_request_in_pieces_is_none_until_it_is_whole(data: bytes) -> None:
    """Octet by octet."""
    assert [at for at in range(len(data)) if whip.request(data[:at])] == []
    assert whip.request(data)


def test_an_answer_in_pieces_is_none_until_it_is_whole() -> None:
    """Octet by octet."""
    assert [at for at in range(len(CREATED)) if whip.reply(CREATED[:at])] == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /whip HTTP/3\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nno field\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /whip HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (sdp.MAX_SIZE + 1),
        b"POST /" + b"a" * http.LIMIT + b" HTTP/1.1\r\n",
    ],
)
def test_what_is_no_request_of_ours_is_an_error(data: bytes) -> None:
    """As soon as that is certain, so that nothing is kept of it."""
    with pytest.raises(ValueError):
        whip.request(data)


def test_an_answer_with_a_body_of_no_size_is_an_error() -> None:
    """Or one that no description has."""
    for length in (b"x", b"999999"):
        with pytest.raises(ValueError):
            whip.reply(b"HTTP/1.1 201 Created\r\nContent-Length: " + length + b"\r\n\r\n")


@given(st.binary(max_size=120), st.integers(0, len(POST)))
def test_garbage_is_an_error_or_not_whole_yet(data: bytes, at: int) -> None:
    """Alone, and behind the beginning of a good one."""
    for parse, good in ((whip.request, POST), (whip.reply, CREATED)):
        for text in (data, good[:at] + data):
            try:
                parse(text)
            except ValueError:
                continue
