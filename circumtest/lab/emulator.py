"""A process that holds a room's packets for as long as their link takes, or loses them.

    python -m circumtest.lab.emulator SEED '[{"queue": 2, "way": "up", "conditions": {...}}, ...]'

It takes packets from the kernel's queues, asks `circumtest.impair.Impairment` about each, and gives
the verdict when it is time.  It says "ready" once it has the queues, and runs until it is killed.
It refuses to look at anything but a packet's length.
"""

import contextlib
import ctypes
import heapq
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Protocol

import msgspec

from circumtest.censor.middlebox.netlink import ACCEPT, DROP, Queue, Queued
from circumtest.censor.policy import Conditions, Way
from circumtest.impair import Impairment

COPY = 64
"""Bytes of a packet that are copied: its length is in the first six."""
LEAD = 0.0002
"""Seconds that a packet spends on the way to this process and back, measured: they are not waited
for again."""
_PR_SET_TIMERSLACK = 29


class Held(msgspec.Struct, frozen=True):
    """One direction of a link: the number of its queue, and what it is like."""

    queue: int
    way: Way
    conditions: Conditions


class Source(Protocol):
    """What gives packets and takes verdicts: a `Queue`."""

    def receive(self) -> list[Queued]: ...
    def verdict(self, packet: Queued, verdict: int = ...) -> None: ...
    def flush(self) -> None: ...


class Emulator:
    """The links of one room, by the number of their queue.  Times are seconds of any one clock."""

    def __init__(self, source: Source, links: Mapping[int, Impairment]) -> None:
        self._source, self._links = source, links
        self._held: list[tuple[float, int, Queued]] = []  # due, order, packet
        self._order = count()

    def take(self, now: float) -> None:
        """Ask about what has come in by `now`."""
        for packet in self._source.receive():
            due = self._links[packet.queue].leaves(length(packet.data), now)
            if due is None:
                self._source.verdict(packet, DROP)
            else:
                heapq.heappush(self._held, (due - LEAD, next(self._order), packet))

    def release(self, now: float) -> float | None:
        """Let what is due by `now` go; seconds until the next is, None when nothing is held."""
        while self._held and self._held[0][0] <= now:
            self._source.verdict(heapq.heappop(self._held)[2], ACCEPT)
        self._source.flush()
        return self._held[0][0] - now if self._held else None


def length(data: bytes) -> int:
    """Bytes of the packet that begins so, its IP header included (RFC 791 3.1, RFC 8200 3)."""
    if len(data) >= 6 and data[0] >> 4 == 6:
        return 40 + int.from_bytes(data[4:6], "big")
    return int.from_bytes(data[2:4], "big")


def main(seed: int, held: Sequence[Held]) -> None:
    """Serve until killed.  Raises OSError when a queue cannot be had."""
    # Otherwise the kernel wakes a sleeper up to 50 microseconds late, to save power.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    # On a busy machine it goes before others, who would find the link slower than asked for.
    with contextlib.suppress(PermissionError):  # an ordinary user's does not
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with Queue([one.queue for one in held], COPY) as queue:
        links = {one.queue: Impairment(one.conditions, seed, one.way) for one in held}
        emulator = Emulator(queue, links)
        print("ready", flush=True)  # noqa: T201  # this is what is waited for
        while True:
            queue.wait(emulator.release(time.monotonic()))
            emulator.take(time.monotonic())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness; it ends us
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=list[Held]))
