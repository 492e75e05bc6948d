"""One direction of a simulated TCP stream: segments out, retransmitted until they get through.

Enough of TCP for what a policy can do to it: order, segments, and patience that doubles as Linux'
does.  It refuses to know where packets go (its world carries them), and has no windows, no
congestion and no bare acknowledgements.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

from circumtest.censor.packet import Packet
from circumtest.censor.policy import Way
from circumtest.script import Flow

MSS = 1400
RTO = 0.2
"""Seconds that a retransmission waits beyond a round trip, the first time (Linux: TCP_RTO_MIN)."""
RETRIES = 12
AHEAD = 10
"""Segments that are sent behind a gap: the initial window (RFC 6928)."""
HEADERS = 72
"""Bytes of a packet that are not its segment: IPv6, TCP and its time stamps."""


class Load(NamedTuple):
    """A packet on its way: of a stream, how many bytes went before, and whether it ends it."""

    flow: Flow
    way: Way
    data: bytes
    offset: int = 0
    last: bool = False

    @property
    def packet(self) -> Packet:
        flow, upwards = self.flow, self.way is Way.UP
        ends = (flow.remote, flow.local) if upwards else (flow.local, flow.remote)
        return Packet(flow.transport, *ends, self.data, upwards, self.offset, self.last)


class World(Protocol):
    """What a stream asks of the world that it is in.

    `mtu` is of its links, in bytes; `trip` is a round trip by their delays alone, and `back` how
    long it takes to hear that something has arrived, in seconds; `lossy` is whether they lose
    packets by chance.
    """

    @property
    def mtu(self) -> int: ...
    @property
    def trip(self) -> float: ...
    @property
    def back(self) -> float: ...
    @property
    def lossy(self) -> bool: ...
    def after(self, seconds: float, call: Callable[[], None]) -> None: ...
    def carry(self, load: Load, arrived: Callable[[], None], lost: Callable[[], None]) -> None: ...


class _Segment(NamedTuple):
    """A segment of a number that is on its way or lost: its `turn` tells sendings apart."""

    number: int
    load: Load
    turn: int
    tries: int


class Pipe:
    """One direction of a stream: what is lost is retransmitted, and all arrives in order.

    Behind a censor who drops, what was not sent yet waits for what was lost, since what follows is
    dropped, too.  On links that lose by chance it goes on, AHEAD segments at most, and what was
    lost is repeated once something sent later is known to have arrived (RFC 8985).
    """

    def __init__(
        self, world: World, flow: Flow, deliver: Callable[[Flow, bytes], None], *, upwards: bool
    ) -> None:
        self._world, self._flow, self._deliver = world, flow, deliver
        self._way = Way.UP if upwards else Way.DOWN
        self._most = min(MSS, world.mtu - HEADERS)
        self._ahead = AHEAD if world.lossy else 0
        self._queue: deque[Load] = deque()
        self._offset = 0
        self._numbers, self._turns = count(), count()
        self._lost: dict[int, _Segment] = {}
        self._early: dict[int, bytes] = {}
        """What has arrived before something that was sent earlier, by number."""
        self._awaited = 0
        self._whole = True

    def push(self, data: bytes, *, last: bool = False) -> None:
        """Queue bytes, split at the segment size; b"" is a segment too (SYN or FIN)."""
        for i in range(0, max(len(data), 1), self._most):
            piece = data[i : i + self._most]
            self._queue.append(Load(self._flow, self._way, piece, self._offset, last))
            self._offset += len(piece)
        self._go()

    def cut(self) -> None:
        """Nothing that still waits is sent any more."""
        self._queue.clear()
        self._lost.clear()
        self._whole = False

    def _go(self) -> None:
        while self._queue and (not self._lost or len(self._lost) < self._ahead):
            self._send(next(self._numbers), self._queue.popleft(), 0)

    def _send(self, number: int, load: Load, tries: int) -> None:
        segment = _Segment(number, load, next(self._turns), tries)
        self._world.carry(load, partial(self._arrived, segment), partial(self._missed, segment))

    def _missed(self, segment: _Segment) -> None:
        if not self._whole:
            return
        self._lost[segment.number] = segment
        if segment.tries < RETRIES:
            patience = (RTO + self._world.trip) * 2**segment.tries
            self._world.after(patience, partial(self._time_out, segment))

    def _time_out(self, segment: _Segment) -> None:
        if self._lost.get(segment.number) is segment:
            self._again(segment, segment.tries + 1)

    def _again(self, segment: _Segment, tries: int) -> None:
        del self._lost[segment.number]
        self._send(segment.number, segment.load, tries)
        self._go()

    def _arrived(self, segment: _Segment) -> None:
        if self._ahead:
            self._world.after(self._world.back, partial(self._heard, segment.turn))
        self._early[segment.number] = segment.load.data
        while self._awaited in self._early:
            self._deliver(self._flow, self._early.pop(self._awaited))
            self._awaited += 1

    def _heard(self, turn: int) -> None:
        """Something has arrived: what is lost and was sent before it, is sent again."""
        for segment in [one for one in self._lost.values() if one.turn < turn]:
            if self._lost.get(segment.number) is segment:
                self._again(segment, segment.tries)
