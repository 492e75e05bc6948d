"""What a censor has seen of one flow: its first bytes in order, sizes, counts, when it began.

Memory is bounded whatever comes: no more is kept than what signatures ask for.  It refuses to judge
and to know protocols.
"""

from collections.abc import Sequence

from circumtest.censor.hello import carries, hello_of
from circumtest.censor.packet import Packet
from circumtest.censor.policy import Hello
from circumtest.model import Transport

KEPT = 4096
"""Bytes of each direction of a stream that are kept: a ClientHello with its longest key shares."""
DATAGRAMS = 4
"""Datagrams from the client that may hold a piece of a ClientHello, and are kept."""
EARLY = 8
"""Segments that are kept until those before them have come."""
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
        self._heads = {True: _Head(), False: _Head()}  # by whether upwards
        self._hellos: list[bytes] = []
        self._hello: Hello | None = None
        self._fresh = False

    @property
    def up(self) -> bytes:
        return self._heads[True].data

    @property
    def down(self) -> bytes:
        return self._heads[False].data

    @property
    def sizes(self) -> Sequence[int]:
        return self._sizes

    @property
    def hello(self) -> Hello | None:
        if self._hello is None and self._fresh:
            self._fresh = False
            if self._hellos:
                self._hello = hello_of(Transport.UDP, self._hellos)
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
        head = self._heads[upwards]
        if packet.transport is Transport.TCP:
            if not head.take(packet.offset, payload):
                return
            self._fresh |= upwards
        else:
            if not head.data:
                head.data = payload[:KEPT]
            if upwards and len(self._hellos) < DATAGRAMS and carries(payload):
                self._hellos.append(payload)
                self._fresh = True
        self.payloads += 1
        if len(self._sizes) < SIZES:
            self._sizes.append(len(payload) if upwards else -len(payload))


class _Head:
    """The first bytes of one direction of a stream, in whatever order its segments come."""

    def __init__(self) -> None:
        self.data = b""
        self._end = 0  # all before it has come
        self._early: dict[int, bytes] = {}  # what came ahead of its turn, by where it begins

    def take(self, offset: int, payload: bytes) -> bool:
        """Whether a segment brings anything new."""
        if offset + len(payload) <= self._end or offset in self._early:
            return False
        if offset > self._end:
            if len(self._early) < EARLY:
                self._early[offset] = payload
            return True
        self._append(offset, payload)
        for at in sorted(self._early):
            if at <= self._end:
                self._append(at, self._early.pop(at))
        return True

    def _append(self, offset: int, payload: bytes) -> None:
        self.data += payload[self._end - offset :][: KEPT - len(self.data)]
        self._end = max(self._end, offset + len(payload))
