"""The way that signalling goes: messages to the far end and back, over UDP, TCP or TLS.

Garbage in a datagram is as if it had not come; on a stream it ends the framing, so it is the
stream's failure.  It refuses to know what messages mean.
"""

from collections.abc import Iterable
from typing import Protocol

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream
from circumtest.model import Address, Carrier, Cause
from circumtest.pipe import Pipe, Straight
from circumtest.script import Arrival, Script, Send, open_tcp, open_udp
from circumtest.secure import tls
from circumtest.wire import sip
from circumtest.wire.sip import Message


class Line(Protocol):
    """`reliable` is whether nothing need be sent twice (RFC 3261 17.1.1.2, 17.1.2.2)."""

    carrier: Carrier
    reliable: bool

    def encode(self, message: Message) -> Send: ...
    def decode(self, arrival: Arrival) -> Iterable[Message]: ...


class Datagrams:
    """Messages in datagrams of one channel, to and from one address."""

    carrier = Carrier.UDP
    reliable = False

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def encode(self, message: Message) -> Send:
        return self._pipe.encode(sip.pack(message))

    def decode(self, arrival: Arrival) -> Iterable[Message]:
        for data in self._pipe.decode(arrival):
            try:
                yield sip.unpack(data)
            except ValueError:
                continue


class _Coded(Protocol):
    """What `Stream` and `TlsStream` have in common."""

    def encode(self, data: bytes) -> Send: ...
    def decode(self, arrival: Arrival) -> bytes: ...


class Streamed:
    """Messages one behind the other on a stream."""

    reliable = True

    def __init__(self, stream: _Coded, carrier: Carrier) -> None:
        self._stream, self.carrier = stream, carrier
        self._framer = sip.Framer()

    def encode(self, message: Message) -> Send:
        return self._stream.encode(sip.pack(message))

    def decode(self, arrival: Arrival) -> Iterable[Message]:
        """Raises HandshakeFailed MALFORMED for what cannot be framed."""
        try:
            return self._framer.feed(self._stream.decode(arrival))
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None


def connect(
    carrier: Carrier, remote: Address, patience: float, name: str, secret: str
) -> Script[Line]:
    """A line to `remote`; TLS checks that the far half shows the key of `secret`.

    Raises HandshakeFailed like `open_tcp` and `secure.tls`.
    """
    if carrier is Carrier.UDP:
        return Datagrams(Straight((yield from open_udp(remote)), remote))
    stream = Stream((yield from open_tcp(remote, patience)))
    if carrier is Carrier.TCP:
        return Streamed(stream, carrier)
    secured = yield from tls(stream, patience, name=name, secret=secret)
    return Streamed(secured, carrier)
