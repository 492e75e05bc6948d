"""The middlebox at work: takes packets from the queue, asks the judge, carries out what it says.

One thread, one loop.  A packet that is no UDP and no TCP that is understood passes: no rule can be
about it.  What cannot be carried out ends the process, with its reason on stderr: from then on
nothing passes, and whoever started it says so.  It refuses to have a clock or chance of its own.
"""

import heapq
import socket
import time
from collections.abc import Iterable
from itertools import count
from types import TracebackType
from typing import Self

from circumtest.censor.middlebox import datagram, forge
from circumtest.censor.middlebox.datagram import FIN, RST, Datagram
from circumtest.censor.middlebox.handover import Marks
from circumtest.censor.middlebox.netlink import Queue, Queued
from circumtest.censor.middlebox.streams import Streams
from circumtest.censor.packet import Answer, Judge, Packet, Resets, Unreachable, Verdict
from circumtest.model import Address

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ERRORS = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}


class Injector:
    """Raw sockets of the thread's namespace.  What they send never meets the queue."""

    def __init__(self) -> None:
        self._whole, self._errors = (
            {
                version: socket.socket(family, socket.SOCK_RAW, protocols[version])
                for version, family in _FAMILIES.items()
            }
            for protocols in (dict.fromkeys(_FAMILIES, socket.IPPROTO_RAW), _ERRORS)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for each in (*self._whole.values(), *self._errors.values()):
            each.close()

    def whole(self, to: Address, packet: bytes) -> None:
        """Send an IP packet, its header included.  Raises OSError."""
        self._whole[to.version].sendto(packet, (to.host, 0))

    def error(self, to: Address, message: bytes) -> None:
        """Send an ICMP or ICMPv6 message in this router's name.  Raises OSError."""
        self._errors[to.version].sendto(message, (to.host, 0))


class Middlebox:
    """`inside` is the index of the link to the client: what comes in by it goes upwards."""

    def __init__(
        self, queue: Queue, injector: Injector, judge: Judge, marks: Marks, inside: int
    ) -> None:
        self._queue, self._injector = queue, injector
        self._judge, self._marks, self._inside = judge, marks, inside
        self._streams = Streams()
        self._order = count()
        self._held: list[tuple[float, int, Queued, int]] = []

    def serve(self) -> None:
        """Until this process ends.  Raises OSError when the kernel refuses something."""
        while True:
            self._queue.wait(self._held[0][0] - time.monotonic() if self._held else None)
            self.turn(self._queue.receive(), time.monotonic())

    def turn(self, packets: Iterable[Queued], now: float) -> None:
        """Judge what came, release what is due, send what is forged."""
        resets: list[tuple[Datagram, bool]] = []
        for packet in packets:
            try:
                met = datagram.parse(packet.data)
            except ValueError:
                self._queue.verdict(packet, mark=0)
                continue
            verdict = self._judge.judge(self._packet(met, packet.link), now)
            mark = self._marks.of(verdict)
            if verdict.delay:
                due = now + verdict.delay
                heapq.heappush(self._held, (due, next(self._order), packet, mark))
            else:
                self._queue.verdict(packet, mark=mark)
            if isinstance(verdict.forged, Resets):
                resets.append((met, verdict.passes))
            else:
                self._forge(verdict, met)
        while self._held and self._held[0][0] <= now:
            _, _, packet, mark = heapq.heappop(self._held)
            self._queue.verdict(packet, mark=mark)
        self._queue.flush()
        # Behind the packet that they pretend to follow.
        for met, passed in resets:
            for to, forged in forge.resets(met, passed=passed):
                self._injector.whole(to, forged)

    def _packet(self, met: Datagram, link: int) -> Packet:
        return Packet(
            met.transport,
            met.source,
            met.destination,
            met.payload,
            link == self._inside,
            self._streams.offset(met),
            met.segment is not None and bool(met.segment.flags & (FIN | RST)),
        )

    def _forge(self, verdict: Verdict, met: Datagram) -> None:
        match verdict.forged:
            case Answer(payload):
                self._injector.whole(met.source, forge.answer(met, payload))
            case Unreachable(admin):
                self._injector.error(met.source, forge.unreachable(met, admin=admin))
