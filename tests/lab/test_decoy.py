"""The web site at the exit: one page for everybody, and nothing else."""

import asyncio
import socket
import ssl

import pytest

from circumtest.lab.decoy import Decoy, decoy
from circumtest.lab.pki import certified
from circumtest.lab.topology import Lab
from circumtest.netns import Netns
from tests.lab.town import play


async def visit(netns: Netns, site: Decoy, context: ssl.SSLContext | None, request: bytes) -> bytes:
    """All that it says."""
    sock = netns.socket(socket.AF_INET, socket.SOCK_STREAM)
    await asyncio.get_running_loop().sock_connect(sock, site.at)
    name = "www.example.com" if context else None
    reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name)
    writer.write(request)
    said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize("tls", [False, True])
def test_every_request_gets_the_same_page(tls: bool) -> None:
    """Whoever asks nothing is hung up on, and counted as everybody is."""

    async def scene(place: Lab) -> None:
        made = certified(["www.example.com"])
        context = ssl.create_default_context(cadata=made.authority) if tls else None
        async with decoy(place.exit, made if tls else None) as site:
            for request in (b"GET / HTTP/1.1\r\n\r\n", b"POST /x HTTP/1.0\r\nA: b\r\n\r\n"):
                said = await visit(place.exit, site, context, request)
                assert said.startswith(b"HTTP/1.1 200 OK\r\n")
                assert said.endswith(b"It works</title>\n")
            assert await visit(place.exit, site, context, b"") == b""
            await site.visited(3, 5)
            assert site.visits == 3

    play(scene)


def test_whoever_does_not_trust_it_is_a_visit_too() -> None:
    """That is what REALITY does at first."""

    async def scene(place: Lab) -> None:
        async with decoy(place.exit, certified(["www.example.com"])) as site:
            with pytest.raises(ssl.SSLCertVerificationError):
                await visit(place.exit, site, ssl.create_default_context(), b"")
            await site.visited(1, 5)
            with pytest.raises(TimeoutError):
                await site.visited(2, 0.1)

    play(scene)
