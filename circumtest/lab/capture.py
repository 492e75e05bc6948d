"""A pcap file of what passes a link of a namespace.

Classic pcap, microseconds, Ethernet, the kernel's own time stamps; from an AF_PACKET socket,
because capture programs want to change their uid, which a private world of one uid does not allow.
It refuses to filter.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from circumtest.netns import Netns

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_NANO = 10**9
_BUFFER = 8 << 20
_SNAPLEN = 65535
_ETHERNET = 1
_BURST = 64
# magic, version 2.4, zone, accuracy, longest packet, link type (pcap-savefile(5))
_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAPLEN, _ETHERNET)


class Passed(NamedTuple):
    """What a packet socket gave: nanoseconds since the Unix epoch by the kernel's clock, the frame,
    and where it came from (packet(7))."""

    at: int
    frame: bytes
    source: tuple[Any, ...]


def packet_socket(netns: Netns, buffer: int, link: str = "") -> socket.socket:
    """A socket that gets every packet of a link, or of all links, of `netns`, with its time.

    `buffer` bytes may wait in it, fewer where the system's limit is lower and the user an ordinary
    one.  Raises OSError when there is no such link.
    """
    # Without a protocol it hears nothing before it is bound: never another link's packets.
    protocol = 0 if link else socket.htons(_ETH_P_ALL)
    sock = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        with contextlib.suppress(PermissionError):  # beyond the limit only root may go
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
        if link:
            sock.bind((link, _ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock


def passed(sock: socket.socket, longest: int) -> Passed:
    """The next packet, `longest` bytes of it at most.  Raises BlockingIOError when none waits."""
    frame, ancillary, _, source = sock.recvmsg(longest, 64)
    seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2][:16])
    return Passed(seconds * _NANO + nanoseconds, frame, source)


class Capture:
    """A running capture: `packets` counts what is in the file."""

    def __init__(self, sock: socket.socket, file: BinaryIO) -> None:
        self.packets = 0
        self._sock, self._file = sock, file
        file.write(_HEADER)

    def take(self, limit: int = _BURST) -> int:
        """Write what waits in the socket, at most `limit` packets; returns how many it was."""
        for taken in range(limit):
            try:
                at, frame, _ = passed(self._sock, _SNAPLEN)
            except BlockingIOError:
                return taken
            seconds, nanoseconds = divmod(at, _NANO)
            size = len(frame)
            self._file.write(struct.pack("<IIII", seconds, nanoseconds // 1000, size, size) + frame)
            self.packets += 1
        return limit


@asynccontextmanager
async def capture(netns: Netns, link: str, file: Path) -> AsyncIterator[Capture]:
    """Write what passes `link` of `netns` to `file`; on exit the file is whole.

    Raises OSError when there is no such link or the file cannot be written.
    """
    loop = asyncio.get_running_loop()
    with packet_socket(netns, _BUFFER, link) as sock, file.open("wb") as out:
        running = Capture(sock, out)
        loop.add_reader(sock, running.take)
        try:
            yield running
        finally:
            loop.remove_reader(sock)
            # What had passed by now is in the socket: take it all, however much passes meanwhile.
            running.take(running.packets + 100_000)
