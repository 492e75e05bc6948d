"""SOCKS proxies that misbehave: each fault is named, and none is taken for a call's failure."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from circumtest.errors import TunnelDown
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Path
from circumtest.tunnels.socks import Socks
from circumtest.wire import socks

PROXY = Address("127.0.0.1", 1080)
TARGET = Address("192.0.2.1", 3478)
HELLO = socks.METHOD_LENGTH + 1
GRANTED = b"\x05\x00"
REQUEST = 10
WAIT = 1.0

Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def proxied(serve: Served, patience: float = WAIT) -> AsyncIterator[tuple[Path, Netns]]:
    """A path through a proxy whose every connection is served by `serve`."""
    async with Netns.new("home") as home:
        sock = home.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(PROXY)

        async def safely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client went away: `up` does after the greeting
            finally:
                writer.close()

        server = await asyncio.start_server(safely, sock=sock)
        try:
            async with Socks(url=f"socks5://{PROXY}", patience=patience).up(home) as path:
                yield path, home
        finally:
            server.close()


def answering(*replies: bytes) -> Served:
    """Greets; then gives each reply after one more message, and hangs on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(HELLO)
        writer.write(GRANTED)
        for reply in replies:
            await reader.readexactly(REQUEST)
            writer.write(reply)
        await reader.read()

    return serve


def _bound(at: Address) -> bytes:
    return b"\x05\x00\x00\x01" + at.packed + at.port.to_bytes(2, "big")


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(bounded())


async def fault_when(serve: Served, transport: Transport) -> TunnelDown:
    """The fault that opening a channel ends with."""
    async with proxied(serve) as (path, _):
        with pytest.raises(TunnelDown) as caught:
            await path.open(transport, TARGET, lambda *_: None, WAIT)
    return caught.value


async def fault_of_up(serve: Served) -> TunnelDown:
    """The fault that bringing it up ends with."""
    with pytest.raises(TunnelDown) as caught:
        async with proxied(serve):
            pass
    return caught.value


@pytest.mark.parametrize(
    "first", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"\x04\x5a" + bytes(6), b"\x05", b""]
)
def test_what_speaks_no_socks5_is_no_handshake(first: bytes) -> None:
    """A web server, a SOCKS4 proxy, one that hangs up: all said before any trial."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(HELLO)
        writer.write(first)

    async def scene() -> None:
        assert (await fault_of_up(serve)).fault is TunnelFault.HANDSHAKE

    run(scene)


def test_a_proxy_that_accepts_and_stays_silent_costs_its_patience() -> None:
    """The connection opens, nothing comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scene() -> None:
        begun = asyncio.get_running_loop().time()
        assert (await fault_of_up(serve)).fault is TunnelFault.HANDSHAKE
        assert asyncio.get_running_loop().time() - begun < 3 * WAIT

    run(scene)


def test_a_proxy_that_wants_a_login_we_have_not_is_auth() -> None:
    """No acceptable method: RFC 1928 section 3."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(HELLO)
        writer.write(b"\x05\xff")

    async def scene() -> None:
        assert (await fault_of_up(serve)).fault is TunnelFault.AUTH

    run(scene)


@pytest.mark.parametrize(
    ("code", "fault"),
    [(1, TunnelFault.NO_DATA), (2, TunnelFault.AUTH), (7, TunnelFault.NO_DATA)],
)
def test_a_refusal_that_is_the_proxys_own_is_its_fault(code: int, fault: TunnelFault) -> None:
    """RFC 1928 section 6, codes 1, 2 and 7 on CONNECT."""

    async def scene() -> None:
        serve = answering(bytes([5, code, 0, 1]) + bytes(6))
        assert (await fault_when(serve, Transport.TCP)).fault is fault

    run(scene)


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "network_unreachable"), (4, "host_unreachable"), (5, "refused"), (6, "ttl_expired")],
)
def test_a_refusal_that_is_about_the_target_is_the_networks(code: int, words: str) -> None:
    """RFC 1928 section 6, codes 3 to 6."""

    async def scene() -> None:
        async with proxied(answering(bytes([5, code, 0, 1]) + bytes(6))) as (path, _):
            with pytest.raises(OSError, match=words):
                await path.open(Transport.TCP, TARGET, lambda *_: None, WAIT)

    run(scene)


@pytest.mark.parametrize("reply", [b"\x05\x00\x00\x09" + bytes(6), b"\x05\x63", b"\x07" + bytes(9)])
@pytest.mark.parametrize("transport", list(Transport))
def test_a_mangled_reply_is_the_proxys_fault(reply: bytes, transport: Transport) -> None:
    """An unknown address type, an unknown code, another version."""

    async def scene() -> None:
        assert await fault_when(answering(reply), transport)

    run(scene)


def test_a_name_that_is_no_text_is_the_proxys_fault() -> None:
    """python-socks decodes the bound name: what it raises then must not go up as a bug."""

    async def scene() -> None:
        serve = answering(b"\x05\x00\x00\x03\x02\xff\xfe\x00\x50")
        assert (await fault_when(serve, Transport.TCP)).fault is TunnelFault.HANDSHAKE

    run(scene)


def test_a_silent_target_is_not_a_silent_proxy() -> None:
    """A proxy that greeted and waits for its target: the silence is the target's."""

    async def scene() -> None:
        async with proxied(answering()) as (path, _):
            with pytest.raises(TimeoutError):
                await path.open(Transport.TCP, TARGET, lambda *_: None, WAIT)

    run(scene)


