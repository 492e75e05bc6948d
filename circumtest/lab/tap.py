"""What passes the censor's links, written to a pcapng file by whoever holds the socket.

The socket is made in the censor's namespace (`tapped`) and may be used anywhere: the capture of a
lab in the background is written by the command, not by the lab.  A file appears when it is whole,
or not at all.  It refuses to filter, and to write over a file.
"""

import os
import select
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from circumtest.lab import pcapng
from circumtest.netns import Netns
from circumtest.netns.packets import OUTGOING, lost, packet_socket, passed

LINKS = {"client": "between client and censor", "backbone": "between censor and backbone"}
"""The links of the censor, and where they are."""

_BUFFER = 32 << 20
_BURST = 256


def tapped(netns: Netns) -> socket.socket:
    """A socket that gets every packet of every link of `netns`, in the order in which they passed.

    One socket for all links: of two, nobody could tell which packet was first.
    """
    return packet_socket(netns, _BUFFER)


@dataclass(frozen=True)
class Bounds:
    """When a capture ends: after so many seconds or packets, or when it is told to (None: then)."""

    seconds: float | None = None
    packets: int | None = None


class Tap:
    """A capture of some `links` that is being written to `file`; `packets` counts by link."""

    def __init__(self, sock: socket.socket, file: BinaryIO, links: Sequence[str]) -> None:
        self.packets: Counter[str] = Counter()
        self.lost = 0
        """Packets that there was no room for, of any link."""
        self._sock, self._file, self._links = sock, file, list(links)
        file.write(pcapng.header("circumtest", [(link, LINKS.get(link, "")) for link in links]))
        file.flush()

    def run(self, bounds: Bounds, stop: Sequence[int | socket.socket]) -> None:
        """Write until the bounds are reached or one of `stop` is readable.

        What had passed by then is written too, and the links' statistics.
        """
        end = None if bounds.seconds is None else time.monotonic() + bounds.seconds
        over = False
        while not over:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            ready, _, _ = select.select([self._sock, *stop], [], [], left)
            self._take(bounds.packets)
            over = not ready or ready != [self._sock]
            over = over or (end is not None and time.monotonic() >= end)
            over = over or self.packets.total() == bounds.packets
        self._finish()

    def _take(self, count: int | None) -> None:
        # However much passes meanwhile, it comes to an end.
        for _ in range(_BURST * 64):
            if count is not None and self.packets.total() >= count:
                break
            try:
                at, frame, source = passed(self._sock, pcapng.SNAPLEN)
            except (BlockingIOError, InterruptedError):
                break
            if source[0] not in self._links:
                continue
            number = self._links.index(source[0])
            outbound = source[2] == OUTGOING
            self._file.write(pcapng.packet(number, at, frame, outbound=outbound))
            self.packets[source[0]] += 1
        self._file.flush()

    def _finish(self) -> None:
        self.lost = lost(self._sock)
        for number, link in enumerate(self._links):
            received = self.packets[link]
            self._file.write(pcapng.statistics(number, time.time_ns(), received, self.lost))
        self._file.flush()


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file that is at `target` when the block ends well, and is nowhere when it does not.

    Raises FileExistsError when something is there, before or at the end, OSError when it cannot be
    written.
    """
    if target.exists():
        raise FileExistsError(target)
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(draft).chmod(0o666 & ~_umask())
        os.link(draft, target)  # unlike a rename, it never writes over what came meanwhile
    finally:
        Path(draft).unlink(missing_ok=True)


def _umask() -> int:
    """The process's own, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
