"""What passes the links of a namespace: an AF_PACKET socket, the kernel's filter, its losses.

packet(7), and the classic filter language of Linux (linux/filter.h).  It refuses to know what is in
a packet.
"""

import contextlib
import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from circumtest.netns import Netns
from circumtest.room import make_room

OUTGOING = 4
"""`Passed.source[2]` of a packet that leaves by the link."""

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_NANO = 10**9

Filter = Sequence[tuple[int, int, int, int]]
"""A program of the kernel's: (code, where to when so, where to when not, operand)."""


class Passed(NamedTuple):
    """What a packet socket gave: nanoseconds since the Unix epoch by the kernel's clock, the frame,
    and where it came from (packet(7))."""

    at: int
    frame: bytes
    source: tuple[Any, ...]


def packet_socket(
    netns: Netns,
    buffer: int,
    link: str = "",
    *,
    program: Filter = (),
    kind: socket.SocketKind = socket.SOCK_RAW,
) -> socket.socket:
    """A socket that gets every packet of a link, or of all links, of `netns`, with its time.

    Only what `program` lets through, where there is one; of the kind SOCK_DGRAM packets begin with
    their IP header, in the program too.  `buffer` bytes may wait in it, fewer where the system's
    limit is lower and the user an ordinary one.  Raises OSError when there is no such link, and
    PermissionError where this process may not listen.
    """
    # Without a protocol it hears nothing before it is bound: never another link's packets.
    protocol = 0 if link else socket.htons(_ETH_P_ALL)
    sock = netns.socket(socket.AF_PACKET, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        make_room(sock, buffer)
        if program:
            _attach(sock, program)
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


def lost(sock: socket.socket) -> int:
    """How many packets there was no room for since it was asked last."""
    told = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
    _, dropped = struct.unpack("=II", told)
    return int(dropped)


def _attach(sock: socket.socket, program: Filter) -> None:
    words = b"".join(struct.pack("=HBBI", *word) for word in program)
    holder = ctypes.create_string_buffer(words, len(words))
    request = struct.pack("@HP", len(program), ctypes.addressof(holder))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, request)
    with contextlib.suppress(BlockingIOError):  # what came before the program is none of its
        while True:
            sock.recv(1)
