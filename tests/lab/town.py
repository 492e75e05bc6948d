"""The lab with a plain echo among its services, and what tests of tunnels do in it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address, Cause, Transport
from circumtest.netns import Netns
from circumtest.path import Path

FAR = {4: Address("192.0.2.10", 9000), 6: Address("2001:db8:4::2", 9000)}
"""The echo, over UDP and TCP."""
CUT = b"table inet cut { chain c { type filter hook forward priority 0; policy drop; }; }"
"""Fed to nft, it lets nothing through a namespace."""
TIMEOUT = 5.0


@asynccontextmanager
async def town() -> AsyncIterator[Lab]:
    """The lab, with an echo that says whom it saw."""
    async with lab() as place, echo(place.services):
        yield place


@asynccontextmanager
async def echo(netns: Netns) -> AsyncIterator[None]:
    """UDP and TCP, IPv4 and IPv6: what comes in goes back behind the address that it came from."""
    loop, tasks = asyncio.get_running_loop(), set()

    def datagram(sock: socket.socket) -> None:
        data, source = sock.recvfrom(65536)
        sock.sendto(source[0].encode() + b"|" + data, source)

    async def stream(sock: socket.socket) -> None:
        while True:
            conn, source = await loop.sock_accept(sock)
            reader, writer = await asyncio.open_connection(sock=conn)
            writer.write(source[0].encode() + b"|" + await reader.read(65536))
            writer.close()

    sockets = []
    for version, (host, port) in FAR.items():
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        udp, tcp = netns.socket(family, socket.SOCK_DGRAM), netns.socket(family, socket.SOCK_STREAM)
        for sock in (udp, tcp):
            sock.bind((host, port))
            sockets.append(sock)
        loop.add_reader(udp, datagram, udp)
        tcp.listen()
        tasks.add(asyncio.create_task(stream(tcp)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()


async def ask(
    path: Path, transport: Transport, remote: Address, payload: bytes = b"hello", wait: float = 3
) -> tuple[str, bytes]:
    """Send, and give back whom the far end saw and what came back.  Raises what went wrong."""
    inbox: asyncio.Queue[tuple[bytes | Cause, Address]] = asyncio.Queue()
    conn = await path.open(transport, remote, lambda *what: inbox.put_nowait(what), TIMEOUT)
    try:
        conn.send(payload, remote)
        heard = b""
        async with asyncio.timeout(wait):
            while len(heard) < len(payload):
                data, source = await inbox.get()
                if isinstance(data, Cause):
                    raise ConnectionError(data)
                assert source == remote
                heard += data
    finally:
        conn.close()
    seen, _, back = heard.partition(b"|")
    return seen.decode(), back


def play(scene: Callable[[Lab], Awaitable[None]]) -> None:
    """Run one scene in a town of its own, bounded."""

    async def whole() -> None:
        async with asyncio.timeout(60), town() as place:
            await scene(place)

    asyncio.run(whole())


async def everything_passes(path: Path, seen: dict[int, str]) -> None:
    """UDP and TCP, IPv4 and IPv6, with the far end seeing `seen`."""
    for transport in Transport:
        for version, remote in FAR.items():
            assert await ask(path, transport, remote) == (seen[version], b"hello")


async def until(true: Callable[[], bool]) -> None:
    """Look every 10 ms; the caller bounds it."""
    while not true():  # noqa: ASYNC110  # a foreign process has no event to wait for
        await asyncio.sleep(0.01)


async def fault_of(up: Any) -> TunnelDown:
    """The TunnelDown that a bring-up ends with."""
    with pytest.raises(TunnelDown) as caught:
        async with up:
            pass
    return caught.value
