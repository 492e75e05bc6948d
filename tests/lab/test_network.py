"""The lab's links do what a policy's network says, and lose what the simulator loses.

Datagrams with numbers between the client, the services and the exit, IPv4 and IPv6, both ways.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from circumtest.censor.middlebox.netlink import Queue
from circumtest.censor.policy import Conditions, Way
from circumtest.errors import EnvironmentUnfit
from circumtest.impair import ETHERNET, LINKS, Impairment
from circumtest.lab.emulator import LEAD
from circumtest.lab.network import FIRST_QUEUE, Network, conditions
from circumtest.lab.topology import CLIENT, EXIT, RESOLVER, Lab, lab
from circumtest.model import Address, Transport
from circumtest.netns import Netns
from circumtest.script import Emit, Flow, Script, now, open_udp, recv, send
from circumtest.simulate import simulate

SEED = 7
MANY = 200
PATIENCE = 10.0
FAR = {"services": RESOLVER, "exit": EXIT}
PORT = 9000
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO = 10, 2


class Line:
    """Numbered datagrams between two ends; `up` and `down` are the numbers that came, in order."""

    def __init__(self, near: Netns, far: Netns, here: str, there: str) -> None:
        self.up: list[tuple[int, float]] = []
        self.down: list[tuple[int, float]] = []
        self._news = asyncio.Event()
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in here else socket.AF_INET
        self._near = near.socket(family, socket.SOCK_DGRAM)
        self._far = far.socket(family, socket.SOCK_DGRAM)
        ends = ((self._near, here, self.down), (self._far, there, self.up))
        for sock, host, came in ends:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.bind((host, PORT))
            loop.add_reader(sock, self._take, sock, came)
        self._near.connect((there, PORT))
        self._far.connect((here, PORT))

    def close(self) -> None:
        """Both sockets are gone."""
        for sock in (self._near, self._far):
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    def send(self, number: int, way: Way, size: int = 100) -> float:
        """Send one; when."""
        sock = self._near if way is Way.UP else self._far
        now = time.monotonic()
        sock.send(number.to_bytes(4, "big") + bytes(size - 4))
        return now

    async def refused(self, size: int) -> None:
        """Send number 2, whole or not at all, until that raises OSError."""
        self._near.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        async with asyncio.timeout(PATIENCE):
            while True:
                self.send(2, Way.UP, size)
                await asyncio.sleep(0)

    def came(self, way: Way) -> list[int]:
        """The numbers that have come so far, in their order."""
        return [number for number, _ in (self.up if way is Way.UP else self.down)]

    async def until(self, number: int, way: Way) -> float:
        """When a number came."""
        came = self.up if way is Way.UP else self.down
        async with asyncio.timeout(PATIENCE):
            while True:
                self._news.clear()
                for one, at in came:
                    if one == number:
                        return at
                await self._news.wait()

    def _take(self, sock: socket.socket, came: list[tuple[int, float]]) -> None:
        data = sock.recv(65536)
        came.append((int.from_bytes(data[:4], "big"), time.monotonic()))
        self._news.set()


@asynccontextmanager
async def line(
    network: Sequence[Conditions], version: int = 4, far: str = "services", seed: int = SEED
) -> AsyncIterator[tuple[Line, Lab, Network]]:
    """A lab with that network, and a line through it."""
    async with lab() as it, conditions(it, network, seed) as there:
        between = Line(it.client, it.rooms[far], CLIENT[version], FAR[far][version])
        try:
            yield between, it, there
            assert (there.fault(), there.lost()) == (None, 0)
        finally:
            between.close()


async def trip(between: Line, way: Way, number: int) -> float:
    """How long one datagram takes."""
    sent = between.send(number, way)
    return await between.until(number, way) - sent


def play(test: Coroutine[None, None, None]) -> None:
    """Run what a test does."""
    asyncio.run(test)


def simulated(network: Sequence[Conditions], seed: int) -> dict[Way, list[int]]:
    """Which of MANY datagrams each way the simulator lets arrive, and in which order."""
    there = Address("203.0.113.10", PORT)
    came: dict[Way, list[int]] = {Way.UP: [], Way.DOWN: []}

    class Counts:
        """Writes down what comes, and sends as many back at once."""

        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            first = not came[Way.UP]
            came[Way.UP].append(int.from_bytes(data, "big"))
            if first:
                yield from (Emit(flow, number.to_bytes(4, "big")) for number in range(MANY))

        def timer(self) -> float | None:
            return None

        def tick(self, now: float) -> Iterable[Emit]:
            return ()

    def script() -> Script[None]:
        channel = yield from open_udp(there)
        for number in range(MANY):
            yield from send(channel, number.to_bytes(4, "big"))
        end = (yield from now()) + PATIENCE
        while arrival := (yield from recv(end)):
            assert isinstance(arrival.data, bytes)
            came[Way.DOWN].append(int.from_bytes(arrival.data, "big"))

    simulate(script(), {(Transport.UDP, there): Counts()}, network=network, seed=seed)
    return came


@pytest.mark.parametrize(
    "network",
    [
        [Conditions(loss=0.1)],
        [Conditions("services", loss=0.1, delay=0.01)],
        [Conditions(loss=0.1), Conditions("services", loss=0.1)],
        [Conditions(delay=0.5, reorder=0.3, loss=0.05)],
    ],
    ids=["client", "services", "both", "reordered"],
)
def test_the_same_seed_loses_and_reorders_the_same_packets_as_in_the_simulator(
    network: list[Conditions],
) -> None:
    """Every one of 200 datagrams each way, over IPv4 and IPv6."""

    async def lossy(version: int, seed: int) -> dict[Way, list[int]]:
        async with line(network, version, seed=seed) as (between, _, _):
            for way in Way.UP, Way.DOWN:
                for number in range(MANY):
                    between.send(number, way)
                await between.until(simulated(network, seed)[way][-1], way)
            return {way: between.came(way) for way in (Way.UP, Way.DOWN)}

    async def all_of_it() -> None:
        for version, seed in ((4, 1), (6, 2)):
            assert await lossy(version, seed) == simulated(network, seed)
        assert simulated(network, 1) != simulated(network, 2)

    play(all_of_it())


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("version", [4, 6])
def test_a_delay_is_one_way_and_the_same_both_ways(link: str, version: int) -> None:
    """No datagram is there before, and each way takes it: 40 ms, on any link."""

    async def delayed() -> None:
        far = "exit" if link == "exit" else "services"
        async with line([Conditions(link, delay=0.04)], version, far) as (between, _, _):
            for way in Way.UP, Way.DOWN:
                took = [await trip(between, way, number) for number in range(5)]
                assert 0.04 - 2 * LEAD < min(took) < 0.08

    play(delayed())


def test_a_link_that_nothing_was_said_of_is_left_alone() -> None:
    """What goes to the exit does not meet the services' link."""

    async def other() -> None:
        async with line([Conditions("services", delay=5.0)], far="exit") as (between, _, _):
            assert await trip(between, Way.UP, 1) < 5.0

    play(other())


