"""The path that is nothing but a namespace: UDP and TCP sockets born there.

The one event loop watches the sockets themselves, without transports or coroutines a packet:
setting one up costs a trip to the namespace's thread and little else.  It is given their numbers,
since of a socket that it does not know it would first write down what it looks like.  ICMP errors
become arrivals that name the remote they are about, soft ones too: scripts decide what to make of
them.  It refuses to resolve names.
"""

import asyncio
import errno
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from circumtest.errors import TunnelDown
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.causes import cause_of, cause_of_errno

BOTH = frozenset(Transport)
BURST = 32
"""Errors or connections taken in one turn of the loop, so that one cannot starve the others."""
BACKLOG = 1 << 20
"""Bytes of a stream that may wait for the socket; beyond it the stream is given up."""

_LARGEST = 65536
_IP_RECVERR, _IPV6_RECVERR = 11, 25
# linux/in.h and in6.h: DF is set, and what the kernel remembers of a path's MTU is not heeded.
_PROBE = 3
_MTU_DISCOVER = {
    socket.AF_INET: (socket.IPPROTO_IP, 10, _PROBE),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23, _PROBE),
}
_RECVERR = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_RECVERR),
    socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_RECVERR),
}


@dataclass(frozen=True, slots=True)
class DirectPath:
    """Sockets of `netns`; `exits` are the addresses by which the far end may see them.

    With a `device` they are bound to it, whatever the routes say.  `mtu` and `dns` are told by who
    made the namespace.
    """

    netns: Netns
    name: str
    exits: frozenset[str]
    transports: frozenset[Transport] = BOTH
    device: str = ""
    mtu: int | None = None
    dns: tuple[str, ...] = ()

    silence: ClassVar[TunnelFault] = TunnelFault.NO_DATA
    words: ClassVar[str] = ""

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A UDP socket that can talk to anyone of `remote`'s family, or a connected TCP socket.

        Raises OSError: NETWORK_UNREACHABLE's when there is no route, TimeoutError for silence.
        """
        if transport is Transport.UDP:
            return open_udp(self.netns, remote, sink, self.device)
        return await open_tcp(self.netns, remote, sink, timeout, self.device)

    def fault(self) -> TunnelDown | None:
        """Nothing stands between this path and the network."""
        return None


def family(remote: Address) -> socket.AddressFamily:
    """The address family that sockets to `remote` have."""
    return socket.AF_INET6 if remote.version == 6 else socket.AF_INET


def open_udp(netns: Netns, remote: Address, sink: Sink, device: str = "") -> "UdpConn":
    """An unconnected UDP socket.  Raises OSError when there is no route to `remote`."""
    version = family(remote)
    with netns.socket(version, socket.SOCK_DGRAM) as asking:
        # Connecting asks for the route.  Not with the channel's own socket: one of IPv6 that is
        # freed again (connect to AF_UNSPEC) still hears only whom it was connected to.
        _bind_to(asking, device)
        asking.connect(remote)
    sock = netns.socket(version, socket.SOCK_DGRAM)
    try:
        _bind_to(sock, device)
        sock.setsockopt(*_RECVERR[version], 1)
    except OSError:
        sock.close()
        raise
    return UdpConn(sock, sink)


async def open_tcp(
    netns: Netns, remote: Address, sink: Sink, timeout: float, device: str = ""
) -> "TcpConn":
    """Connect within `timeout` seconds.  Raises OSError."""
    sock = netns.socket(family(remote), socket.SOCK_STREAM)
    try:
        _bind_to(sock, device)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, remote)
        return adopt_tcp(sock, sink, remote)
    except BaseException:
        sock.close()
        raise


def _bind_to(sock: socket.socket, device: str) -> None:
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())


def adopt_tcp(sock: socket.socket, sink: Sink, remote: Address) -> "TcpConn":
    """A channel made of a TCP socket that is connected already; its owner from now on.

    `remote` is what arrivals are said to come from, whatever the socket's own peer is (a proxy).
    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return TcpConn(sock, sink, remote)


