"""Calls at once with sound in both directions, all of them on one core: `calls.py [N...]`.

For each number of calls: how many packets the harness itself lost (nothing else is there that could
lose one), and how evenly it sends: by how much two packets of a call are not 20 ms apart.  Beside
it stands the floor: a bare event loop that sends and gets as many datagrams of that size, without
protocol, script or seal; what it cannot do in the same minute is the machine's doing.  The harness
is bound to one core and the far end to another, both before whatever else the machine does where
that is permitted.  Without numbers it goes up until it breaks.  Run inside the sandbox.
"""

import asyncio
import gc
import os
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from circumtest import punctual
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.media import RATE
from circumtest.model import Address, Level, Record, Success, Transport
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.direct import DirectPath
from circumtest.play import play
from circumtest.process import daemon

HOSTS = [f"127.0.0.{n}" for n in range(10, 15)]
CALL = WhatsappCall(level=Level.STANDARD)
BEGIN = 2.0
"""Seconds within which all calls are set up."""
STEPS = (50, 100, 200, 250, 300, 350, 400)
FLOOR = 5.0
"""Seconds that the bare loop is looked at."""
SIZE = 202
"""Bytes of a datagram with sound."""
LINE = 0.002
"""Seconds of jitter that one packet in a hundred may exceed."""


@dataclass
class Watched:
    """A direct path that notes when each packet of sound leaves."""

    path: DirectPath
    left: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __getattr__(self, name: str) -> object:
        return getattr(self.path, name)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """The path's own channel, with its `send` replaced."""
        return Noting(await self.path.open(transport, remote, sink, timeout), self.left[id(sink)])


class Noting:
    """A channel that notes when each packet of sound leaves."""

    def __init__(self, conn: Conn, left: list[float]) -> None:
        self._send, self.close, self._note = conn.send, conn.close, left.append

    def send(self, data: bytes, remote: Address) -> None:
        """Send, and note it."""
        if data[0] == 0x90:
            self._note(time.perf_counter())
        self._send(data, remote)


@dataclass(frozen=True)
class Seen:
    """One round of calls."""

    calls: int
    succeeded: int
    sent: int
    lost: int
    late: float
    """The 99th percentile of the distance from 20 ms, in seconds."""
    floor: float
    """The same of the bare loop."""
    worst: float
    busy: float
    """The share of the core that was used."""

    @property
    def holds(self) -> bool:
        return self.succeeded == self.calls and self.lost == 0 and self.late < LINE


async def round_of(calls: int, netns: Netns) -> Seen:
    """So many calls, begun at random within BEGIN seconds, as independent callers would be."""
    watched = Watched(DirectPath(netns, "bench", frozenset({"127.0.0.1"})))
    target = [Address(host, CALL.port) for host in HOSTS]

    async def one(number: int) -> Record:
        rng = Random(f"{calls} {number}")
        await asyncio.sleep(rng.uniform(0, BEGIN))
        return await play(CALL.script(target, rng), watched)  # type: ignore[arg-type]

    floor = off_time(await bare(calls, netns))
    begun, used = time.perf_counter(), time.process_time()
    records = await asyncio.gather(*(one(number) for number in range(calls)))
    busy = (time.process_time() - used) / (time.perf_counter() - begun)
    ways = [way for record in records for media in record.media for way in (media.up, media.down)]
    off = distances(watched.left.values())
    return Seen(
        calls,
        sum(record.outcome == Success() for record in records),
        sum(way.sent for way in ways),
        sum(way.lost or 0 for way in ways),
        off_time(watched.left.values()),
        floor,
        off[-1],
        busy,
    )


def distances(left: Iterable[list[float]]) -> list[float]:
    """By how much packets of a call that follow each other are not 20 ms apart, sorted."""
    return sorted(
        abs(after - before - 1 / RATE) for times in left for before, after in pairwise(times)
    )


def off_time(left: Iterable[list[float]]) -> float:
    """The 99th percentile of these."""
    off = distances(left)
    return off[len(off) * 99 // 100]


async def bare(calls: int, netns: Netns) -> list[list[float]]:
    """When the datagrams of as many bare senders left, of which each gets as many back."""
    loop = asyncio.get_running_loop()
    end = loop.time() + FLOOR
    left: list[list[float]] = []

    def begin(rng: Random) -> socket.socket:
        sock, times = netns.socket(socket.AF_INET, socket.SOCK_DGRAM), list[float]()
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())  # its own far end: as many come as go
        loop.add_reader(sock, sock.recv, 2048)

        def tick(due: float) -> None:
            times.append(time.perf_counter())
            sock.send(bytes(SIZE))
            if due < end:
                loop.call_at(due + 1 / RATE, tick, due + 1 / RATE)

        loop.call_later(first := rng.uniform(0, 1 / RATE), tick, loop.time() + first)
        left.append(times)
        return sock

    sockets = [begin(Random(number)) for number in range(calls)]
    await asyncio.sleep(FLOOR + 0.1)
    for sock in sockets:
        loop.remove_reader(sock)
        sock.close()
    return left


def before_others(*pids: int) -> bool:
    """Whether these processes go before all others: the machine may be busy with other things."""
    try:
        for pid in pids:
            os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


def told(seen: Seen) -> str:
    """One line of the table."""
    verdict = "" if seen.holds else "  BROKEN"
    return (
        f"{seen.calls:>6} {seen.succeeded:>10} {seen.sent:>9} {seen.lost:>6} "
        f"{1000 * seen.late:>9.2f} {1000 * seen.floor:>9.2f} {1000 * seen.worst:>9.1f} "
        f"{seen.busy:>6.0%}{verdict}"
    )


async def main(numbers: list[int]) -> None:
    """Print a line for each number of calls, and the most that hold."""
    cores = sorted(os.sched_getaffinity(0))
    near, far = cores[0], cores[-1]
    os.sched_setaffinity(0, {near})
    server = [sys.executable, "-m", "tests.bench.calls_far", str(far), str(CALL.port), *HOSTS]
    async with Netns.new("bench") as netns, daemon(netns, server) as running:
        await running.line("ready", 10)
        first = before_others(0, running.pid)
        gc.freeze()  # what was imported is not looked through again while calls are on
        print(
            f"calls on core {near}, far end on core {far}, {'' if first else 'not '}before others"
        )
        print(" calls  succeeded   packets   lost  p99 in ms  floor ms  worst ms   busy")
        best = 0
        for number in numbers or STEPS:
            seen = await round_of(number, netns)
            print(told(seen), flush=True)
            best = max(best, number) if seen.holds else best
            if not seen.holds and not numbers:
                break
    print(f"the most that hold (no loss, p99 below {1000 * LINE:.0f} ms): {best}")


if __name__ == "__main__":
    punctual.run(main([int(number) for number in sys.argv[1:]]))
