"""Answerers on real sockets: what stands at the services' addresses.

All of them live on the one event loop.  It refuses to know what is asked and answered: bytes go in
and out of an `Answerer`, which also says when it wants its `tick`.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, runtime_checkable

from circumtest.model import Address, Cause, Transport
from circumtest.path.direct import BURST, TcpConn, adopt_tcp, family
from circumtest.room import make_room
from circumtest.script import Answerer, Emit, Flow

MAX_STREAMS = 256
"""Streams that one answerer may have open; further ones are closed as they come."""

MANY = 4096
"""The same of an answerer that bounds them itself."""

_LARGEST = 65536
_ROOM = 1 << 20
"""Bytes that may wait at one address for its answerer: many callers share it."""


class Ground(Protocol):
    """Where sockets are made: a namespace, or the one that the process is in (`Here`)."""

    def socket(self, family: int, kind: int) -> socket.socket: ...


class Here:
    """The network that the process is in."""

    def socket(self, family: int, kind: int) -> socket.socket:
        """A socket that does not block.  Raises OSError."""
        sock = socket.socket(family, kind)
        sock.setblocking(False)
        return sock


@runtime_checkable
class Doorkeeper(Protocol):
    """An answerer that is asked whether a stream that was accepted may stay."""

    def opened(self, flow: Flow, now: float) -> bool: ...


class Services:
    """The answerers of one network; closing it closes their sockets."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._stations: list[_Station] = []

    def __enter__(self) -> "Services":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for station in self._stations:
            station.close()

    def add(self, transport: Transport, addresses: Sequence[Address], answerer: Answerer) -> None:
        """Let `answerer` answer at `addresses`, which are this namespace's.  Raises OSError.

        It may be given more places later, and answer from any of them.
        """
        station = next((one for one in self._stations if one.is_of(answerer)), None)
        if station is None:
            station = _Station(answerer)
            self._stations.append(station)
        kind = socket.SOCK_DGRAM if transport is Transport.UDP else socket.SOCK_STREAM
        for address in addresses:
            station.listen(transport, self._ground.socket(family(address), kind), address)


class _Station:
    """One answerer, its sockets and its timer."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._most = MANY if isinstance(answerer, Doorkeeper) else MAX_STREAMS
        self._loop = asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()
        self._sockets: dict[tuple[Transport, Address], socket.socket] = {}
        self._streams: dict[Flow, TcpConn] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def is_of(self, answerer: Answerer) -> bool:
        return self._answerer is answerer

    def listen(self, transport: Transport, sock: socket.socket, address: Address) -> None:
        self._sockets[transport, address] = sock
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if transport is Transport.TCP:
            # A lab that is built again at once must not wait for the last one's connections.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(MAX_STREAMS)
            self._loop.add_reader(sock, self._accept, sock, address)
        else:
            make_room(sock, _ROOM)
            sock.bind(address)
            self._loop.add_reader(sock, self._receive, sock, address)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for stream in self._streams.values():
            stream.close()
        for sock in self._sockets.values():
            self._loop.remove_reader(sock)
            sock.close()

    # -------------------------------------------------------------- datagrams

    def _receive(self, sock: socket.socket, local: Address) -> None:
        # All that waits, bounded: many callers share the socket, and one packet a turn of a busy
        # loop would let them wait for each other, a second and more after a while.
        for _ in range(BURST):
            try:
                data, source = sock.recvfrom(_LARGEST)
            except BlockingIOError:
                break
            except OSError:
                continue
            flow = Flow(Transport.UDP, local, Address(source[0], source[1]))
            self._emit(self._answerer.receive(flow, data, self._now()))
        self._arm()

    # -------------------------------------------------------------- streams

    def _accept(self, listener: socket.socket, local: Address) -> None:
        for _ in range(BURST):
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            if len(self._streams) >= self._most:
                sock.close()
                continue
            flow = Flow(Transport.TCP, local, Address(peer[0], peer[1]))
            if isinstance(self._answerer, Doorkeeper):
                if not self._answerer.opened(flow, self._now()):
                    sock.close()
                    continue
                self._arm()
            self._streams[flow] = self._adopt(sock, flow)

    def _adopt(self, sock: socket.socket, flow: Flow) -> TcpConn:
        def sink(data: bytes | Cause, source: Address) -> None:  # noqa: ARG001
            if isinstance(data, bytes):
                self._emit(self._answerer.receive(flow, data, self._now()))
            elif flow in self._streams:
                self._emit(self._answerer.receive(flow, b"", self._now()))
                self._end(flow)
            self._arm()

        return adopt_tcp(sock, sink, flow.remote)

    def _end(self, flow: Flow) -> None:
        if stream := self._streams.pop(flow, None):
            stream.finish()

    # -------------------------------------------------------------- what comes out

    def _emit(self, emits: Iterable[Emit]) -> None:
        for emit in emits:
            flow = emit.flow
            if flow.transport is Transport.UDP:
                # What cannot be sent is lost, as on a network.
                with contextlib.suppress(OSError):
                    self._sockets[flow.transport, flow.local].sendto(emit.data, flow.remote)
                continue
            if emit.data and (stream := self._streams.get(flow)):
                stream.send(emit.data, flow.remote)
            if emit.close:
                self._end(flow)

    def _arm(self) -> None:
        """Call `tick` when the answerer wants it, and at no other time."""
        due = self._answerer.timer()
        if due == self._due:
            return  # most of what comes in changes nothing about it
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = due, None
        if due is not None:
            self._timer = self._loop.call_at(due - self._epoch, self._tick)

    def _tick(self) -> None:
        self._due = self._timer = None
        self._emit(self._answerer.tick(self._now()))
        self._arm()

    def _now(self) -> float:
        return self._epoch + self._loop.time()
