"""Sockets of a namespace as channels: what arrives, and how errors are named."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from circumtest.model import Address, Cause, Transport
from circumtest.netns import Links, Netns
from circumtest.path import Conn, Unfragmented
from circumtest.path.direct import BACKLOG, DirectPath
from circumtest.process import run

HOSTS = ("127.0.0.1", "::1")
OTHERS = ("2001:db8::1", "2001:db8::2")


class Inbox:
    """A sink whose arrivals can be awaited."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes | Cause, Address]] = asyncio.Queue()

    def __call__(self, data: bytes | Cause, source: Address) -> None:
        self.queue.put_nowait((data, source))

    async def next(self) -> tuple[bytes | Cause, Address]:
        return await asyncio.wait_for(self.queue.get(), 2)


def in_namespace(test: Callable[[Netns, DirectPath, Inbox], Awaitable[None]]) -> None:
    """Play a test in a namespace of its own."""

    async def main() -> None:
        async with Netns.new("direct") as netns:
            await test(netns, DirectPath(netns, "direct", frozenset()), Inbox())

    asyncio.run(main())


def listener(netns: Netns, host: str, kind: int) -> tuple[socket.socket, Address]:
    """A bound socket on a free port, and where it is."""
    sock = netns.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    sock.bind((host, 0))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock, Address(*sock.getsockname()[:2])


def two_addresses(links: Links) -> None:
    """Give a namespace the addresses OTHERS."""
    for one in OTHERS:
        links.address("lo", f"{one}/128")


@pytest.mark.parametrize(
    ("host", "other"), [*((host, host) for host in HOSTS), ("127.0.0.1", "127.0.0.2"), OTHERS]
)
def test_one_udp_channel_talks_to_several_remotes(host: str, other: str) -> None:
    """Each datagram goes where it is sent, and each answer says whom it came from."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        await netns.configure(two_addresses)
        first, here = listener(netns, host, socket.SOCK_DGRAM)
        second, there = listener(netns, other, socket.SOCK_DGRAM)
        conn = await path.open(Transport.UDP, here, inbox, 1)
        for sock, remote in ((first, here), (second, there)):
            conn.send(b"to %d" % remote.port, remote)
            data, source = await asyncio.get_running_loop().sock_recvfrom(sock, 100)
            sock.sendto(data, source)
            assert await inbox.next() == (b"to %d" % remote.port, remote)
        conn.close()
        first.close()
        second.close()

    in_namespace(test)


@pytest.mark.parametrize("host", HOSTS)
def test_a_refused_datagram_names_the_remote_that_refused(host: str) -> None:
    """An ICMP port unreachable is Cause.REFUSED from the remote it is about, and nobody else."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        sock, open_one = listener(netns, host, socket.SOCK_DGRAM)
        gone, closed_one = listener(netns, host, socket.SOCK_DGRAM)
        gone.close()
        conn = await path.open(Transport.UDP, open_one, inbox, 1)
        conn.send(b"knock", closed_one)
        conn.send(b"still sent", open_one)  # although the socket has an error to tell first
        assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"still sent"
        assert await inbox.next() == (Cause.REFUSED, closed_one)
        assert inbox.queue.empty()
        conn.close()
        sock.close()

    in_namespace(test)


@pytest.mark.parametrize("host", HOSTS)
def test_a_datagram_that_is_kept_whole_is_lost_where_it_does_not_fit(host: str) -> None:
    """Without that it leaves in fragments; the host says whether its own device refused it."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        await netns.mtu("lo", 1400)
        sock, here = listener(netns, host, socket.SOCK_DGRAM)
        conn = await path.open(Transport.UDP, here, inbox, 1)
        assert isinstance(conn, Unfragmented)
        refused = []
        conn.send(bytes(2000), here)
        refused.append(conn.refused)
        assert len(await asyncio.get_running_loop().sock_recv(sock, 4000)) == 2000
        conn.whole()
        for size in (2000, 1300):
            conn.send(bytes(size), here)
            refused.append(conn.refused)
        assert len(await asyncio.get_running_loop().sock_recv(sock, 4000)) == 1300
        assert refused == [False, True, False]
        conn.close()
        sock.close()

    in_namespace(test)


@pytest.mark.parametrize("transport", list(Transport))
def test_without_a_route_opening_fails(transport: Transport) -> None:
    """An address that no route leads to is the OSError of an unreachable network, at once."""

    async def test(_netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        for host in ("192.0.2.1", "2001:db8::1"):
            with pytest.raises(OSError, match="unreachable"):
                await path.open(transport, Address(host, 9), inbox, 1)

    in_namespace(test)


def test_a_stream_carries_both_ways_and_ends_with_eof() -> None:
    """Chunks arrive as bytes; after the far end's FIN, Cause.EOF, and our half still works."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        loop = asyncio.get_running_loop()
        sock, remote = listener(netns, "127.0.0.1", socket.SOCK_STREAM)
        conn = await path.open(Transport.TCP, remote, inbox, 1)
        peer, _ = await loop.sock_accept(sock)
        conn.send(b"hello", remote)
        assert await loop.sock_recv(peer, 100) == b"hello"
        peer.send(b"answer")
        assert await inbox.next() == (b"answer", remote)
        peer.shutdown(socket.SHUT_WR)
        assert await inbox.next() == (Cause.EOF, remote)
        conn.send(b"after", remote)
        assert await loop.sock_recv(peer, 100) == b"after"
        for each in (conn, peer, sock):
            each.close()

    in_namespace(test)