def test_jitter_is_added_to_each_packet_as_the_seed_says() -> None:
    """None is there before its time, and not all are late by as much as the next one's."""
    asked = Conditions(delay=0.1, jitter=0.03)

    async def jittery() -> None:
        wanted, begun = Impairment(asked, SEED, Way.UP), time.monotonic()
        async with line([asked]) as (between, _, _):
            due = {}
            for number in range(30):
                sent = between.send(number, Way.UP)
                due[number] = wanted.leaves(100, sent) or begun
            for number, at in due.items():
                assert await between.until(number, Way.UP) >= at - 2 * LEAD
            assert between.came(Way.UP) != sorted(due)

    play(jittery())


def test_a_rate_spreads_what_comes_at_once_and_drops_what_is_too_much() -> None:
    """At 20 kB/s 1028 bytes take 51 ms, and the queue has room for fourteen of them."""
    asked = Conditions(rate=20_000)

    async def slow() -> None:
        async with line([asked]) as (between, _, _):
            begun, *_ = [between.send(number, Way.UP, 1000) for number in range(40)]
            last = await between.until(13, Way.UP)
            assert last - begun >= 14 * 1028 / asked.rate - 2 * LEAD
            await trip(between, Way.UP, 99)  # what was behind them has come, or never will
            came = between.came(Way.UP)[:-1]
            assert came[:14] == list(range(14))
            assert len(came) < 20

    play(slow())


@pytest.mark.parametrize("link", ["client", "services"])
def test_a_small_mtu_is_told_to_who_sends_too_much(link: str) -> None:
    """At once by the own device, by ICMP from a router; afterwards all is as before."""

    async def small() -> None:
        async with lab() as it:
            async with conditions(it, [Conditions(link, mtu=1300)]):
                between = Line(it.client, it.services, CLIENT[4], RESOLVER[4])
                try:
                    await trip(between, Way.UP, 1)
                    with pytest.raises(OSError, match="Message too long"):
                        await between.refused(1400)
                    assert 2 not in between.came(Way.UP)
                finally:
                    between.close()
            room = {"client": it.censor, "services": it.backbone}[link]
            device = await room.configure(lambda links: links.device(link))
            assert device is not None
            assert device.mtu == ETHERNET

    play(small())


def test_a_dead_emulator_is_told_and_lets_nothing_pass() -> None:
    """Silence that is ours is never taken for a censor's."""

    async def killed() -> None:
        async with lab() as it, conditions(it, [Conditions(loss=0.5)], SEED) as there:
            assert there.fault() is None
            (emulator,) = there.emulators
            os.kill(emulator.process.pid, signal.SIGKILL)
            await emulator.process.ended()
            fault = there.fault()
            assert fault is not None
            assert "emulator is gone" in fault
            between = Line(it.client, it.services, CLIENT[4], RESOLVER[4])
            try:
                between.send(1, Way.UP)
                await asyncio.sleep(0)  # the kernel forwards in the sender's own call
                assert between.came(Way.UP) == []
            finally:
                between.close()

    play(killed())


def test_when_it_ends_the_links_are_as_they_were() -> None:
    """No process, no queue, no rule, no delay."""

    async def ends() -> None:
        async with lab() as it:
            asked = [Conditions(delay=1.0, loss=0.5, mtu=1300), Conditions("exit", jitter=1.0)]
            async with conditions(it, asked) as there:
                pids = [emulator.process.pid for emulator in there.emulators]
                assert len(pids) == 2
            assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
            between = Line(it.client, it.services, CLIENT[4], RESOLVER[4])
            try:
                for number in range(20):
                    assert await trip(between, Way.UP, number) < 1.0
            finally:
                between.close()
            async with conditions(it, asked):  # nothing is left that would be in its way
                pass

    play(ends())


def test_a_queue_that_somebody_else_has_is_refused_before_anything_starts() -> None:
    """EnvironmentUnfit in words, and traffic passes as before."""

    async def taken() -> None:
        async with lab() as it:
            asked = conditions(it, [Conditions(loss=0.5)])
            with (
                await it.censor.acall(Queue, [FIRST_QUEUE]),
                pytest.raises(EnvironmentUnfit, match="gives no program its packets"),
            ):
                await asked.__aenter__()
            between = Line(it.client, it.services, CLIENT[4], RESOLVER[4])
            try:
                await trip(between, Way.UP, 1)
            finally:
                between.close()

    play(taken())