class UdpConn:
    """An unconnected UDP socket with its error queue."""

    __slots__ = ("_loop", "_sink", "_sock", "refused")

    def __init__(self, sock: socket.socket, sink: Sink) -> None:
        self._sock, self._sink = sock, sink
        self.refused = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def local(self) -> Address:
        """The address and port that the socket is bound to."""
        return Address(*self._sock.getsockname()[:2])

    def whole(self) -> None:
        """From now on no datagram leaves in fragments: one that is too large for the way is lost.

        It sets DF, as who looks for a path's MTU does (RFC 4821).
        """
        self._sock.setsockopt(*_MTU_DISCOVER[self._sock.family])

    def send(self, data: bytes, remote: Address) -> None:
        """Send a datagram.  One that the socket or this host's own MTU does not take is lost."""
        # A socket tells the error of an earlier packet instead of sending the next one: once told,
        # it is in the error queue as well, and this packet still has to go.
        self.refused = False
        for _ in range(2):
            try:
                self._sock.sendto(data, remote)
                return
            except BlockingIOError:
                return
            except OSError as error:
                trouble = error
                self._drain_errors()
        self.refused = trouble.errno == errno.EMSGSIZE
        if (cause := cause_of_errno(trouble.errno or 0)) is not None:
            self._sink(cause, remote)

    def close(self) -> None:
        if (fd := self._sock.fileno()) >= 0:
            self._loop.remove_reader(fd)
            self._sock.close()

    def _readable(self) -> None:
        # One a turn: asking again for what is mostly not there costs more than another turn.
        try:
            data, source = self._sock.recvfrom(_LARGEST)
        except OSError:  # an ICMP error, of which the queue says more
            self._drain_errors()
        else:
            self._sink(data, Address(source[0], source[1]))

    def _drain_errors(self) -> None:
        for _ in range(BURST):
            if self._sock.fileno() < 0:
                return
            try:
                _, ancillary, _, remote = self._sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for _level, _kind, data in ancillary:
                # struct sock_extended_err, linux/errqueue.h: the errno comes first, then the origin
                number, origin = struct.unpack_from("=IB", data)
                cause = cause_of_errno(number)
                if cause is not None and origin in (2, 3):  # ICMP, ICMPv6
                    self._sink(cause, Address(remote[0], remote[1]))


class TcpConn:
    """A connected stream: chunks go to the sink as they come, writes wait for a full socket."""

    __slots__ = (
        *("_backlog", "_ending", "_finishing", "_heard_all"),
        *("_loop", "_remote", "_sink", "_sock"),
    )

    def __init__(self, sock: socket.socket, sink: Sink, remote: Address) -> None:
        self._sock, self._sink, self._remote = sock, sink, remote
        self._backlog = bytearray()
        self._finishing = self._ending = self._heard_all = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def local(self) -> Address:
        """The address and port that the socket is bound to."""
        return Address(*self._sock.getsockname()[:2])

    def send(self, data: bytes, remote: Address) -> None:  # noqa: ARG002  # a stream has one
        """Send more of the stream.  Silently nothing once it is broken: the sink was told."""
        if self._sock.fileno() < 0:
            return
        if self._backlog:
            self._backlog += data
        elif len(rest := data[self._write(data) :]):
            self._backlog += rest
            self._loop.add_writer(self._sock.fileno(), self._writable)
        if len(self._backlog) > BACKLOG:
            self._break(Cause.ABORTED)

    def close(self) -> None:
        """Close it; what still waits to be written is lost."""
        if (fd := self._sock.fileno()) >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
            self._sock.close()

    def finish(self) -> None:
        """Close it when everything is written."""
        if self._backlog:
            self._finishing = True
        else:
            self.close()

    @property
    def waiting(self) -> int:
        """How many bytes wait for the socket."""
        return len(self._backlog)

    def hold(self, held: bool) -> None:
        """Take nothing more of what arrives, or go on: for who cannot pass it on just now."""
        if (fd := self._sock.fileno()) < 0 or self._heard_all:
            return
        if held:
            self._loop.remove_reader(fd)
        else:
            self._loop.add_reader(fd, self._readable)

    def end(self) -> None:
        """Nothing more will be sent; the far end hears so when everything is written."""
        self._ending = True
        if not self._backlog and self._sock.fileno() >= 0:
            with suppress(OSError):  # it is broken: the sink hears of it
                self._sock.shutdown(socket.SHUT_WR)

    def _write(self, data: bytes | bytearray) -> int:
        """How many bytes are dealt with: all of them when the stream is broken."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(error)
            return len(data)

    def _writable(self) -> None:
        del self._backlog[: self._write(self._backlog)]
        if not self._backlog and self._sock.fileno() >= 0:
            self._loop.remove_writer(self._sock.fileno())
            if self._finishing:
                self.close()
            elif self._ending:
                self.end()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if data:
            self._sink(data, self._remote)
        else:
            # The other half stays usable: the far end may have finished talking, not listening.
            self._loop.remove_reader(self._sock.fileno())
            self._heard_all = True
            self._sink(Cause.EOF, self._remote)

    def _fail(self, error: OSError) -> None:
        # EPIPE says that what was sent met a reset, or our own end of an ended stream.
        self._break(Cause.RESET if error.errno == errno.EPIPE else cause_of(error))

    def _break(self, cause: Cause) -> None:
        self.close()
        self._backlog.clear()
        self._sink(cause, self._remote)
