"""Several answerers at one place: how a service and its neutral control share an address.

The first one that answers a stream owns it; until then each of them sees what came.  Datagrams
stand for themselves, so that the next caller from the same port may want another of them.  It
refuses to listen on anything: the lab, the mirror and the simulator do that.
"""

from collections.abc import Iterable, Sequence

from circumtest.model import Transport
from circumtest.script import Answerer, Emit, Flow

MAX_FLOWS = 4096
"""Streams remembered; the oldest is forgotten first."""


class Mux:
    """Offer what comes to each answerer in turn until one answers; a stream is then its alone."""

    def __init__(self, answerers: Sequence[Answerer]) -> None:
        self._answerers = tuple(answerers)
        self._owners: dict[Flow, Answerer] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        ended = flow.transport is Transport.TCP and not data
        if owner := self._owners.pop(flow, None):
            if not ended:
                self._owners[flow] = owner
            return owner.receive(flow, data, now)
        for answerer in self._answerers:
            emits = tuple(answerer.receive(flow, data, now))
            if emits and flow.transport is Transport.TCP and not ended:
                self._own(flow, answerer, now)
            if emits:
                return emits
        return ()

    def timer(self) -> float | None:
        due = [at for answerer in self._answerers if (at := answerer.timer()) is not None]
        return min(due, default=None)

    def tick(self, now: float) -> Iterable[Emit]:
        for answerer in self._answerers:
            at = answerer.timer()
            if at is not None and at <= now:
                yield from answerer.tick(now)

    def _own(self, flow: Flow, answerer: Answerer, now: float) -> None:
        # For the others the stream is over: what they gathered of it must not meet the next stream
        # between the same ports.
        for other in self._answerers:
            if other is not answerer:
                tuple(other.receive(flow, b"", now))
        if len(self._owners) >= MAX_FLOWS:
            del self._owners[next(iter(self._owners))]
        self._owners[flow] = answerer
