"""The questions that tell what kind of network this is, as scripts: a name, a page, TLS.

Each gives what was heard, and fails with what the network did.  They send what any browser or
phone sends, once.  They refuse to judge: one answer says nothing of a network.
"""

import email.utils
import ssl
from collections.abc import Iterable
from functools import lru_cache
from random import Random
from typing import NamedTuple

from cryptography import x509

from circumtest import identity
from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream, exchange
from circumtest.live.neutral import Page
from circumtest.model import Address, Cause
from circumtest.script import Arrival, Script, Send, now, open_tcp, open_udp
from circumtest.wire import dns, http

AGAIN = (0.0, 0.7)
"""Seconds at which a datagram is sent; a second one since any may be lost."""
MAX_BODY = 4096
"""Bytes of a page that are looked at."""


class PageSaid(NamedTuple):
    """Whether a page is what it ought to be, what came instead, and the far clock's lead (s)."""

    right: bool
    said: str
    offset: float | None


class Certificate(NamedTuple):
    """Whether it is for the name that was asked for, and how far its time is from now.

    `off` is how many seconds this clock is before (negative) or behind (positive) its validity.
    """

    right: bool
    off: float


def name(at: Address, asked: str, version: int, rng: Random) -> Script[tuple[str, ...]]:
    """Ask the resolver at `at` for the addresses of a name.  Raises HandshakeFailed."""
    channel = yield from open_udp(at)
    number = rng.getrandbits(16)
    question = dns.query(number, asked, version)

    def ask() -> Iterable[Send]:
        yield Send(channel, question, at)

    def answered(arrival: Arrival) -> dns.Reply | None:
        if isinstance(arrival.data, Cause) or arrival.source != at:
            return None
        try:
            reply = dns.parse_reply(arrival.data)
        except ValueError:
            return None
        return reply if reply.id == number else None

    reply = yield from exchange(ask, answered, AGAIN, PATIENCE_NAME)
    if reply.code == dns.NXDOMAIN:
        raise HandshakeFailed(Cause.DNS_NXDOMAIN, reply.words)
    if reply.code != dns.NOERROR:
        raise HandshakeFailed(Cause.DNS_SERVFAIL, reply.words)
    if not reply.addresses:
        raise HandshakeFailed(Cause.DNS_EMPTY, reply.words)
    return reply.addresses


PATIENCE_NAME = 1.6
"""Seconds for a resolver."""


def page(at: Address, asked: Page, until: float) -> Script[PageSaid]:
    """Fetch a page over plain HTTP by `until` (script time).

    Anything that speaks HTTP is an answer, whatever it says.  Raises HandshakeFailed for silence,
    and MALFORMED for what is no HTTP.
    """
    stream = yield from _connected(at, until)
    lines = (
        f"GET {asked.place} HTTP/1.1",
        f"Host: {asked.name}" + (f":{asked.port}" if asked.port != 80 else ""),
        "User-Agent: Mozilla/5.0",
        "Accept: */*",
        "Connection: close",
    )
    yield from stream.send("\r\n".join([*lines, "", ""]).encode())
    data, head = b"", None
    try:
        while head is None:
            data += yield from stream.read_some(until)
            head = http.head(data)
    except ValueError as error:
        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
    body = data[head.length :]
    while asked.body and asked.body.encode() not in body and len(body) < MAX_BODY:
        try:
            body += yield from stream.read_some(until)
        except HandshakeFailed:  # its end, or no more in time
            break
    right = head.status == asked.status and asked.body.encode() in body
    away = " and leads elsewhere" if "location" in head.fields else ""
    return PageSaid(right, f"status {head.status}{away}", (yield from _offset(head)))


def _offset(head: http.Head) -> Script[float | None]:
    """How many seconds the far clock is ahead, None where it does not say."""
    here = yield from now()
    try:
        there = email.utils.parsedate_to_datetime(head.fields.get("date", ""))
        return there.timestamp() - here
    except (ValueError, TypeError, OverflowError):
        return None


def greeting(at: Address, asked: str, until: float) -> Script[Certificate]:
    """Shake hands by TLS as far as the server's certificate, whoever made it.

    Raises HandshakeFailed: MALFORMED for what is no TLS, ERROR_REPLY for an alert.
    """
    stream = yield from _connected(at, until)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _anybody().wrap_bio(incoming, outgoing, server_hostname=asked)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            if waiting := outgoing.read():
                yield from stream.send(waiting)
            incoming.write((yield from stream.read_some(until)))
        except ssl.SSLError as error:
            alert = "ALERT" in (error.reason or "")
            cause = Cause.ERROR_REPLY if alert else Cause.MALFORMED
            raise HandshakeFailed(cause, error.reason or "TLS") from None
    return certificate(tls.getpeercert(binary_form=True) or b"", asked, (yield from now()))


def certificate(der: bytes, asked: str, at: float) -> Certificate:
    """What a certificate says of a name and of a time (Unix).  Any bytes give a value."""
    try:
        found = x509.load_der_x509_certificate(der)
        begins = found.not_valid_before_utc.timestamp()
        ends = found.not_valid_after_utc.timestamp()
        right = identity.is_for(found, asked)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return Certificate(False, 0.0)
    off = min(at - begins, 0.0) or max(at - ends, 0.0)
    return Certificate(right, off)


def _connected(at: Address, until: float) -> Script[Stream]:
    left = until - (yield from now())
    return Stream((yield from open_tcp(at, max(left, 0.1))))


@lru_cache(maxsize=1)
def _anybody() -> ssl.SSLContext:
    """Whose certificate it is, is looked at afterwards: a stranger's is an answer, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
