"""Nothing leaves beside the tunnel when something is killed in mid-call, and what does is caught.

Counted twice: by the watch on the client's uplinks, and by nftables where those cables end.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.topology import Lab
from circumtest.live.watch import Leak, Watch, watching
from circumtest.model import Address, Transport
from circumtest.netns import Netns
from circumtest.netns.links import netlink
from circumtest.path import Path
from circumtest.path.direct import DirectPath
from circumtest.process import run
from tests.lab.exits import inhabitants, kill_all
from tests.lab.specimens import every
from tests.lab.town import FAR, ask, look_up, play, until

NAME = "who.invalid"
"""What `look_up` asks for."""
HOSTS = tuple(remote.host for remote in FAR.values())
SPECIMENS = {one.name: one for one in every()}
TUNNELS = ("wireguard", "openvpn-udp", "shadowsocks", "socks-dante", "interface")
_COUNTERS = b"""
table inet tally {
    counter leaked { }
    chain passing {
        type filter hook prerouting priority raw
        iifname != { "client", "spare" } return
        ip daddr 192.0.2.10 counter name leaked
        ip6 daddr 2001:db8:4::2 counter name leaked
    }
}
"""
_PACE = 0.02
_TICKS_AFTER = 60
"""Packets of the call that are sent on after the kill."""

Kill = Callable[[Lab, Path], Awaitable[None]]


async def processes(place: Lab, path: Path) -> None:
    """Every program of the tunnel's at the client: kill -9."""
    del path
    pids = inhabitants(place.client) - {os.getpid()}
    assert pids
    kill_all(pids)
    await until(lambda: not _alive(pids))


async def server(place: Lab, path: Path) -> None:
    """Every program at the exit."""
    del path
    pids = inhabitants(place.exit) - {os.getpid()}
    kill_all(pids)
    await until(lambda: not _alive(pids))


async def link(place: Lab, path: Path) -> None:
    """The uplink goes down, and comes again with its routes."""
    del path
    await run(place.client, ["ip", "link", "set", "censor", "down"])
    await asyncio.sleep(_PACE * 10)  # the call goes on meanwhile
    commands = """
        ip link set censor up
        ip address replace 2001:db8:2::2/64 dev censor nodad
        ip route replace default via 192.0.2.1
        ip -6 route replace default via 2001:db8:2::1 || true
    """
    await run(place.client, ["sh", "-e", "-c", commands])


async def route(place: Lab, path: Path) -> None:
    """The default route goes to another cable."""
    del path
    commands = """
        ip route replace default via 198.18.5.1
        ip -6 route replace default via 2001:db8:5::1
    """
    await run(place.client, ["sh", "-e", "-c", commands])


def _alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] not in "ZX":
                found.add(pid)
    return found


