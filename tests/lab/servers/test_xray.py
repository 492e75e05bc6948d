"""Xray at the exit beside the contract: whose TLS strangers see, when it is ready."""

import asyncio
import re
import socket
import ssl
import time

import pytest

from circumtest.lab.servers.xray import Xray
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.tunnels.vless import Vless
from tests.lab.town import FAR, ask, everything_passes, play, until


def test_a_stranger_sees_the_borrowed_site() -> None:
    """Its page, and its certificate, which no authority of this machine has signed."""

    async def scene(place: Lab) -> None:
        async with Xray().serve(place), asyncio.timeout(5):
            context = ssl.create_default_context()
            with pytest.raises(ssl.SSLCertVerificationError):
                await _page(place, context)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            assert b"It works" in await _page(place, context)

    play(scene)


@pytest.mark.parametrize("transport", ["grpc", "xhttp"])
def test_reality_goes_over_other_transports_too(transport: str) -> None:
    """Without Vision, which is TCP's."""

    async def scene(place: Lab) -> None:
        server = Xray(transport=transport)  # type: ignore[arg-type]
        async with server.serve(place) as fields, Vless(**fields).up(place.client) as path:
            await everything_passes(path, EXIT)

    play(scene)


def test_the_first_client_is_not_kept_waiting() -> None:
    """It has asked its site about its TLS before it says that it is ready."""

    async def scene(place: Lab) -> None:
        async with Xray().serve(place) as fields, Vless(**fields).up(place.client) as path:
            begun = time.monotonic()
            assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
            assert time.monotonic() - begun < 3

    play(scene)


def test_whoever_has_another_short_id_is_told_that_it_does_not_know_them() -> None:
    """handshake: it might be somebody else who answers."""

    async def scene(place: Lab) -> None:
        async with Xray().serve(place) as fields:
            url = re.sub("sid=[0-9a-f]+", "sid=00", fields["url"])
            async with Vless(url=url).up(place.client) as path:
                with pytest.raises(OSError):
                    await ask(path, Transport.TCP, FAR[4])
                async with asyncio.timeout(5):
                    await until(lambda: path.fault() is not None)
                down = path.fault()
                assert down is not None
                assert down.fault is TunnelFault.HANDSHAKE
                assert "does not know our keys" in down.detail

    play(scene)


def test_it_listens_on_both_families() -> None:
    """What is carried does not depend on what carries it."""

    async def scene(place: Lab) -> None:
        async with Xray().serve(place) as fields:
            url = fields["url"].replace(EXIT[4], f"[{EXIT[6]}]")
            async with Vless(url=url).up(place.client) as path:
                await everything_passes(path, EXIT)

    play(scene)


async def _page(place: Lab, context: ssl.SSLContext) -> bytes:
    sock = place.client.socket(socket.AF_INET, socket.SOCK_STREAM)
    await asyncio.get_running_loop().sock_connect(sock, Address(EXIT[4], 8443))
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=context, server_hostname="www.example.com"
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    said = await reader.readuntil(b"</title>")
    writer.close()
    return said
