"""The lab with a plain echo among its services, and what tests of tunnels do in it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import dns.message
import dns.rrset
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
AGAIN = 1.0
"""Seconds after which a datagram that nobody answered is said again."""

_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


@asynccontextmanager
async def town() -> AsyncIterator[Lab]:
    """The lab, with an echo that says whom it saw."""
    async with lab() as place, echo(place.services):
        yield place


@asynccontextmanager
async def echo(netns: Netns) -> AsyncIterator[None]:
    """UDP and TCP, IPv4 and IPv6: what comes in goes back behind the address that it came from.

    On port 53 of the same addresses a resolver answers likewise.
    """
    loop = asyncio.get_running_loop()
    sockets, tasks = [], []
    for host, port in FAR.values():
        for at, datagram, stream in ((port, _echoed, _echo_stream), (53, _resolved, _dns_stream)):
            udp, tcp = (
                netns.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
            )
            for sock in (udp, tcp):
                sock.bind((host, at))
                sockets.append(sock)
            loop.add_reader(udp, _answer, udp, datagram)
            tcp.listen()
            tasks.append(asyncio.create_task(_accept(tcp, stream)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()


def _answer(sock: socket.socket, make: Callable[[bytes, str], bytes]) -> None:
    data, source = sock.recvfrom(65536)
    sock.sendto(make(data, source[0]), source)


async def _accept(listener: socket.socket, serve: _Serve) -> None:
    async def one(sock: socket.socket, source: str) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer, source)
        finally:
            writer.close()

    # In a group: one that never says a word (a probe, a cut) must not hold up those behind it.
    async with asyncio.TaskGroup() as group:
        while True:
            sock, source = await asyncio.get_running_loop().sock_accept(listener)
            group.create_task(one(sock, source[0]))


async def _echo_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str
) -> None:
    writer.write(_echoed(await reader.read(65536), source))


async def _dns_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str
) -> None:
    length = int.from_bytes(await reader.readexactly(2), "big")
    answer = _resolved(await reader.readexactly(length), source)
    writer.write(len(answer).to_bytes(2, "big") + answer)


def _echoed(data: bytes, source: str) -> bytes:
    return source.encode() + b"|" + data


def _resolved(wire: bytes, source: str) -> bytes:
    query = dns.message.from_wire(wire)
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("who.invalid.", 0, "IN", "TXT", f'"{source}"'))
    return answer.to_wire()


async def ask(
    path: Path, transport: Transport, remote: Address, payload: bytes = b"hello", wait: float = 3
) -> tuple[str, bytes]:
    """Send, and give back whom the far end saw and what came back.  Raises what went wrong.

    A datagram is said again each second: that one of them is lost is nobody's fault.
    """
    inbox: asyncio.Queue[tuple[bytes | Cause, Address]] = asyncio.Queue()
    conn = await path.open(transport, remote, lambda *what: inbox.put_nowait(what), TIMEOUT)
    try:
        conn.send(payload, remote)
        heard = b""
        async with asyncio.timeout(wait):
            while len(heard) < len(payload):
                try:
                    data, source = await asyncio.wait_for(inbox.get(), AGAIN)
                except TimeoutError:
                    if transport is Transport.UDP:
                        conn.send(payload, remote)
                    continue
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
        async with asyncio.timeout(90), town() as place:
            await scene(place)

    asyncio.run(whole())


async def look_up(path: Path, transport: Transport, host: str) -> str:
    """Ask the resolver at `host` who asks it: the TXT of who.invalid."""
    query = dns.message.make_query("who.invalid", "TXT")
    wire = query.to_wire()
    framed = wire if transport is Transport.UDP else len(wire).to_bytes(2, "big") + wire
    inbox: asyncio.Queue[bytes | Cause] = asyncio.Queue()
    remote = Address(host, 53)
    conn = await path.open(transport, remote, lambda data, _: inbox.put_nowait(data), TIMEOUT)
    try:
        conn.send(framed, remote)
        async with asyncio.timeout(3):
            heard = await inbox.get()
            while transport is Transport.TCP and isinstance(heard, bytes) and len(heard) < 3:
                more = await inbox.get()
                assert isinstance(more, bytes), more
                heard += more
    finally:
        conn.close()
    assert isinstance(heard, bytes), heard
    answer = dns.message.from_wire(heard if transport is Transport.UDP else heard[2:])
    assert answer.id == query.id
    return str(answer.answer[0][0]).strip('"')


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
