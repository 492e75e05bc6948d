"""VMess, VLESS and Trojan with Xray as their engine, where V2Ray would have done."""

from dataclasses import replace
from typing import Any

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.trojan import TrojanServer
from circumtest.lab.servers.v2ray import V2ray
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import TunnelFault
from circumtest.tunnels.trojan import Trojan
from circumtest.tunnels.vless import Vless
from circumtest.tunnels.vmess import Vmess
from tests.lab.town import everything_passes, fault_of, play

CASES = (
    (V2ray(), Vmess),
    (V2ray(transport="ws", tls=True), Vmess),
    (V2ray(protocol="vless", tls=True), Vless),
    (V2ray(protocol="vless", transport="ws", tls=True), Vless),
    (TrojanServer(), Trojan),
)


@pytest.mark.parametrize(("server", "cls"), CASES)
def test_xray_speaks_with_v2ray_and_trojan(server: Any, cls: Any) -> None:
    """Both engines speak the same protocols."""

    async def scene(place: Lab) -> None:
        async with (
            server.serve(place) as fields,
            replace(cls(**fields), engine="xray").up(place.client) as path,
        ):
            await everything_passes(path, EXIT)

    play(scene)


def test_a_link_that_names_a_browser_is_spoken_as_that_browser() -> None:
    """By Xray, of itself."""

    async def scene(place: Lab) -> None:
        async with V2ray(protocol="vless", tls=True).serve(place) as fields:
            url = fields["url"].replace("#", "&fp=firefox#")
            async with Vless(**{**fields, "url": url}).up(place.client) as path:
                await everything_passes(path, EXIT)

    play(scene)


def test_a_server_whose_name_is_unknown_is_no_handshake() -> None:
    """There is no resolver in the lab; the name is not told."""

    async def scene(place: Lab) -> None:
        url = "trojan://x@vpn.example.com:443"
        down = await fault_of(Trojan(url=url, patience=1).up(place.client))
        assert isinstance(down, TunnelDown)
        assert down.fault is TunnelFault.HANDSHAKE
        assert "example" not in str(down)

    play(scene)