@asynccontextmanager
async def counted(place: Lab) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A second cable, and how many packets to the targets came out of both."""
    await place.client.veth("spare", place.backbone, "spare")
    for netns, end in ((place.client, 2), (place.backbone, 1)):
        await netns.address("spare", f"198.18.5.{end}/30")
        await netns.address("spare", f"2001:db8:5::{end}/64")
    for netns in (place.censor, place.backbone):
        await run(netns, ["nft", "-f", "-"], input=_COUNTERS)

    async def leaked() -> int:
        return sum([await _leaked(netns) for netns in (place.censor, place.backbone)])

    yield leaked


async def _leaked(netns: Netns) -> int:
    said = json.loads(await run(netns, ["nft", "-j", "list", "counter", "inet", "tally", "leaked"]))
    return sum(one["counter"]["packets"] for one in said["nftables"] if "counter" in one)


class Call:
    """Datagrams of both families, streams and questions through a path, whatever becomes of it."""

    def __init__(self, path: Path) -> None:
        self.sent = 0
        self._path = path
        self._tries: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._talk())
        try:
            yield
        finally:
            for one in (task, *self._tries):
                one.cancel()
            await asyncio.gather(task, *self._tries, return_exceptions=True)

    async def more(self, ticks: int) -> None:
        """Wait until so many more packets were sent."""
        wanted = self.sent + ticks
        await until(lambda: self.sent >= wanted)

    async def _talk(self) -> None:
        async with AsyncExitStack() as stack:
            conns = []
            for remote in FAR.values():
                with suppress(OSError, TunnelDown):
                    conn = await self._path.open(Transport.UDP, remote, lambda *_: None, 1)
                    stack.callback(conn.close)
                    conns.append((conn, remote))
            while True:
                for conn, remote in conns:
                    conn.send(b"sound", remote)
                self.sent += 1
                if self.sent % 10 == 0:
                    self._try()
                await asyncio.sleep(_PACE)

    def _try(self) -> None:
        """Begin anew, as an application does that notices."""
        for version in (4, 6):
            for transport in Transport:
                task = asyncio.create_task(self._begin(transport, FAR[version]))
                self._tries.add(task)
                task.add_done_callback(self._tries.discard)

    async def _begin(self, transport: Transport, remote: Address) -> None:
        with suppress(OSError, TunnelDown):
            await look_up(self._path, transport, remote.host)
            await ask(self._path, transport, remote, wait=1)


@asynccontextmanager
async def tunnelled(place: Lab, name: str) -> AsyncIterator[tuple[Path, tuple[str, ...]]]:
    """The path inside, and the devices of the client that are the tunnel itself."""
    specimen = SPECIMENS[name]
    async with specimen.server().serve(place) as fields:
        tunnel = specimen.tunnel(fields)
        async with tunnel.up(place.client) as path:
            yield path, (fields["device"],) if "device" in fields else ()


KILLS: tuple[Kill, ...] = (processes, server, link, route)
CASES = [
    pytest.param(name, kill, id=f"{name}-{kill.__name__}")
    for name in TUNNELS
    for kill in KILLS
    if (name, kill) != ("socks-dante", processes)  # it has no program at the client
]


@pytest.mark.parametrize(("name", "kill"), CASES)
def test_nothing_leaves_outside_when_something_is_killed_in_mid_call(name: str, kill: Kill) -> None:
    """Datagrams, new streams and questions go on for a while, and none is seen on the uplinks."""

    async def scene(place: Lab) -> None:
        async with (
            counted(place) as leaked,
            tunnelled(place, name) as (path, devices),
            watching(place.client, HOSTS, [NAME], within=devices) as watch,
        ):
            assert await ask(path, Transport.TCP, FAR[4])
            watch.heed(True)
            call = Call(path)
            async with call.going():
                await call.more(10)
                await kill(place, path)
                await call.more(_TICKS_AFTER)
            assert watch.leaks() == ()
            assert watch.fault() is None
            assert await leaked() == 0

    play(scene)


def test_a_path_that_leaks_is_caught_whatever_leaks() -> None:
    """To the target, by IPv6, and a question; by the watch and by the counter."""

    async def scene(place: Lab) -> None:
        async with counted(place) as leaked, watching(place.client, HOSTS, [NAME]) as watch:
            watch.heed(True)
            await ask(place.outside, Transport.UDP, FAR[4])
            assert [one.kind for one in watch.leaks()] == ["target"]
            await ask(place.outside, Transport.TCP, FAR[6])
            await look_up(place.outside, Transport.UDP, HOSTS[0])
            await look_up(place.outside, Transport.TCP, HOSTS[1])
            found = {(one.kind, one.transport) for one in watch.leaks()}
            assert found >= {("target", "UDP"), ("ipv6", "TCP"), ("dns", "UDP"), ("dns", "TCP")}
            assert sum(one.packets for one in watch.leaks()) == await leaked()
            assert watch.fault() is None

    play(scene)


def test_a_question_is_caught_whomever_it_is_asked() -> None:
    """The resolver is no target; a question about something else is nobody's business."""

    async def scene(place: Lab) -> None:
        async with (
            watching(place.client, ["203.0.113.77"], [NAME.upper() + "."]) as watch,
            watching(place.client, ["203.0.113.77"], ["other.invalid"]) as other,
        ):
            watch.heed(True)
            other.heed(True)
            await look_up(place.outside, Transport.UDP, HOSTS[0])
            assert watch.leaks() == (Leak("dns", 1, "UDP"),)
            assert "1 packet (UDP) asked for the target's name" in str(watch.leaks()[0])
            assert other.leaks() == ()

    play(scene)


