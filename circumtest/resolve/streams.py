"""A name asked for over TCP (RFC 7766) or HTTPS (RFC 8484): one connection, one question.

It refuses to ask twice on one connection, and to listen on behind an answer: who could forge one
here could cut the connection.
"""

from collections.abc import Callable
from typing import TypeVar

from circumtest import doh
from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream
from circumtest.model import Address, Cause
from circumtest.resolve.question import GRACE, Asking, Over, Resolver, failed
from circumtest.script import Script, close, now, open_tcp
from circumtest.secure import TlsStream
from circumtest.wire import dns

T = TypeVar("T")
_LEAST = 0.1
"""Seconds that any resolver gets."""


def by_streams(asking: Asking, until: float) -> Script[dns.Reply]:
    """What the first resolver answers that does not fail; they share the time that is left.

    Raises HandshakeFailed for the last one: DNS_LATE, MALFORMED, like `open_tcp`, a stream and TLS,
    ERROR_REPLY for another HTTP status than 200 or no HTTP/2.
    """
    *others, last = asking.resolver.at
    for behind, at in enumerate(others):
        left = until - (yield from now())
        share = max(left / (len(others) + 1 - behind), _LEAST)
        try:
            reply = yield from _by_stream(asking, at, share, grace=0.0)
        except HandshakeFailed:
            continue
        if not failed(reply):
            return reply
    left = max(until - (yield from now()), _LEAST)
    return (yield from _by_stream(asking, last, left, grace=GRACE))


def _by_stream(asking: Asking, at: Address, patience: float, *, grace: float) -> Script[dns.Reply]:
    until = (yield from now()) + patience
    channel = yield from open_tcp(at, patience)
    stream = Stream(channel)
    if asking.resolver.over is Over.DOH:
        number = 0  # RFC 8484 4.1: so that caches know a question by its content
        secured = yield from _secured(asking.resolver, stream, until)
        read = yield from _ask_https(secured, asking.resolver, asking.question(number))
    else:
        number = asking.draw()
        yield from stream.send(dns.frame(asking.question(number)))
        read = _Frame(stream).read
    message = yield from _patiently(read, until, grace)
    yield from close(channel)
    return asking.read(message, number)


def _patiently(read: Callable[[float], Script[T]], until: float, grace: float) -> Script[T]:
    """What `read` gives until then.  Raises DNS_LATE for what came in the grace behind it."""
    try:
        return (yield from read(until))
    except HandshakeFailed as error:
        if error.cause is not Cause.TIMEOUT or not grace:
            raise
        silence = error
    try:
        yield from read(until + grace)
    except HandshakeFailed:
        raise silence from None
    raise HandshakeFailed(Cause.DNS_LATE, f"by {(yield from now()) - until:.1f} s")


class _Frame:
    """One message on a stream behind its length; reading may be given up and gone on with."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._size: int | None = None

    def read(self, until: float) -> Script[bytes]:
        if self._size is None:
            self._size = int.from_bytes((yield from self._stream.read_exactly(2, until)))
        return (yield from self._stream.read_exactly(self._size, until))


def _secured(resolver: Resolver, stream: Stream, until: float) -> Script[TlsStream]:
    secured = TlsStream(stream, name=resolver.name, secret=resolver.secret, alpn=(doh.ALPN,))
    yield from secured.handshake(until)
    if secured.alpn != doh.ALPN:
        raise HandshakeFailed(Cause.ERROR_REPLY, "the resolver speaks no HTTP/2")
    return secured


def _ask_https(
    stream: TlsStream, resolver: Resolver, question: bytes
) -> Script[Callable[[float], Script[bytes]]]:
    """Send the question; what reads the answer to it."""
    client = doh.Client(resolver.name, question, get=resolver.get)
    yield from stream.send(client.opening)

    def read(until: float) -> Script[bytes]:
        while client.answer is None:
            data = yield from stream.read_some(until)
            try:
                told = client.receive(data)
            except ValueError as error:
                raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
            if told:
                yield from stream.send(told)
        if client.answer.status != 200:
            raise HandshakeFailed(Cause.ERROR_REPLY, f"HTTP {client.answer.status}")
        return client.answer.message

    return read
