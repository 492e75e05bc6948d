"""The kernel's packet queue (nfnetlink_queue) without a library: packets out, verdicts in.

Message layouts are of linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_queue.h.  One
socket, used by one thread.  A packet that this socket has no room for is dropped by the
kernel and counted (`lost`): it refuses to let packets pass unseen, so `fail-open` stays off.
"""

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from circumtest.room import make_room

NETFILTER, _SOL_NETLINK = 12, 270
_NETLINK_NO_ENOBUFS = 5
_REQUEST, _ACK, _ERROR = 1, 4, 2
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG = _SUBSYSTEM | 0, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_CFG_COMMAND, _CFG_PARAMS, _CFG_LENGTH, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND, _COPY_PACKET, _FAIL_OPEN = 1, 2, 1
_HEADER, _VERDICT_HEADER, _MARK, _INDEV, _PAYLOAD = 1, 2, 3, 5, 10
_TYPE = 0x3FFF
"""An attribute's type without the two flag bits."""

_message = struct.Struct("=LHHLL")
_family = struct.Struct(">BBH")
_attribute = struct.Struct("=HH")
_number = struct.Struct(">L")
_two = struct.Struct(">LL")
_VERDICT_ATTRIBUTE = _attribute.pack(12, _VERDICT_HEADER)
_MARK_ATTRIBUTE = _attribute.pack(8, _MARK)
_LARGEST = 1 << 17
"""Bytes: more than a message with a whole packet has."""

WHOLE = 0xFFFF
"""Bytes of a packet that are copied: all."""
ROOM = 16 << 20
"""Bytes of packets that may wait for this process; an ordinary user gets what rmem_max allows."""
LONGEST = 65535
"""Packets that may wait for a verdict: those that are held back wait, too."""
BATCH = 32
"""Packets that are read before their verdicts go out: fewer system calls, little more delay."""
DROP, ACCEPT = 0, 1
COUNTERS = "net/netfilter/nfnetlink_queue"
"""Below /proc/PID: the queues of the namespace that the process is in."""


class Queued(NamedTuple):
    """A packet that waits in `queue`: its number there, the index of the link that it came by
    (0: none), and its bytes from IP on."""

    queue: int
    id: int
    link: int
    data: bytes


class Counters(NamedTuple):
    """How many packets a queue was given; of these, how many wait, and how many had no room."""

    seen: int = 0
    waiting: int = 0
    lost: int = 0


