"""A pcap file of what passes a link of a namespace.

Classic pcap, microseconds, Ethernet, the kernel's own time stamps; from an AF_PACKET socket,
because capture programs want to change their uid, which a private world of one uid does not allow.
It refuses to filter.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from circumtest.netns import Netns
from circumtest.netns.packets import packet_socket, passed

_NANO = 10**9
_BUFFER = 8 << 20
_SNAPLEN = 65535
_ETHERNET = 1
_BURST = 64
# magic, version 2.4, zone, accuracy, longest packet, link type (pcap-savefile(5))
_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAPLEN, _ETHERNET)


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
