"""What a censor has seen of one flow: its first bytes in order, sizes, counts, when it began.

Memory is bounded whatever comes: no more is kept than what signatures ask for.  It refuses to judge
and to know protocols.
"""

from collections.abc import Sequence

from circumtest.censor.hello import hello_of
from circumtest.censor.policy import Hello, Packet
from circumtest.model import Transport

KEPT = 4096
"""Bytes of each direction of a stream that are kept: a ClientHello with its longest key shares."""
DATAGRAMS = 4
"""First datagrams from the client that a ClientHello is looked for in."""
_HANDSHAKE = b"\x16\x03"
"""How a TLS record of a handshake begins (RFC 8446 5.1)."""
SIZES = 32
"""First packets with a payload whose sizes are kept."""


class Sight:
    """A flow so far, as `circumtest.censor.policy.Seen`.  `begun` is when its first packet came.

    A segment that comes again is not seen again: it adds neither bytes nor sizes.
    """

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.payloads = 0
        self._sizes: list[int] = []
        self._heads = {True: b"", False: b""}  # by whether upwards
        self._ends = {True: 0, False: 0}
        self._datagrams: list[bytes] = []
        self._hello: Hello | None = None
        self._fresh = False

    @property
    def up(self) -> bytes:
        return self._heads[True]

    @property
    def down(self) -> bytes:
        return self._heads[False]

    @property
    def sizes(self) -> Sequence[int]:
        return self._sizes

    @property
    def hello(self) -> Hello | None:
        if self._hello is None and self._fresh:
            self._fresh = False
            if self._datagrams:
                self._hello = hello_of(Transport.UDP, self._datagrams)
            elif self.up:
                self._hello = hello_of(Transport.TCP, [self.up])
        return self._hello

    @property
    def greeting(self) -> bool:
        """Whether a stream may be in the midst of a ClientHello."""
        return self.up.startswith(_HANDSHAKE[: len(self.up)]) and 0 < len(self.up) < KEPT

    def add(self, packet: Packet) -> None:
        """See one more packet."""
        payload, upwards = packet.payload, packet.upwards
        if not payload:
            return
        if packet.transport is Transport.TCP:
            end = packet.offset + len(payload)
            if end <= self._ends[upwards]:
                return
            self._ends[upwards] = end
            head = self._heads[upwards]
            if len(head) < KEPT and packet.offset <= len(head):
                self._heads[upwards] = (
                    head + payload[len(head) - packet.offset :][: KEPT - len(head)]
                )
                self._fresh |= upwards
        else:
            if not self._heads[upwards]:
                self._heads[upwards] = payload[:KEPT]
            if upwards and len(self._datagrams) < DATAGRAMS:
                self._datagrams.append(payload)
                self._fresh = True
        self.payloads += 1
        if len(self._sizes) < SIZES:
            self._sizes.append(len(payload) if upwards else -len(payload))
