"""Somebody who stands at the censor and watches: the first packets of a tunnel's own flows.

Passive: a copy of what passes the link towards the client, bounded in packets and in time, so that
a trial is neither slowed down nor changed.  Only flows that begin while the observer heeds count:
what goes outside of the tunnel is none of it.  It refuses to interpret what it sees
(`circumtest.detect`).
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from circumtest.detect.frames import Flow, frame
from circumtest.netns import Netns
from circumtest.netns.packets import packet_socket, passed

LINK = "client"
"""The censor's link on which the tunnel's packets still come from the client."""
PER_FLOW = 200
"""Packets that are kept of one flow: recognition that takes longer is no use to a censor."""
MAX_PACKETS = 4000
"""Packets that are kept in all."""
PATIENCE = 60.0
"""Seconds after which it goes: the slowest bring-up takes half of them."""

_BUFFER = 4 << 20
_LONGEST = 65535
_BURST = 64

Frames = tuple[tuple[float, bytes], ...]
"""Ethernet frames, each with seconds since the Unix epoch, in the order in which they passed."""


class Observer:
    """A running observation, which heeds.  Made by `observing`."""

    def __init__(self, sock: socket.socket) -> None:
        self._heeds = True
        self._sock: socket.socket | None = sock
        self._loop = asyncio.get_running_loop()
        self._kept: list[tuple[float, bytes]] = []
        self._flows: dict[Flow, int] = {}
        self._loop.add_reader(sock, self.take)
        self._bound = self._loop.call_later(PATIENCE, self._leave)

    def take(self, limit: int = _BURST) -> None:
        """Look at what waits in the socket, at most `limit` packets."""
        for _ in range(limit):
            if self._sock is None:
                return
            try:
                at, data, _ = passed(self._sock, _LONGEST)
            except BlockingIOError:
                return
            self._keep(at / 1e9, data)

    def heed(self, heeds: bool) -> None:
        """Whether what happens from now on is the tunnel's doing: what begins then is kept."""
        self.take(MAX_PACKETS)
        self._heeds = heeds

    def end(self) -> Frames:
        """Stop watching, and give what passed of the tunnel until now.  Again: the same."""
        self.take(MAX_PACKETS)
        self._leave()
        return tuple(self._kept)

    def _keep(self, at: float, data: bytes) -> None:
        try:
            flow = frame(at, data).flow
        except ValueError:
            return
        seen = self._flows.setdefault(flow, 0 if self._heeds else PER_FLOW)
        if seen < PER_FLOW:
            self._flows[flow] = seen + 1
            self._kept.append((at, data))
            if len(self._kept) >= MAX_PACKETS:
                self._leave()

    def _leave(self) -> None:
        self._bound.cancel()
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None


@contextmanager
def observing(netns: Netns, link: str = LINK) -> Iterator[Observer]:
    """Watch a link until the end of the block.  Raises OSError when there is no such link."""
    observer = Observer(packet_socket(netns, _BUFFER, link))
    try:
        yield observer
    finally:
        observer.end()
