"""The gateway's listeners: each flow that tproxy hands over becomes a channel on the path.

It refuses more than FLOWS of a transport at once.
"""

import asyncio
import socket
from ipaddress import ip_address

from circumtest.errors import TunnelDown
from circumtest.gateway.flows import Datagrams, Stream, linger_not
from circumtest.model import Address, Transport
from circumtest.netns import Netns
from circumtest.path import Conn, Path, Sink
from circumtest.path.direct import family

FLOWS = 1024
"""Flows of each transport at once; what comes on top is refused."""
IDLE = 180.0
"""Seconds after which a flow of datagrams in which nothing happens is forgotten."""
OPENING = 20.0
"""Seconds that a channel may take to open; who waits for it has a patience of their own."""

_BURST = 32
_LARGEST = 65536
# linux/in.h and in6.h: IP_TRANSPARENT and IP_RECVORIGDSTADDR, IPV6_TRANSPARENT and so on.
_TRANSPARENT = {4: (socket.IPPROTO_IP, 19), 6: (socket.IPPROTO_IPV6, 75)}
_ORIGINAL = {4: (socket.IPPROTO_IP, 20), 6: (socket.IPPROTO_IPV6, 74)}
_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_KIND = {Transport.UDP: socket.SOCK_DGRAM, Transport.TCP: socket.SOCK_STREAM}


class Relay:
    """The listeners and the flows.

    `known` is why the last channel could not be opened, where it was the path's own fault.
    """

    def __init__(self, netns: Netns, path: Path) -> None:
        self._netns, self._path = netns, path
        self._loop = asyncio.get_running_loop()
        self._listeners: list[tuple[Transport, int, socket.socket]] = []
        self._streams: set[Stream] = set()
        self._datagrams: dict[tuple[Address, Address], Datagrams] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self.known: TunnelDown | None = None

    def listen(self) -> dict[Transport, int]:
        """Both families at one port a transport, on the namespace's own thread."""
        ports: dict[Transport, int] = {}
        for transport, kind in _KIND.items():
            for version in (4, 6):
                sock = socket.socket(_FAMILY[version], kind | socket.SOCK_NONBLOCK)
                self._listeners.append((transport, version, sock))
                sock.setsockopt(*_TRANSPARENT[version], 1)
                if version == 6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((_ANY[version], ports.get(transport, 0)))
                ports[transport] = sock.getsockname()[1]
                if transport is Transport.TCP:
                    sock.listen(FLOWS)
                else:
                    sock.setsockopt(*_ORIGINAL[version], 1)
        return ports

    def start(self) -> None:
        for transport, version, sock in self._listeners:
            if transport is Transport.TCP:
                self._loop.add_reader(sock, self._accept, sock)
            else:
                self._loop.add_reader(sock, self._receive, sock, version)
        self._forget_idle()

    async def close(self) -> None:
        if self._sweep:
            self._sweep.cancel()
        for _, _, sock in self._listeners:
            self._loop.remove_reader(sock)
            sock.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in list(self._streams):
            stream.close()
        for flow in list(self._datagrams.values()):
            flow.close()

    async def _open(self, transport: Transport, remote: Address, sink: Sink) -> Conn:
        try:
            conn = await self._path.open(transport, remote, sink, OPENING)
        except TunnelDown as down:
            self.known = down
            raise
        self.known = None
        return conn

    def _begin(self, flow: "Stream | Datagrams") -> None:
        task = self._loop.create_task(flow.open())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_BURST):
            try:
                sock, _ = listener.accept()
            except OSError:  # no more, or one that has gone again
                return
            if len(self._streams) >= FLOWS:
                linger_not(sock)
                sock.close()
                continue
            stream = Stream(self._open, sock, self._streams.discard)
            self._streams.add(stream)
            self._begin(stream)

    def _receive(self, listener: socket.socket, version: int) -> None:
        for _ in range(_BURST):
            try:
                data, ancillary, _, source = listener.recvmsg(_LARGEST, 256)
            except OSError:
                return
            if (remote := _original(ancillary, version)) is not None:
                self._datagram(data, Address(*source[:2]), remote)

    def _datagram(self, data: bytes, client: Address, remote: Address) -> None:
        flow = self._datagrams.get((client, remote))
        if flow is None:
            if len(self._datagrams) >= FLOWS:
                return
            try:
                sock = self._as(remote, client)
            except OSError:  # it sends from where no answer can go
                return
            flow = Datagrams(self._open, sock, remote, lambda: self._forget(client, remote))
            self._datagrams[client, remote] = flow
            self._begin(flow)
        flow.send(data)

    def _as(self, remote: Address, client: Address) -> socket.socket:
        """A socket that is `remote` to `client`: the rest of the flow arrives there by itself."""
        sock = self._netns.socket(family(remote), socket.SOCK_DGRAM)
        try:
            sock.setsockopt(*_TRANSPARENT[remote.version], 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(remote)
            sock.connect(client)
        except OSError:
            sock.close()
            raise
        return sock

    def _forget(self, client: Address, remote: Address) -> None:
        self._datagrams.pop((client, remote), None)

    def _forget_idle(self) -> None:
        for flow in list(self._datagrams.values()):
            if self._loop.time() - flow.last > IDLE:
                flow.close()
        self._sweep = self._loop.call_later(IDLE / 6, self._forget_idle)


def _original(ancillary: "list[tuple[int, int, bytes]]", version: int) -> Address | None:
    """Where a datagram was sent to: a sockaddr_in or sockaddr_in6 beside it."""
    for level, kind, data in ancillary:
        if (level, kind) == _ORIGINAL[version]:
            host = data[4:8] if version == 4 else data[8:24]
            return Address(str(ip_address(host)), int.from_bytes(data[2:4], "big"))
    return None
