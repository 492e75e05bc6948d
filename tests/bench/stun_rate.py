"""STUN bindings a second: a trial of ours against aioice's transaction and a bare asyncio socket.

All three make a new socket for each exchange and talk to the same server, another process on the
loopback of the same namespace.  Rounds are interleaved, so that what else the machine does hits all
three; medians are told.  Run inside the sandbox.
"""

import asyncio
import ctypes
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from aioice import stun
from aioice.ice import StunProtocol

from circumtest.handshakes.stun_binding import StunBinding
from circumtest.model import Address, Success
from circumtest.netns import Netns
from circumtest.path.direct import DirectPath
from circumtest.play import play
from circumtest.process import daemon

SERVER = Address("127.0.0.1", 3478)
ROUNDS = 9
TRIALS = 400
COOKIE = 0x2112A442
CLONE_NEWNET = 0x40000000

Trial = Callable[[], Awaitable[None]]


def ours(netns: Netns) -> Trial:
    """A trial as in a run: the handshake, played over a direct path, with its record."""
    path = DirectPath(netns, "bench", frozenset({SERVER.host}))
    handshake, rng = StunBinding(), random.Random(1)

    async def trial() -> None:
        record = await play(handshake.script([SERVER], rng), path)
        assert isinstance(record.outcome, Success), record

    return trial


class Receiver:
    """What aioice's protocol wants to be owned by."""

    def protocol_lost(self, protocol: StunProtocol) -> None:
        """Told at the end of each exchange."""


async def aioices() -> None:
    """aioice's own protocol and transaction, as it asks a STUN server."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(
        lambda: StunProtocol(Receiver()), local_addr=("127.0.0.1", 0)
    )
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    response, _ = await protocol.request(request, SERVER)
    assert response.attributes["XOR-MAPPED-ADDRESS"][0] == SERVER.host
    await protocol.close()


class Bare(asyncio.DatagramProtocol):
    """Keeps the first datagram that carries the transaction's id."""

    def __init__(self, tid: bytes) -> None:
        self.tid = tid
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[8:20] == self.tid and not self.answer.done():
            self.answer.set_result(data)


async def bare() -> None:
    """The least that asyncio needs for the exchange: no retransmission, no record."""
    loop, tid = asyncio.get_running_loop(), os.urandom(12)
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Bare(tid), local_addr=("127.0.0.1", 0)
    )
    transport.sendto(struct.pack("!HHI", 1, 0, COOKIE) + tid, SERVER)
    async with asyncio.timeout(5):
        answer = await protocol.answer
    (mapped,) = struct.unpack_from("!I", answer, 28)
    assert socket.inet_ntoa((mapped ^ COOKIE).to_bytes(4, "big")) == SERVER.host
    transport.close()


async def rate(trial: Trial) -> float:
    """Trials a second, one after the other."""
    begun = time.perf_counter()
    for _ in range(TRIALS):
        await trial()
    return TRIALS / (time.perf_counter() - begun)


async def measure(trials: dict[str, Trial]) -> dict[str, list[float]]:
    """The rates of each, round by round; a first round warms up and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in trials}
    for round_ in range(ROUNDS + 1):
        for name, trial in trials.items():
            reached = await rate(trial)
            if round_:
                rates[name].append(reached)
    return rates


@contextmanager
def living_in(netns: Netns) -> Iterator[None]:
    """This thread's sockets are born in `netns` meanwhile: neither of the others knows of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        assert libc.setns(netns.fd, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


async def main() -> None:
    """Print the rates, and the ratios that are asked for."""
    server = [sys.executable, str(Path(__file__).with_name("stun_echo.py")), *map(str, SERVER)]
    async with Netns.new("bench") as netns, daemon(netns, server) as running:
        await running.line("ready", 10)
        with living_in(netns):
            trials = {"play()": ours(netns), "aioice": aioices, "bare asyncio": bare}
            rates = await measure(trials)
    medians = {name: median(reached) for name, reached in rates.items()}
    print(f"STUN bindings a second, median of {ROUNDS} rounds of {TRIALS}")
    for name, reached in medians.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        print(f"  {name:<14} {reached:>7.0f}  ({spread})")
    for name, aim in (("aioice", "> 1"), ("bare asyncio", "> 0.5")):
        print(f"  play() / {name:<14} {medians['play()'] / medians[name]:.2f}  (aim {aim})")


if __name__ == "__main__":
    asyncio.run(main())
