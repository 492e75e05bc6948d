"""The SOCKS tunnel against real proxies, over real namespaces."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.path import Path
from circumtest.process import run
from circumtest.tunnels.socks import Socks
from tests.lab.town import CUT, FAR, TIMEOUT, ask, fault_of, play


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_socks4_carries_tcp_over_ipv4_and_nothing_else(scheme: str) -> None:
    """UDP is not among its transports by nature; IPv6 is a network that it does not reach."""

    async def scene(place: Lab) -> None:
        async with Dante(login=False).serve(place) as fields:
            url = fields["url"].replace("socks5", scheme).replace("//", "//someone@")
            async with Socks(url=url).up(place.client) as path:
                assert path.transports == {Transport.TCP}
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
                with pytest.raises(OSError, match="IPv4 only"):
                    await ask(path, Transport.TCP, FAR[6])
                with pytest.raises(ConnectionRefusedError):
                    await ask(path, Transport.TCP, Address(FAR[4].host, 9))

    play(scene)


def test_what_the_proxy_says_of_the_target_is_what_the_network_said() -> None:
    """A closed port is refused, a network that is not there unreachable: no fault of the tunnel."""

    async def scene(place: Lab) -> None:
        for server in (Dante(), Microsocks()):
            async with server.serve(place) as fields, Socks(**fields).up(place.client) as path:
                with pytest.raises(ConnectionRefusedError):
                    await ask(path, Transport.TCP, Address(FAR[4].host, 9))
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.TCP, Address("192.168.9.9", 9))
                assert path.fault() is None

    play(scene)


def test_a_proxy_that_is_not_there_is_no_handshake() -> None:
    """Refused at once, silent within patience."""

    async def scene(place: Lab) -> None:
        down = await fault_of(Socks(url=f"socks5://{EXIT[4]}:1080").up(place.client))
        assert (down.fault, "refused" in down.detail) == (TunnelFault.HANDSHAKE, True)
        await run(place.censor, ["nft", "-f", "-"], input=CUT)
        begun = time.monotonic()
        down = await fault_of(Socks(url=f"socks5://{EXIT[4]}:1080", patience=1).up(place.client))
        assert (down.fault, "no answer" in down.detail) == (TunnelFault.HANDSHAKE, True)
        assert time.monotonic() - begun < 2

    play(scene)


def test_the_end_of_the_proxy_ends_its_associations() -> None:
    """The channel is told, and the fault is the tunnel's."""

    async def scene(place: Lab) -> None:
        async with through_dante(place) as (path, stop):
            inbox: asyncio.Queue[bytes | Cause] = asyncio.Queue()
            conn = await path.open(
                Transport.UDP, FAR[4], lambda data, _: inbox.put_nowait(data), TIMEOUT
            )
            conn.send(b"x", FAR[4])
            async with asyncio.timeout(3):
                assert (await inbox.get()) == f"{EXIT[4]}|x".encode()
            await stop()
            async with asyncio.timeout(5):
                assert await inbox.get() is Cause.EOF
            conn.close()
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA

    play(scene)


@asynccontextmanager
async def through_dante(place: Lab) -> AsyncIterator[tuple[Path, Callable[[], Awaitable[None]]]]:
    """A path through dante, and what stops dante."""
    server = Dante().serve(place)
    fields = await server.__aenter__()
    stopped = False

    async def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            await server.__aexit__(None, None, None)

    try:
        async with Socks(**fields).up(place.client) as path:
            yield path, stop
    finally:
        await stop()