class Queue:
    """Queues `numbers` of a namespace as one, in order; `copy` bytes of each packet are read.

    The namespace is `sock`'s, a netlink socket for netfilter; without one the calling thread's.
    Raises OSError: EPERM without CAP_NET_ADMIN or when another process has a queue of that number,
    EPROTONOSUPPORT or EINVAL when the kernel has no queues.
    """

    def __init__(
        self, numbers: Iterable[int], copy: int = WHOLE, sock: socket.socket | None = None
    ) -> None:
        self._socket = sock or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
        self._heads: dict[int, bytes] = {}
        self._early: list[Queued] = []
        self._verdicts: list[bytes] = []
        try:
            self._socket.bind((0, 0))
            self._socket.setblocking(True)
            self._make_room()
            for number in numbers:
                self._configure(number, copy)
                self._heads[number] = _family.pack(socket.AF_UNSPEC, 0, number)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the queue up; what waits in it is dropped."""
        self._socket.close()

    def fileno(self) -> int:
        """For who waits for several queues at once."""
        return self._socket.fileno()

    def wait(self, seconds: float | None) -> None:
        """Return when there may be a packet, or after so many seconds (None: never before)."""
        if seconds is not None and seconds <= 0:
            return
        # select's time-out has microseconds, that of poll and epoll milliseconds.
        select.select([self._socket], (), (), seconds)

    def receive(self) -> list[Queued]:
        """The packets that are there, at most BATCH of them, in order; none: there is none now."""
        found, self._early = self._early, []
        with contextlib.suppress(BlockingIOError):
            while len(found) < BATCH:
                found += parse(self._socket.recv(_LARGEST))
        return found

    def verdict(self, packet: Queued, verdict: int = ACCEPT, mark: int | None = None) -> None:
        """Decide about a packet, and mark it (None: as it is).  Sent by `flush`."""
        body = self._heads[packet.queue] + _VERDICT_ATTRIBUTE + _two.pack(verdict, packet.id)
        if mark is not None:
            body += _MARK_ATTRIBUTE + _number.pack(mark)
        head = _message.pack(_message.size + len(body), _VERDICT, _REQUEST, 0, 0)
        self._verdicts.append(head + body)

    def flush(self) -> None:
        """Send the verdicts.  Raises OSError."""
        if self._verdicts:
            self._socket.send(b"".join(self._verdicts))
            self._verdicts.clear()

    def _make_room(self) -> None:
        make_room(self._socket, ROOM)
        # What was lost is the kernel's to count: being told of it in between helps nobody.
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)

    def _configure(self, number: int, copy: int) -> None:
        for kind, value in (
            (_CFG_COMMAND, struct.pack(">BBH", _BIND, 0, 0)),
            (_CFG_PARAMS, struct.pack(">LB", copy, _COPY_PACKET)),
            (_CFG_LENGTH, _number.pack(LONGEST)),
        ):
            self._ask(number, _pack(kind, value))
        self._ask(
            number, _pack(_CFG_FLAGS, _number.pack(0)) + _pack(_CFG_MASK, _number.pack(_FAIL_OPEN))
        )

    def _ask(self, number: int, attributes: bytes) -> None:
        """Ask the kernel, and wait for its yes.  Raises OSError with its no."""
        body = _family.pack(socket.AF_UNSPEC, 0, number) + attributes
        head = _message.pack(_message.size + len(body), _CONFIG, _REQUEST | _ACK, 0, 0)
        self._socket.send(head + body)
        while True:
            data = self._socket.recv(_LARGEST)
            if _acknowledged(data):
                return
            self._early += parse(data)


def parse(data: bytes) -> list[Queued]:
    """The packets in what was read.  Raises OSError when the kernel tells of an error in a verdict.

    That a packet is not there any more is none: its link went down meanwhile.  Raises ValueError
    for what no kernel says.
    """
    found, at = [], 0
    while at + _message.size <= len(data):
        length, kind, _, _, _ = _message.unpack_from(data, at)
        if not _message.size <= length <= len(data) - at:
            raise ValueError("a netlink message of an impossible length")
        if kind == _PACKET:
            found.append(_packet(data[at + _message.size : at + length]))
        elif kind == _ERROR:
            _raise(data, at)
        at += length + 3 & ~3
    return found


def counters(number: int, process: int | str = "thread-self") -> Counters | None:
    """How a queue fares, in the namespace of a process or thread; None when nobody has it."""
    try:
        lines = Path(f"/proc/{process}/{COUNTERS}").read_text().splitlines()
    except FileNotFoundError:  # the process is gone, or the kernel has no queues
        return None
    return tally(lines, number)


def tally(lines: Sequence[str], number: int) -> Counters | None:
    """The same from the file's lines (net/netfilter/nfnetlink_queue.c, seq_show).

    Number, port, waiting, copy mode and range, met a full queue, met a full socket, last number.
    """
    for line in lines:
        fields = line.split()
        if int(fields[0]) == number:
            waiting, full, unread, numbered = (int(fields[n]) for n in (2, 5, 6, 7))
            # What meets a full queue gets no number.
            return Counters(numbered + full, waiting, full + unread)
    return None


def _packet(body: bytes) -> Queued:
    if len(body) < _family.size:
        raise ValueError("a packet of no queue")
    _, _, queue = _family.unpack_from(body)
    number, link, payload = -1, 0, b""
    at = _family.size
    while at + _attribute.size <= len(body):
        length, kind = _attribute.unpack_from(body, at)
        if not _attribute.size <= length <= len(body) - at:
            raise ValueError("a netlink attribute of an impossible length")
        kind &= _TYPE
        if kind == _PAYLOAD:
            payload = body[at + 4 : at + length]
        elif kind in (_HEADER, _INDEV):
            if length < 8:
                raise ValueError("a netlink attribute that is too short")
            (value,) = _number.unpack_from(body, at + 4)
            if kind == _HEADER:
                number = value
            else:
                link = value
        at += length + 3 & ~3
    if number < 0:
        raise ValueError("a packet without a number")
    return Queued(queue, number, link, payload)


def _raise(data: bytes, at: int) -> None:
    if len(data) < at + _message.size + 4:
        raise ValueError("a netlink error that says nothing")
    (code,) = struct.unpack_from("=l", data, at + _message.size)
    if code and -code != errno.ENOENT:
        raise OSError(-code, os.strerror(-code))


def _acknowledged(data: bytes) -> bool:
    """Whether this is the answer to a request.  Raises OSError when it was refused."""
    _, kind, _, _, _ = _message.unpack_from(data)
    if kind != _ERROR:
        return False
    (code,) = struct.unpack_from("=l", data, _message.size)
    if code:
        raise OSError(-code, os.strerror(-code))
    return True


def _pack(kind: int, value: bytes) -> bytes:
    return _attribute.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)
