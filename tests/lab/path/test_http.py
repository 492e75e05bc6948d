"""HTTP proxies that misbehave: each fault is named, and none is taken for a call's failure."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path as File

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.pki import Certified, certified
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.path.http import HttpPath, HttpProxy
from circumtest.wire import http
from tests.lab.town import until

PROXY = Address("127.0.0.1", 8080)
TARGET = Address("192.0.2.1", 3478)
YES = b"HTTP/1.1 200 OK\r\n\r\n"
WAIT = 1.0

Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def proxied(
    serve: Served, made: Certified | None = None, place: File | None = None, trusted: str = ""
) -> AsyncIterator[HttpPath]:
    """A path through a proxy whose every connection is served by `serve`.

    With `made` the client wants TLS; with a `place` for its files the proxy speaks it.
    """
    ours, theirs = None, None
    if made:
        ours = ssl.create_default_context(cadata=trusted or made.authority)
    if made and place:
        (place / "cert.pem").write_text(made.certificate)
        (place / "key.pem").write_text(made.key)
        theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        theirs.load_cert_chain(place / "cert.pem", place / "key.pem")
    async with Netns.new("home") as home:
        sock = home.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(PROXY)

        async def safely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client went away
            finally:
                writer.close()

        server = await asyncio.start_server(safely, sock=sock, ssl=theirs)
        try:
            yield HttpPath(home, HttpProxy(PROXY, tls=ours, name=PROXY.host), frozenset())
        finally:
            server.close()


def answering(*pieces: bytes, stay: bool = True) -> Served:
    """Reads the request, gives the pieces one after another, and hangs on or up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if stay:
            await reader.read()

    return serve


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(bounded())


async def opened(path: Path) -> list[bytes | Cause]:
    """What arrives on a channel until it ends."""
    heard: list[bytes | Cause] = []
    conn = await path.open(Transport.TCP, TARGET, lambda data, _: heard.append(data), WAIT)
    async with asyncio.timeout(5):
        await until(lambda: Cause.EOF in heard or Cause.RESET in heard)
    conn.close()
    return heard


async def fault_when(path: Path) -> TunnelDown:
    """The fault that opening a channel ends with."""
    with pytest.raises(TunnelDown) as caught:
        await path.open(Transport.TCP, TARGET, lambda *_: None, WAIT)
    return caught.value


@pytest.mark.parametrize(
    "pieces",
    [
        (YES + b"early",),
        (YES[:5], YES[5:] + b"early"),
        (b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n", YES, b"early"),
    ],
)
def test_what_follows_the_head_is_the_targets(pieces: tuple[bytes, ...]) -> None:
    """However it arrives; interim answers are passed over."""

    async def scene() -> None:
        async with proxied(answering(*pieces, stay=False)) as path:
            heard = await opened(path)
        assert b"".join(one for one in heard if isinstance(one, bytes)) == b"early"
        assert heard[-1] is Cause.EOF

    run(scene)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "not an HTTP answer"),
        ((b"\x05\x00",), "not an HTTP answer"),
        ((b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * http.LIMIT,), "octets"),
        ((b"HTTP/1.1 404 Not Found\r\n\r\n<html>",), "answers CONNECT with 404"),
        ((), "hung up"),
        ((YES[:9],), "hung up"),
    ],
)
def test_what_is_no_proxy_is_no_handshake(pieces: tuple[bytes, ...], said: str) -> None:
    """Another protocol, an endless head, a web server, one that hangs up."""

    async def scene() -> None:
        async with proxied(answering(*pieces, stay=False)) as path:
            down = await fault_when(path)
        assert down.fault is TunnelFault.HANDSHAKE
        assert said in down.detail

    run(scene)


def test_a_proxy_that_resets_is_no_handshake() -> None:
    """Before it has answered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )

    async def scene() -> None:
        async with proxied(serve) as path:
            down = await fault_when(path)
        assert down.fault is TunnelFault.HANDSHAKE
        assert "reset" in down.detail

    run(scene)


def test_silence_is_the_proxys_until_it_was_heard_then_the_targets() -> None:
    """One that never says anything may be no proxy at all."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        if asked == 2:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        await reader.read()

    async def scene() -> None:
        async with proxied(serve) as path:
            assert (await fault_when(path)).fault is TunnelFault.HANDSHAKE
            with pytest.raises(OSError, match="502"):
                await path.open(Transport.TCP, TARGET, lambda *_: None, WAIT)
            with pytest.raises(TimeoutError):
                await path.open(Transport.TCP, TARGET, lambda *_: None, WAIT)
            assert path.fault() is None

    run(scene)


def test_udp_is_not_carried() -> None:
    """By nature: nothing is even sent."""

    async def scene() -> None:
        async with proxied(answering(YES)) as path:
            assert path.transports == {Transport.TCP}
            with pytest.raises(TunnelDown) as caught:
                await path.open(Transport.UDP, TARGET, lambda *_: None, WAIT)
            assert caught.value.fault is TunnelFault.NO_UDP

    run(scene)


@pytest.mark.parametrize(
    ("hosts", "over", "trusted", "said"),
    [
        (["127.0.0.1"], False, True, ""),
        (["192.0.2.7"], False, True, "mismatch"),
        (["127.0.0.1"], True, True, "expired"),
        (["127.0.0.1"], False, False, "unable to get local issuer"),
    ],
)
def test_a_certificate_is_for_the_proxy_and_from_whom_is_trusted(
    tmp_path: File, hosts: list[str], over: bool, trusted: bool, said: str
) -> None:
    """Another host's, an expired one, another authority's: said, and no data is sent."""
    made, other = certified(hosts, over=over), certified(hosts)

    async def scene() -> None:
        authority = made.authority if trusted else other.authority
        serve = answering(YES + b"early", stay=False)
        async with proxied(serve, made, tmp_path, authority) as path:
            if not said:
                assert (await opened(path))[0] == b"early"
                return
            down = await fault_when(path)
        assert down.fault is TunnelFault.HANDSHAKE
        assert said in down.detail
        assert "127.0.0.1" not in down.detail

    run(scene)


def test_a_proxy_without_tls_is_told() -> None:
    """https:// to a plain port."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def scene() -> None:
        async with proxied(greet, certified(["127.0.0.1"])) as path:
            down = await fault_when(path)
        assert down.fault is TunnelFault.HANDSHAKE
        assert "TLS" in down.detail

    run(scene)


def test_tls_that_breaks_in_the_middle_is_the_tunnels_fault(tmp_path: File) -> None:
    """Bytes that are no TLS, from in between: no-data, and the channel is told."""
    made = certified(["127.0.0.1"])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        await writer.drain()
        await reader.readexactly(1)
        raw = writer.transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(raw.fileno())) as beside:
            beside.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        await reader.read()

    async def scene() -> None:
        async with proxied(serve, made, tmp_path) as path:
            heard: list[bytes | Cause] = []
            conn = await path.open(Transport.TCP, TARGET, lambda data, _: heard.append(data), WAIT)
            assert path.fault() is None
            conn.send(b"x", TARGET)
            async with asyncio.timeout(5):
                await until(lambda: bool(heard))
            conn.close()
            down = path.fault()
            assert heard == [Cause.RESET]
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA

    run(scene)
