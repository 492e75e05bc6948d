"""One flow through a gateway: a program's end here, a channel of the path there.

What cannot be passed on waits, and holds up the side that it comes from.  It refuses to know how
the flow came to be.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from circumtest.errors import TunnelDown
from circumtest.model import Address, Cause, Transport
from circumtest.path import Conn, Sink
from circumtest.path.direct import TcpConn, adopt_tcp

Beyond = Callable[[Transport, Address, Sink], Awaitable[Conn]]
"""Opens a channel on the path."""

_HALF = 60.0
"""Seconds that a stream may go on of which one half has ended."""
_HIGH = 256 * 1024
"""Bytes that wait on one side before the other side is read no more."""
_RELIEF = 0.005
_AGAIN = 1.0
"""Seconds after which a flow of datagrams that could not be opened may be tried again."""
_EARLY = 64
"""Datagrams that are kept while their channel opens."""
_LARGEST = 65536


class Stream:
    """One TCP connection: what comes in at one side goes out at the other, ends included."""

    def __init__(
        self, beyond: Beyond, sock: socket.socket, closed: "Callable[[Stream], None]"
    ) -> None:
        self._beyond, self._sock, self._closed = beyond, sock, closed
        self._loop = asyncio.get_running_loop()
        self._remote = Address(*sock.getsockname()[:2])
        self._near = adopt_tcp(sock, self._from_near, self._remote)
        self._near.hold(True)
        self._far: Conn | None = None
        self._ended, self._done = 0, False
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open it beyond; one that cannot be is reset."""
        try:
            self._far = await self._beyond(Transport.TCP, self._remote, self._from_far)
        except (OSError, TunnelDown):
            self._break()
            return
        if self._sock.fileno() < 0:  # it went meanwhile
            self.close()
        else:
            self._near.hold(False)

    def close(self) -> None:
        self._over()
        self._near.close()
        if self._far:
            self._far.close()

    def _over(self) -> None:
        self._done = True
        if self._timer:
            self._timer.cancel()
        self._closed(self)

    def _break(self) -> None:
        if self._sock.fileno() >= 0:
            linger_not(self._sock)
        self.close()

    def _from_near(self, data: bytes | Cause, source: Address) -> None:  # noqa: ARG002  # a stream
        if self._far is None:
            return
        if isinstance(data, bytes):
            self._far.send(data, self._remote)
            if isinstance(self._far, TcpConn) and self._far.waiting > _HIGH:
                self._near.hold(True)
                self._loop.call_later(_RELIEF, self._relieve, self._near, self._far)
        elif data is not Cause.EOF:
            self.close()
        elif isinstance(self._far, TcpConn):
            self._far.end()
            self._half()
        else:
            self.close()

    def _from_far(self, data: bytes | Cause, source: Address) -> None:  # noqa: ARG002  # a stream
        if isinstance(data, bytes):
            self._near.send(data, self._remote)
            if isinstance(self._far, TcpConn) and self._near.waiting > _HIGH:
                self._far.hold(True)
                self._loop.call_later(_RELIEF, self._relieve, self._far, self._near)
        elif data is Cause.EOF:
            self._near.end()
            self._half()
        else:
            self._break()

    def _relieve(self, held: TcpConn, full: TcpConn) -> None:
        if self._done:
            return
        if full.waiting > _HIGH // 2:
            self._loop.call_later(_RELIEF, self._relieve, held, full)
        else:
            held.hold(False)

    def _half(self) -> None:
        """One half has ended; with the other one, or after a while, all of it has."""
        self._ended += 1
        if self._ended == 1:
            self._timer = self._loop.call_later(_HALF, self.close)
        elif isinstance(self._far, TcpConn):
            self._over()
            self._near.finish()
            self._far.finish()
        else:
            self.close()


class Datagrams:
    """One flow of datagrams between a program's port and an address beyond."""

    def __init__(
        self, beyond: Beyond, sock: socket.socket, remote: Address, closed: Callable[[], None]
    ) -> None:
        self._beyond, self._sock, self._remote, self._closed = beyond, sock, remote, closed
        self._loop = asyncio.get_running_loop()
        self._early: deque[bytes] = deque(maxlen=_EARLY)
        self._far: Conn | None = None
        self.last = self._loop.time()
        self._loop.add_reader(sock, self._readable)

    async def open(self) -> None:
        """Open it beyond; what has been sent meanwhile follows."""
        try:
            self._far = await self._beyond(Transport.UDP, self._remote, self._arrived)
        except (OSError, TunnelDown):
            self._loop.call_later(_AGAIN, self.close)
            return
        if self._sock.fileno() < 0:
            self._far.close()
            return
        for data in self._early:
            self._far.send(data, self._remote)
        self._early.clear()

    def send(self, data: bytes) -> None:
        self.last = self._loop.time()
        if self._far:
            self._far.send(data, self._remote)
        else:
            self._early.append(data)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._closed()
        if self._far:
            self._far.close()

    def _readable(self) -> None:
        with suppress(OSError):  # the program's port is closed: it may be opened again
            self.send(self._sock.recv(_LARGEST))

    def _arrived(self, data: bytes | Cause, source: Address) -> None:
        if data is Cause.EOF:  # the channel has ended: the next datagram opens another one
            self._loop.call_soon(self.close)
        elif isinstance(data, bytes) and source == self._remote:
            self.last = self._loop.time()
            with suppress(OSError):
                self._sock.send(data)


def linger_not(sock: socket.socket) -> None:
    """Closing it is a reset then."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
