"""A namespace whose only way out is a path: what passes through it, and what does not."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from circumtest.errors import TunnelDown
from circumtest.gateway import OWN, Gateway, flows, gateway, relay
from circumtest.lab.topology import CLIENT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.direct import DirectPath
from circumtest.process import run
from tests.lab.town import CUT, FAR, everything_passes, play, until

SEEN = {4: CLIENT[4], 6: CLIENT[6]}
NOBODY = Address("192.0.2.10", 9)
"""A port where nobody listens."""


@dataclass(frozen=True)
class Down:
    """A path that is at fault whatever is asked of it, until it is told otherwise."""

    direct: DirectPath
    said: list[TunnelDown]

    name = "down"
    transports = frozenset(Transport)
    exits: frozenset[str] = frozenset()
    mtu = None
    dns: tuple[str, ...] = ()
    silence = TunnelFault.NO_DATA
    words = ""

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """Fails as long as there is something to say."""
        if self.said:
            raise self.said[0]
        return await self.direct.open(transport, remote, sink, timeout)

    def fault(self) -> None:
        """Nothing by itself."""
        return


@asynccontextmanager
async def behind(place: Lab) -> AsyncIterator[DirectPath]:
    """The path of a program that lives in a gateway to the client's namespace."""
    async with gateway(place.outside, "gateway") as made:
        yield DirectPath(made.netns, "behind", frozenset())


def scenes(scene: Callable[[Lab, Gateway], Awaitable[None]]) -> None:
    """Play it with a gateway to the client's namespace."""

    async def whole(place: Lab) -> None:
        async with gateway(place.outside, "gateway") as made:
            await scene(place, made)

    play(whole)


async def connected(netns: Netns, remote: Address) -> socket.socket:
    """A TCP connection of that namespace."""
    family = socket.AF_INET6 if remote.version == 6 else socket.AF_INET
    sock = netns.socket(family, socket.SOCK_STREAM)
    await asyncio.get_running_loop().sock_connect(sock, remote)
    return sock


async def told(netns: Netns, remote: Address) -> bytes:
    """The first octet of an answer from there, over TCP."""
    with netns.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        await asyncio.get_running_loop().sock_connect(sock, remote)
        await asyncio.get_running_loop().sock_sendall(sock, b"well?")
        return await asyncio.wait_for(read_all(sock, 1), 3)


async def read_all(sock: socket.socket, size: int) -> bytes:
    """So many octets, or what there were before the end."""
    data = b""
    while len(data) < size and (more := await asyncio.get_running_loop().sock_recv(sock, 1 << 20)):
        data += more
    return data


@asynccontextmanager
async def server(netns: Netns, at: Address, serve: Callable[[socket.socket], Awaitable[None]]):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """One connection after another is handed to `serve`."""
    listener = netns.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(at)
    listener.listen()

    async def run() -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            with sock:
                await serve(sock)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        listener.close()


def test_both_transports_and_families_pass_and_are_seen_as_the_paths() -> None:
    """Whatever the port; what programs there see of themselves is an address of its own."""

    async def scene(place: Lab) -> None:
        async with behind(place) as path:
            await everything_passes(path, SEEN)
            for version, remote in FAR.items():
                family = socket.AF_INET6 if version == 6 else socket.AF_INET
                with path.netns.socket(family, socket.SOCK_DGRAM) as sock:
                    sock.connect(remote)
                    assert sock.getsockname()[0] == OWN[version]

    play(scene)


def test_many_flows_at_once_are_not_mistaken_for_one_another() -> None:
    """From many ports to one address, and from one port to two."""

    async def scene(place: Lab, made: Gateway) -> None:
        loop = asyncio.get_running_loop()
        socks = [made.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(60)]
        for number, sock in enumerate(socks):
            sock.sendto(str(number).encode(), FAR[4])
        for number, sock in enumerate(socks):
            data, source = await asyncio.wait_for(loop.sock_recvfrom(sock, 99), 3)
            assert data == f"{CLIENT[4]}|{number}".encode()
            assert source == tuple(FAR[4])
            sock.close()
        with made.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for far in (FAR[4], Address(FAR[4].host, 53)):
                sock.sendto(b"x" * 40, far)
            sock.sendto(b"second", FAR[4])
            data = (await asyncio.wait_for(loop.sock_recv(sock, 99), 3)).partition(b"|")[2]
            assert data == b"x" * 40
            assert b"second" in await asyncio.wait_for(loop.sock_recv(sock, 99), 3)

    # The resolver of the town breaks over what is no query: that datagram goes to nobody.
    async def quiet(place: Lab, made: Gateway) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        await scene(place, made)

    scenes(quiet)


def test_large_datagrams_pass_whole() -> None:
    """Its own device does not limit them; the path's does, as it would without a gateway."""

    async def scene(place: Lab, made: Gateway) -> None:
        payload = os.urandom(9000)
        with made.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(payload, FAR[4])
            reading = asyncio.get_running_loop().sock_recv(sock, 65536)
            assert (await asyncio.wait_for(reading, 3)).endswith(b"|" + payload)

    scenes(scene)


def test_a_long_stream_waits_for_whoever_is_slow_and_loses_nothing() -> None:
    """Ten times what may wait, in both directions, read late."""
    size = 10 * flows._HIGH
    at = Address("192.0.2.10", 7000)
    sent = os.urandom(size)

    async def late(sock: socket.socket) -> None:
        await asyncio.sleep(0.3)
        heard = await read_all(sock, size)
        await asyncio.get_running_loop().sock_sendall(sock, heard)

    async def scene(place: Lab, made: Gateway) -> None:
        async with server(place.services, at, late):
            with await connected(made.netns, at) as sock:
                await asyncio.get_running_loop().sock_sendall(sock, sent)
                await asyncio.sleep(0.3)
                assert await read_all(sock, size) == sent

    scenes(scene)


