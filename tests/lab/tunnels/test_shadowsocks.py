"""Shadowsocks beside the contract: UDP around a plugin, a plugin that dies, where secrets are."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path as File
from urllib.parse import unquote

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.shadowsocks import SsServer
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.path import Path
from circumtest.process import run
from circumtest.tunnels.shadowsocks import Shadowsocks
from tests.lab.exits import inhabitants
from tests.lab.town import FAR, ask, fault_of, play, until

ON_ITS_PORT = b"""table inet seen {
  counter datagrams { }
  chain forward {
    type filter hook forward priority -300;
    udp dport 8388 counter name datagrams
  }
}"""


@pytest.mark.parametrize("plugin", ["obfs-http", "v2ray"])
def test_udp_around_a_plugin_is_plain_shadowsocks(plugin: str) -> None:
    """When it is asked for: the censor sees datagrams to the server's own port."""

    async def scene(place: Lab) -> None:
        await run(place.censor, ["nft", "-f", "-"], input=ON_ITS_PORT)
        server = SsServer(plugin=plugin)  # type: ignore[arg-type]
        async with (
            server.serve(place) as fields,
            Shadowsocks(**fields, plugin_udp=True).up(place.client) as path,
        ):
            assert path.transports == set(Transport)
            await carried(path)
            assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
        said = await run(place.censor, ["nft", "list", "counter", "inet", "seen", "datagrams"])
        assert "packets 0 " not in said

    play(scene)


def test_a_plugin_that_dies_is_the_binarys_fault() -> None:
    """ss-local ends with it, and says so."""

    async def scene(place: Lab) -> None:
        async with (
            SsServer(plugin="obfs-tls").serve(place) as fields,
            Shadowsocks(**fields).up(place.client) as path,
        ):
            await carried(path)
            (plugin,) = (pid for pid in inhabitants(place.client) if _name(pid) == "obfs-local")
            os.kill(plugin, signal.SIGKILL)
            async with asyncio.timeout(5):
                await until(lambda: path.fault() is not None)
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.BINARY
            assert "plugin" in down.evidence

    play(scene)


def test_no_secret_is_on_a_command_line_or_in_an_environment() -> None:
    """At both ends: whoever looks at processes sees none."""

    async def scene(place: Lab) -> None:
        async with (
            SsServer(plugin="v2ray").serve(place) as fields,
            Shadowsocks(**fields).up(place.client),
        ):
            password = unquote(fields["url"].split(":")[2].partition("@")[0])
            pids = inhabitants(place.client) | inhabitants(place.exit)
            assert len(pids) == 5
            for pid in pids:
                for what in ("cmdline", "environ"):
                    assert password.encode() not in File(f"/proc/{pid}/{what}").read_bytes()

    play(scene)


def test_a_clients_file_does_as_a_link_does() -> None:
    """By its text, over the server's IPv6 address, with another cipher."""

    async def scene(place: Lab) -> None:
        async with SsServer(method="aes-256-gcm").serve(place) as fields:
            access = Shadowsocks(**fields).access
            file = {
                "server": EXIT[6],
                "server_port": access.port,
                "method": access.method,
                "password": access.password,
            }
            async with Shadowsocks(text=json.dumps(file)).up(place.client) as path:
                for transport in Transport:
                    for version, remote in FAR.items():
                        assert await ask(path, transport, remote) == (EXIT[version], b"hello")

    play(scene)


def test_a_server_whose_name_is_unknown_is_no_handshake() -> None:
    """There is no resolver in the lab; the name is not told."""

    async def scene(place: Lab) -> None:
        url = "ss://aes-256-gcm:x@vpn.example.com:1"
        down = await fault_of(Shadowsocks(url=url, patience=1).up(place.client))
        assert isinstance(down, TunnelDown)
        assert down.fault is TunnelFault.HANDSHAKE
        assert "example" not in str(down)

    play(scene)


async def carried(path: Path) -> None:
    """Wait until something has been: a plugin gets ready after ss-local."""
    async with asyncio.timeout(5):
        while True:
            with suppress(OSError):
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
                return
            await asyncio.sleep(0.02)


def _name(pid: int) -> str:
    return File(f"/proc/{pid}/comm").read_text().strip()
