"""Requests as web servers get them, and whatever else comes."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from circumtest.lab.web import MOST, PLAIN, Request, Resolver, parse
from circumtest.model import Address, Transport
from circumtest.names import Zone
from circumtest.script import Flow
from circumtest.wire import dns

ZONE = Zone({"blocked.example": ("203.0.113.9",)})


def test_a_request_is_its_line_and_two_fields() -> None:
    """What curl sends; whatever else it says does not matter."""
    head = b"GET /bytes/9 HTTP/1.1\r\nHost: blocked.example\r\nUser-Agent: curl/8\r\n\r\n"
    assert parse(head) == Request("GET", "/bytes/9", "blocked.example", 0)
    head = b"POST / HTTP/1.0\r\ncontent-length:  12 \r\n\r\n"
    assert parse(head) == Request("POST", "/", "", 12)


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MOST + 1),
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_an_error(head: bytes) -> None:
    """It is answered with 400."""
    with pytest.raises(ValueError):
        parse(head)


@given(st.binary(max_size=300))
@example(b"GET / HTTP/1.1\r\n:\r\n\r\n")
def test_garbage_is_an_error_at_most(data: bytes) -> None:
    """Whatever comes before an empty line."""
    with suppress(ValueError):
        parse(data + b"\r\n\r\n")


def test_a_datagram_is_answered_whole_without_a_cookie() -> None:
    """Programs show none; unknown names are refused."""
    resolver = Resolver(ZONE)
    flow = Flow(Transport.UDP, Address("203.0.113.1", 53), Address("192.0.2.2", PLAIN))
    (emit,) = resolver.receive(flow, dns.query(7, "blocked.example", 4), 0.0)
    told = dns.parse_reply(emit.data)
    assert (told.id, told.addresses, told.truncated) == (7, ("203.0.113.9",), False)
    (emit,) = resolver.receive(flow, dns.query(8, "other.example", 4), 0.0)
    assert dns.parse_reply(emit.data).code == dns.REFUSED
    assert resolver.timer() is None
    assert list(resolver.tick(1.0)) == []


def test_a_stream_is_answered_too() -> None:
    """With its length before it."""
    resolver = Resolver(ZONE)
    flow = Flow(Transport.TCP, Address("203.0.113.1", 53), Address("192.0.2.2", PLAIN))
    (emit,) = resolver.receive(flow, dns.frame(dns.query(7, "blocked.example", 4)), 0.0)
    assert dns.parse_reply(emit.data[2:]).addresses == ("203.0.113.9",)


@given(st.binary(max_size=100))
def test_a_datagram_of_garbage_is_not_answered(data: bytes) -> None:
    """Nor does it hurt."""
    flow = Flow(Transport.UDP, Address("203.0.113.1", 53), Address("192.0.2.2", 9))
    for emit in Resolver(ZONE).receive(flow, data, 0.0):
        dns.parse_reply(emit.data)
