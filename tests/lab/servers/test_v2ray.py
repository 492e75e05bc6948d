"""V2Ray at the exit beside the contract: certificates, disguises, where secrets are."""

import asyncio
import base64
import json
import socket
from contextlib import suppress
from pathlib import Path as File

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.v2ray import V2ray
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.path import Path
from circumtest.sharelink.outbound import HEADERS
from circumtest.tunnels.vless import Vless
from circumtest.tunnels.vmess import Vmess
from tests.lab.exits import inhabitants
from tests.lab.town import FAR, ask, everything_passes, play, until

TLS = V2ray(protocol="vless", tls=True)


def test_it_listens_on_both_families() -> None:
    """What is carried does not depend on what carries it."""

    async def scene(place: Lab) -> None:
        async with TLS.serve(place) as fields:
            url = fields["url"].replace(EXIT[4], f"[{EXIT[6]}]")
            async with Vless(**{**fields, "url": url}).up(place.client) as path:
                await everything_passes(path, EXIT)

    play(scene)


@pytest.mark.parametrize("header", HEADERS)
def test_mkcp_carries_behind_each_disguise(header: str) -> None:
    """And with a seed."""

    async def scene(place: Lab) -> None:
        server = V2ray(transport="kcp", header=header)  # type: ignore[arg-type]
        async with (
            server.serve(place) as fields,
            Vmess(**fields).up(place.client) as path,
        ):
            assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")

    play(scene)


def test_a_certificate_of_nobodys_authority_is_not_trusted_and_said() -> None:
    """handshake, in the engine's own words; whose link says allowInsecure gets through."""

    async def scene(place: Lab) -> None:
        async with TLS.serve(place) as fields:
            url = fields["url"]
            async with Vless(url=url).up(place.client) as path:
                down = await fault(path)
                assert down.fault is TunnelFault.HANDSHAKE
                assert "certificate is not to be trusted" in down.detail
                assert "x509" in down.evidence
            insecure = url.replace("#", "&allowInsecure=1#")
            async with Vless(url=insecure).up(place.client) as path:
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")

    play(scene)


def test_another_name_than_the_certificates_is_not_trusted() -> None:
    """The authority alone is not enough."""

    async def scene(place: Lab) -> None:
        async with TLS.serve(place) as fields:
            url = fields["url"].replace("sni=www.example.com", "sni=www.example.org")
            async with Vless(**{**fields, "url": url}).up(place.client) as path:
                down = await fault(path)
                assert "certificate is not to be trusted" in down.detail
                assert "example.org" not in down.evidence

    play(scene)


def test_the_port_in_front_lets_nobody_else_in() -> None:
    """Whoever has not the login that was made for it is refused."""

    async def scene(place: Lab) -> None:
        async with (
            V2ray().serve(place) as fields,
            Vmess(**fields).up(place.client) as path,
            asyncio.timeout(5),
        ):
            port = path._local.port
            sock = place.client.socket(socket.AF_INET, socket.SOCK_STREAM)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(b"\x05\x01\x00")  # SOCKS5, no login
            assert await reader.readexactly(2) == b"\x05\xff"
            writer.close()

    play(scene)


def test_no_secret_is_on_a_command_line_or_in_an_environment() -> None:
    """At both ends: whoever looks at processes sees none."""

    async def scene(place: Lab) -> None:
        async with V2ray().serve(place) as fields, Vmess(**fields).up(place.client):
            given = json.loads(base64.b64decode(fields["url"].removeprefix("vmess://")))
            pids = inhabitants(place.client) | inhabitants(place.exit)
            assert pids
            for pid in pids:
                for what in ("cmdline", "environ"):
                    with suppress(FileNotFoundError):  # v2ray's helper is on its way out
                        assert given["id"].encode() not in File(f"/proc/{pid}/{what}").read_bytes()

    play(scene)


async def fault(path: Path) -> TunnelDown:
    """What the path says after an exchange that failed."""
    with pytest.raises((OSError, TunnelDown)):
        await ask(path, Transport.TCP, FAR[4])
    async with asyncio.timeout(5):
        await until(lambda: path.fault() is not None)
    down = path.fault()
    assert down is not None
    return down
