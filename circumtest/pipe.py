"""A way to one peer within a script: what ICE, DTLS and sound run over without knowing it.

The plainest is a UDP channel and the peer's address; a TURN allocation and a reflector give others.
It refuses to wait: it turns bytes into a command and arrivals into bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from circumtest.model import Address, Cause
from circumtest.script import Arrival, Channel, Send


class Pipe(Protocol):
    """`encode` is how bytes are sent to the peer; `decode` what of an arrival came from him.

    Give `decode` every arrival once: over a stream it keeps the beginnings of packets.
    """

    def encode(self, data: bytes) -> Send: ...
    def decode(self, arrival: Arrival) -> Iterable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Straight:
    """Datagrams of one UDP channel, to and from one address."""

    channel: Channel
    remote: Address

    def encode(self, data: bytes) -> Send:
        return Send(self.channel, data, self.remote)

    def decode(self, arrival: Arrival) -> Iterable[bytes]:
        if (
            isinstance(arrival.data, Cause)
            or arrival.channel != self.channel
            or arrival.source != self.remote
        ):
            return ()
        return (arrival.data,)
