"""CONNECT against RFC 9110 and RFC 9112, and against whatever a proxy may send."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import http

ANSWER = b"HTTP/1.1 200 Connection established\r\nVia: a\r\nProxy-Agent: x y\r\nvia:b \r\n\r\n"


def test_the_request_names_the_target_twice() -> None:
    """RFC 9110 section 9.3.6: authority form, and the same in Host."""
    assert http.connect("192.0.2.1", 443) == (
        b"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n"
    )
    assert http.connect("2001:db8::1", 1).startswith(b"CONNECT [2001:db8::1]:1 HTTP/1.1\r\n")


def test_a_login_is_basic() -> None:
    """RFC 7617: user, colon, password, in UTF-8 and base64."""
    wanted = b"Proxy-Authorization: Basic " + base64.b64encode("me:sésame:x".encode())
    assert wanted in http.connect("192.0.2.1", 443, "me", "sésame:x").split(b"\r\n")


def test_a_head_is_awaited_until_it_is_whole() -> None:
    """Every proper prefix asks for more; what follows belongs to the target."""
    assert all(http.head(ANSWER[:size]) is None for size in range(len(ANSWER)))
    fields = {"via": "a, b", "proxy-agent": "x y"}
    wanted = http.Head(200, "Connection established", fields, len(ANSWER))
    assert http.head(ANSWER + b"HTTP/1.1 500 target\r\n\r\n") == wanted


def test_a_reason_may_be_missing_and_lines_may_end_bare() -> None:
    """RFC 9112 sections 2.2 and 4."""
    assert http.head(b"HTTP/1.0 407\n\n") == http.Head(407, "", {}, 14)
    assert http.head(b"HTTP/1.0 407 \r\n\r\n") == http.Head(407, "", {}, 17)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"\x05\x00",
        b"\x15\x03\x01",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 020 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    """As soon as that is certain."""
    with pytest.raises(ValueError, match="not an HTTP"):
        http.head(data)


def test_a_head_without_an_end_is_refused_in_time() -> None:
    """A proxy cannot make us keep more than LIMIT, nor slip a longer head through in one piece."""
    begun = b"HTTP/1.1 200 OK\r\nx: "
    assert http.head(begun + b"x" * (http.LIMIT - len(begun) - 1)) is None
    for tail in (b"", b"\r\n\r\n"):
        with pytest.raises(ValueError, match="more than"):
            http.head(begun + b"x" * http.LIMIT + tail)


@given(st.binary(max_size=80))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Whatever arrives, the parser returns a value or raises ValueError."""
    for begun in (b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n"):
        try:
            head = http.head(begun + data)
        except ValueError:
            continue
        assert head is None or 0 < head.length <= len(begun + data)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_head_does_not_depend_on_how_it_arrives(rest: bytes, cut: int) -> None:
    """What a prefix was certain of, the whole does not change."""
    data = ANSWER[:30] + rest
    try:
        early = http.head(data[:cut])
    except ValueError:
        with pytest.raises(ValueError):
            http.head(data)
        return
    if early is not None:
        assert http.head(data) == early
