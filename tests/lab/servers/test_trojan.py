"""Debian's trojan at the exit beside the contract: what strangers see."""

import asyncio
import socket
import ssl

from circumtest.lab.servers.trojan import NAME, TrojanServer
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address
from circumtest.tunnels.trojan import Trojan
from tests.lab.town import everything_passes, play


def test_a_stranger_sees_a_web_site() -> None:
    """Over TLS, as from any other."""

    async def scene(place: Lab) -> None:
        async with TrojanServer().serve(place) as fields, asyncio.timeout(5):
            context = ssl.create_default_context(cadata=fields["ca_text"])
            sock = place.client.socket(socket.AF_INET, socket.SOCK_STREAM)
            await asyncio.get_running_loop().sock_connect(sock, Address(EXIT[4], 8443))
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=NAME
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"It works" in await reader.readuntil(b"</title>")
            writer.close()

    play(scene)


def test_it_listens_on_both_families() -> None:
    """What is carried does not depend on what carries it."""

    async def scene(place: Lab) -> None:
        async with TrojanServer().serve(place) as fields:
            url = fields["url"].replace(EXIT[4], f"[{EXIT[6]}]")
            async with Trojan(**{**fields, "url": url}).up(place.client) as path:
                await everything_passes(path, EXIT)

    play(scene)
