"""The way to a TURN server: datagrams, or a stream with or without TLS; messages in, messages out.

It refuses to know what the messages say.
"""

from dataclasses import dataclass, field

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream
from circumtest.model import Address, Carrier, Cause, Transport
from circumtest.script import Arrival, Channel, Script, Send, open_tcp, open_udp
from circumtest.secure import TlsStream, tls
from circumtest.turn.dialect import Caller
from circumtest.wire import turn


@dataclass(slots=True)
class Link:
    """A channel to one server; over UDP others may share it."""

    channel: Channel
    server: Address
    stream: Stream | TlsStream | None = None
    _framer: turn.Framer = field(default_factory=turn.Framer)

    @property
    def reliable(self) -> bool:
        """Whether what is sent needs no repetition, and channel data needs padding."""
        return self.stream is not None

    def encode(self, message: bytes) -> Send:
        """How a message is sent to the server."""
        if self.stream is not None:
            return self.stream.encode(message)
        return Send(self.channel, message, self.server)

    def decode(self, arrival: Arrival) -> list[bytes]:
        """The server's messages in what arrived; give it every arrival once.

        Raises HandshakeFailed MALFORMED for a stream that holds anything else.
        """
        if arrival.channel != self.channel:
            return []
        if self.stream is not None:
            return self._framed(arrival, self.stream)
        if isinstance(arrival.data, Cause) or not same(arrival.source, self.server):
            return []
        return [arrival.data]

    def _framed(self, arrival: Arrival, stream: Stream | TlsStream) -> list[bytes]:
        try:
            return self._framer.feed(stream.decode(arrival))
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        except HandshakeFailed as error:
            if error.cause is not Cause.EOF:
                raise
            return []  # the end of TLS: that of the stream follows, and who waits is told then


def connect(
    caller: Caller, server: Address, patience: float, shared: Channel | None = None
) -> Script[Link]:
    """A link by `caller.carrier`, over the UDP channel `shared` where there is one.

    Raises HandshakeFailed with what the network or TLS said, within `patience` seconds each.
    """
    if caller.carrier.transport is Transport.UDP:
        return Link(shared or (yield from open_udp(server)), server)
    stream = Stream((yield from open_tcp(server, patience)))
    if caller.carrier is Carrier.TLS:
        secured = yield from tls(stream, patience, name=caller.name, secret=caller.secret)
        return Link(stream.channel, server, secured)
    return Link(stream.channel, server, stream)


def same(left: Address, right: Address) -> bool:
    """Whether two addresses are one, however they are spelled."""
    return left == right or (left.port == right.port and left.packed == right.packed)
