"""Gates: who begins with a packet of ours is let through to a far half, others are as if unheard.

A far half that would answer anybody, as the real service does, stands behind a `Gate`; one that
speaks TLS, in whose first packet there is no room for a tag, behind `Acquainted`.  They refuse to
answer.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from circumtest.model import Address, Transport
from circumtest.script import Answerer, Emit, Flow

MAX_FLOWS = 4096
"""Flows that have been let through; the oldest is forgotten first."""
MAX_BEGUN = 512
"""Streams whose beginning is kept."""
MAX_BEGINNING = 4096
"""Bytes within which a stream must have shown whose it is."""
_TLS = b"\x16"

IsOurs = Callable[[bytes], bool | None]


class Gate:
    """`inner` for flows whose first packet, or a stream's first bytes, `is_ours` says yes to."""

    def __init__(self, inner: Answerer, is_ours: IsOurs) -> None:
        self._inner, self._is_ours = inner, is_ours
        self._through: OrderedDict[Flow, None] = OrderedDict()
        self._begun: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.TCP and not data:
            self._begun.pop(flow, None)
            if flow not in self._through:
                return ()
            del self._through[flow]
            return self._inner.receive(flow, b"", now)
        if flow in self._through:
            self._through.move_to_end(flow)
            return self._inner.receive(flow, data, now)
        beginning = self._begun.pop(flow, b"") + data
        ours = self._is_ours(beginning)
        if ours:
            if len(self._through) >= MAX_FLOWS:
                self._through.popitem(last=False)
            self._through[flow] = None
            return self._inner.receive(flow, beginning, now)
        if ours is None and flow.transport is Transport.TCP and len(beginning) <= MAX_BEGINNING:
            if len(self._begun) >= MAX_BEGUN:
                del self._begun[next(iter(self._begun))]
            self._begun[flow] = beginning
        return ()

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._inner.tick(now)


class Acquainted:
    """`inner`'s streams for hosts that have said hello not long ago; its datagrams for anybody.

    `datagrams` says whether it has any.
    """

    def __init__(
        self, inner: Answerer, knows: Callable[[Address, float], bool], *, datagrams: bool
    ) -> None:
        self._inner, self._knows, self._datagrams = inner, knows, datagrams
        self._through: OrderedDict[Flow, None] = OrderedDict()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            return self._inner.receive(flow, data, now) if self._datagrams else ()
        if not data:
            if flow not in self._through:
                return ()
            del self._through[flow]
            return self._inner.receive(flow, b"", now)
        if flow not in self._through:
            if data[:1] != _TLS or not self._knows(flow.remote, now):
                return ()
            if len(self._through) >= MAX_FLOWS:
                self._through.popitem(last=False)
            self._through[flow] = None
        return self._inner.receive(flow, data, now)

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._inner.tick(now)