def test_one_half_may_end_before_the_other() -> None:
    """Who has nothing more to say still listens, and the far end hears of the end."""
    at = Address("192.0.2.10", 7000)

    async def until_the_end(sock: socket.socket) -> None:
        heard = await read_all(sock, 1 << 20)
        await asyncio.get_running_loop().sock_sendall(sock, b"all of " + heard)

    async def scene(place: Lab, made: Gateway) -> None:
        async with server(place.services, at, until_the_end):
            with await connected(made.netns, at) as sock:
                await asyncio.get_running_loop().sock_sendall(sock, b"it")
                sock.shutdown(socket.SHUT_WR)
                assert await asyncio.wait_for(read_all(sock, 1 << 20), 3) == b"all of it"

    scenes(scene)


def test_what_is_refused_beyond_is_reset() -> None:
    """A connection is accepted first, because nothing else can be done."""

    async def scene(place: Lab, made: Gateway) -> None:
        with pytest.raises(ConnectionError):
            await told(made.netns, NOBODY)

    scenes(scene)


def test_a_ping_is_not_answered_by_the_gateway_itself() -> None:
    """Every address is its own there: without the rule each would be alive."""

    async def scene(place: Lab, made: Gateway) -> None:
        loop = asyncio.get_running_loop()
        request = b"\x08\x00\xf7\xfd\x00\x01\x00\x01"
        with made.netns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
            sock.sendto(request, ("127.0.0.1", 0))
            await asyncio.wait_for(loop.sock_recv(sock, 99), 1)  # the request itself, or its answer
            sock.sendto(request, (FAR[4].host, 0))
            for _ in range(9):
                with suppress(TimeoutError):
                    answer, source = await asyncio.wait_for(loop.sock_recvfrom(sock, 99), 0.1)
                    assert source[0] != FAR[4].host, answer

    scenes(scene)


def test_a_transport_that_the_path_does_not_carry_is_refused_at_once() -> None:
    """A program is told, instead of waiting for ever."""

    async def scene(place: Lab) -> None:
        only = replace(place.outside, transports=frozenset({Transport.TCP}))
        async with gateway(only, "gateway") as made:
            for remote in FAR.values():
                family = socket.AF_INET6 if remote.version == 6 else socket.AF_INET
                with made.netns.socket(family, socket.SOCK_DGRAM) as sock:
                    with suppress(OSError):  # some kernels say so when it is sent
                        sock.connect(remote)
                        sock.send(b"hello")
                        await asyncio.sleep(0)
                    with pytest.raises(OSError, match=r"denied|route|permitted"):
                        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 9), 2)
            assert await told(made.netns, FAR[4])

    play(scene)


def test_nothing_leaves_but_through_the_path() -> None:
    """It has no other device, and no route that is not its own loop."""

    async def scene(place: Lab, made: Gateway) -> None:
        assert await made.netns.links() == ("lo",)
        assert made.netns.ways_out() == {}

    scenes(scene)


def test_what_the_path_says_of_itself_is_known_until_it_carries_again() -> None:
    """A program behind it sees a reset only: who brings it up can say more."""

    async def scene(place: Lab) -> None:
        said = [TunnelDown(TunnelFault.AUTH, "it does not know us")]
        path = Down(place.outside, said)
        async with gateway(path, "gateway") as made:
            assert made.fault() is None
            with pytest.raises(ConnectionError):
                await told(made.netns, FAR[4])
            assert made.fault() is said[0]
            made.forget()
            assert made.fault() is None
            direct = DirectPath(made.netns, "behind", frozenset())
            with await connected(made.netns, FAR[4]), suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await until(lambda: made.fault() is not None)
            said.clear()
            await everything_passes(direct, SEEN)
            assert made.fault() is None

    play(scene)


def test_flows_in_which_nothing_happens_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next datagram opens one again."""
    monkeypatch.setattr(relay, "IDLE", 0.3)

    async def scene(place: Lab, made: Gateway) -> None:
        loop = asyncio.get_running_loop()
        with made.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(2):
                sock.sendto(b"hello", FAR[4])
                await asyncio.wait_for(loop.sock_recv(sock, 99), 3)
                assert len(made._relay._datagrams) == 1
                async with asyncio.timeout(3):
                    await until(lambda: not made._relay._datagrams)

    scenes(scene)


def test_more_flows_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there go on."""
    monkeypatch.setattr(relay, "FLOWS", 2)

    async def scene(place: Lab, made: Gateway) -> None:
        kept = [await connected(made.netns, FAR[4]) for _ in range(2)]
        with pytest.raises(ConnectionError):
            await told(made.netns, FAR[4])
        for sock in kept:
            await asyncio.get_running_loop().sock_sendall(sock, b"on")
            assert await asyncio.wait_for(read_all(sock, 2), 3)
            sock.close()

    scenes(scene)


def test_a_cut_path_is_silent_and_carries_again_when_it_does() -> None:
    """The gateway adds nothing of its own to what the path does."""

    async def scene(place: Lab, made: Gateway) -> None:
        path = DirectPath(made.netns, "behind", frozenset())
        await everything_passes(path, SEEN)
        await run(place.censor, ["nft", "-f", "-"], input=CUT)
        with made.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", FAR[4])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 99), 0.3)
        await run(place.censor, ["nft", "delete", "table", "inet", "cut"])
        await everything_passes(path, SEEN)

    scenes(scene)