def test_a_proxy_that_falls_silent_later_is_the_tunnels_fault() -> None:
    """The first connection is greeted, the next ones are not."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        await reader.readexactly(HELLO)
        if seen == 1:
            writer.write(GRANTED)
        await reader.read()

    async def scene() -> None:
        for transport in Transport:
            nonlocal seen
            seen = 0
            assert (await fault_when(serve, transport)).fault is TunnelFault.HANDSHAKE

    run(scene)


def test_opens_side_by_side_do_not_wait_for_each_other() -> None:
    """Ten targets that say nothing take as long as one."""

    async def scene() -> None:
        async with proxied(answering()) as (path, _):
            begun = asyncio.get_running_loop().time()
            opens = (path.open(Transport.TCP, TARGET, lambda *_: None, WAIT) for _ in range(10))
            ends = await asyncio.gather(*opens, return_exceptions=True)
            assert all(isinstance(end, TimeoutError) for end in ends)
            assert asyncio.get_running_loop().time() - begun < 2 * WAIT

    run(scene)


# ------------------------------------------------------------------ relays


class Relay:
    """A relay at 127.0.0.1 that answers from where a test wants, and what it wants."""

    def __init__(self, home: Netns) -> None:
        self.sock = home.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.other = home.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other.bind(("127.0.0.2", 0))
        self.at = Address(*self.sock.getsockname())

    async def asked(self) -> tuple[socks.Datagram, Address]:
        data, source = await asyncio.get_running_loop().sock_recvfrom(self.sock, 4096)
        return socks.parse_datagram(data), Address(*source)

    def close(self) -> None:
        self.sock.close()
        self.other.close()


@asynccontextmanager
async def associated(
    bound: Callable[[Relay], Address] = lambda relay: relay.at,
) -> AsyncIterator[tuple[Path, Relay, Conn, "asyncio.Queue[bytes | Cause]"]]:
    """An open UDP channel to TARGET through a proxy whose relay the test plays."""
    relays: list[Relay] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(HELLO)
        writer.write(GRANTED)
        await reader.readexactly(REQUEST)
        writer.write(_bound(bound(relays[0])))
        await reader.read(1)

    async with proxied(serve) as (path, home):
        relays.append(Relay(home))
        inbox: asyncio.Queue[bytes | Cause] = asyncio.Queue()
        conn = await path.open(Transport.UDP, TARGET, lambda data, _: inbox.put_nowait(data), WAIT)
        try:
            yield path, relays[0], conn, inbox
        finally:
            conn.close()
            relays[0].close()


def test_replies_from_beside_the_relay_are_wrong_source_and_never_arrive() -> None:
    """What a client with a connected socket would lose is lost here, and named."""

    async def scene() -> None:
        async with associated() as (path, relay, conn, inbox):
            conn.send(b"who", TARGET)
            datagram, client = await relay.asked()
            assert datagram == (*TARGET, b"who")
            relay.other.sendto(socks.datagram(*TARGET, b"me"), client)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(inbox.get(), 0.3)
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.WRONG_SOURCE
            conn.close()
            assert path.fault() is not None, "play asks after it has closed its channels"
            again = await path.open(Transport.UDP, TARGET, lambda *_: None, WAIT)
            assert path.fault() is None, "the next trial starts clean"
            again.close()

    run(scene)


def test_strays_that_are_nobodys_reply_prove_nothing() -> None:
    """Noise from elsewhere, or about a target never asked, is no fault of the proxy."""

    async def scene() -> None:
        async with associated() as (path, relay, conn, inbox):
            conn.send(b"who", TARGET)
            _, client = await relay.asked()
            relay.other.sendto(b"noise", client)
            relay.other.sendto(socks.datagram("192.0.2.99", 1, b"me"), client)
            relay.sock.sendto(b"noise", client)
            relay.sock.sendto(socks.datagram(*TARGET, b"me"), client)
            assert await asyncio.wait_for(inbox.get(), WAIT) == b"me"
            assert path.fault() is None

    run(scene)


def test_fragments_never_arrive() -> None:
    """RFC 1928 section 7: without reassembly they MUST be dropped."""

    async def scene() -> None:
        async with associated() as (_, relay, conn, inbox):
            conn.send(b"who", TARGET)
            _, client = await relay.asked()
            whole = socks.datagram(*TARGET, b"part")
            relay.sock.sendto(whole[:2] + b"\x01" + whole[3:], client)
            relay.sock.sendto(socks.datagram(*TARGET, b"whole"), client)
            assert await asyncio.wait_for(inbox.get(), WAIT) == b"whole"

    run(scene)


def test_a_relay_at_no_address_is_at_the_proxys() -> None:
    """BND.ADDR 0.0.0.0 is what many proxies say: their own address is meant."""

    async def scene() -> None:
        async with associated(lambda relay: Address("0.0.0.0", relay.at.port)) as scene_:
            _, relay, conn, _ = scene_
            conn.send(b"who", TARGET)
            assert (await relay.asked())[0].payload == b"who"

    run(scene)


def test_the_end_of_the_control_connection_ends_the_association() -> None:
    """RFC 1928 section 6: the association lives as long as the connection that asked for it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(HELLO)
        writer.write(GRANTED)
        await reader.readexactly(REQUEST)
        writer.write(_bound(Address("127.0.0.1", 9)))

    async def scene() -> None:
        async with proxied(serve) as (path, _):
            inbox: asyncio.Queue[bytes | Cause] = asyncio.Queue()
            conn = await path.open(
                Transport.UDP, TARGET, lambda data, _: inbox.put_nowait(data), WAIT
            )
            assert await asyncio.wait_for(inbox.get(), WAIT) is Cause.EOF
            conn.close()
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA

    run(scene)