def test_only_what_begins_while_it_heeds_is_a_leak() -> None:
    """What the outside arm left behind is not the inside arm's, nor what follows afterwards."""

    async def scene(place: Lab) -> None:
        async with watching(place.client, HOSTS, []) as watch:
            old = await place.outside.open(Transport.UDP, FAR[4], lambda *_: None, 1)
            old.send(b"before", FAR[4])
            watch.heed(True)
            old.send(b"still", FAR[4])
            assert watch.leaks() == ()
            new = await place.outside.open(Transport.UDP, FAR[4], lambda *_: None, 1)
            new.send(b"now", FAR[4])
            watch.heed(False)
            new.send(b"after", FAR[4])
            assert watch.leaks() == (Leak("target", 1, "UDP"),)
            old.close()
            new.close()

    play(scene)


def test_the_tunnels_own_devices_and_server_are_no_leak() -> None:
    """Where the device is the tunnel, and where the server is at the target's address."""

    async def scene(place: Lab) -> None:
        async with (
            watching(place.client, HOSTS, [], within=["censor"]) as device,
            watching(place.client, HOSTS, [], servers=[FAR[4]]) as server,
        ):
            for watch in (device, server):
                watch.heed(True)
            await ask(place.outside, Transport.UDP, FAR[4])
            assert device.leaks() == server.leaks() == ()
            await ask(place.outside, Transport.UDP, FAR[6])
            assert device.leaks() == ()
            assert [one.kind for one in server.leaks()] == ["ipv6"]

    play(scene)


def test_what_left_by_the_tunnels_device_is_no_leak_when_that_is_gone() -> None:
    """It is looked at later than it left."""

    async def scene(place: Lab) -> None:
        async with counted(place), watching(place.client, HOSTS, [], within=["spare"]) as watch:
            await place.client.route("192.0.2.10/32", via="198.18.5.1")
            path = DirectPath(place.client, "spare", frozenset(), device="spare")
            watch.heed(True)
            assert (await ask(path, Transport.UDP, FAR[4]))[0] == "198.18.5.2"
            conn = await path.open(Transport.UDP, FAR[4], lambda *_: None, 1)
            conn.send(b"x", FAR[4])
            # Blocking, so that the watch has no turn before.
            place.client.call(lambda: netlink().delete("spare"))
            assert watch.leaks() == ()
            conn.close()

    play(scene)


def test_packets_that_were_not_seen_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch whose room is too small says so: nothing is known then."""
    monkeypatch.setattr("circumtest.live.watch._BUFFER", 0)

    async def scene(place: Lab) -> None:
        async with watching(place.client, HOSTS, []) as watch:
            path = DirectPath(place.client, "direct", frozenset())
            conn = await path.open(Transport.UDP, FAR[4], lambda *_: None, 1)
            for _ in range(200):
                conn.send(bytes(1000), FAR[4])
            assert "had no room" in (watch.fault() or "")
            conn.close()

    play(scene)


def test_what_watches_is_not_in_the_way() -> None:
    """Nothing of what is beside the point reaches the watch: not other hosts, not answers."""

    async def scene(place: Lab) -> None:
        async with watching(place.client, ["203.0.113.77"], [NAME]) as watch:
            watch.heed(True)
            for _ in range(50):
                await ask(place.outside, Transport.UDP, FAR[4])
            assert _looked_at(watch) == 0
            stranger = Address("203.0.113.77", 7)
            conn = await place.outside.open(Transport.UDP, stranger, lambda *_: None, 1)
            conn.send(b"x", stranger)
            conn.close()
            assert watch.leaks() == (Leak("target", 1, "UDP"),)

    play(scene)


def _looked_at(watch: Watch) -> int:
    return len(watch._before) + sum(one.packets for one in watch.leaks())