def test_a_reset_stream_says_so_once() -> None:
    """A RST is Cause.RESET; what is sent afterwards goes nowhere without a second word."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        sock, remote = listener(netns, "127.0.0.1", socket.SOCK_STREAM)
        conn = await path.open(Transport.TCP, remote, inbox, 1)
        peer, _ = await asyncio.get_running_loop().sock_accept(sock)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        assert await inbox.next() == (Cause.RESET, remote)
        conn.send(b"too late", remote)
        assert inbox.queue.empty()
        sock.close()

    in_namespace(test)


def test_what_the_socket_does_not_take_at_once_is_written_later() -> None:
    """More than a socket's buffer arrives whole; more than the backlog gives the stream up."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        sock, remote = listener(netns, "127.0.0.1", socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        conn = await path.open(Transport.TCP, remote, inbox, 1)
        peer, _ = await asyncio.get_running_loop().sock_accept(sock)
        peer.setblocking(False)
        conn.send(bytes(BACKLOG), remote)
        assert await swallow(peer, BACKLOG) == BACKLOG
        assert inbox.queue.empty()
        conn.send(bytes(8 * BACKLOG), remote)
        assert await inbox.next() == (Cause.ABORTED, remote)
        peer.close()
        sock.close()

    in_namespace(test)


async def swallow(peer: socket.socket, count: int) -> int:
    """Read that many bytes."""
    taken = 0
    while taken < count:
        taken += len(await asyncio.get_running_loop().sock_recv(peer, count))
    return taken


def test_a_refused_connection_raises() -> None:
    """A closed port answers an attempt to connect with ConnectionRefusedError."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        sock, remote = listener(netns, "::1", socket.SOCK_STREAM)
        sock.close()
        with pytest.raises(ConnectionRefusedError):
            await path.open(Transport.TCP, remote, inbox, 1)

    in_namespace(test)


def test_closing_in_the_middle_of_an_arrival_is_harmless() -> None:
    """A script may close its channel on the first of several datagrams that are there already."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        sock, remote = listener(netns, "127.0.0.1", socket.SOCK_DGRAM)
        opened: list[Conn] = []

        def sink(data: bytes | Cause, source: Address) -> None:
            inbox(data, source)
            opened[0].close()

        opened.append(await path.open(Transport.UDP, remote, sink, 1))
        opened[0].send(b"go", remote)
        _, source = await asyncio.get_running_loop().sock_recvfrom(sock, 100)
        for _ in range(3):
            sock.sendto(b"answer", source)
        assert await inbox.next() == (b"answer", remote)
        await asyncio.sleep(0)
        assert inbox.queue.empty()
        sock.close()

    in_namespace(test)


def test_a_socket_that_is_bound_to_a_device_stays_so_whatever_the_routes_say() -> None:
    """Datagrams and streams: freeing the socket of its first remote must not free it of that."""

    async def test(netns: Netns, path: DirectPath, inbox: Inbox) -> None:
        async with Netns.new("near") as near, Netns.new("far") as far:
            for number, there in ((1, near), (2, far)):
                await netns.veth(f"to{number}", there, "back")
                await netns.address(f"to{number}", f"10.0.{number}.1/24")
                await there.address("back", f"10.0.{number}.2/24")
                await there.address("lo", "192.0.2.1/32")
                await there.route("default", via=f"10.0.{number}.1")
            await netns.route("default", via="10.0.1.2")
            await run(netns, ["ip", "route", "add", "default", "via", "10.0.2.2", "metric", "9"])
            bound = DirectPath(netns, "bound", frozenset(), device="to2")
            for kind, transport in (
                (socket.SOCK_DGRAM, Transport.UDP),
                (socket.SOCK_STREAM, Transport.TCP),
            ):
                wrong, _ = listener(near, "192.0.2.1", kind)
                right, remote = listener(far, "192.0.2.1", kind)
                wrong.close()
                conn = await bound.open(transport, remote, inbox, 2)
                conn.send(b"hello", remote)
                loop = asyncio.get_running_loop()
                async with asyncio.timeout(2):
                    if transport is Transport.UDP:
                        _, source = await loop.sock_recvfrom(right, 9)
                    else:
                        peer, source = await loop.sock_accept(right)
                        peer.close()
                assert source[0] == "10.0.2.1"
                conn.close()
                right.close()

    in_namespace(test)
