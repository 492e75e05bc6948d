"""What the exit's servers share."""

import pytest

from circumtest.lab.servers import address_of
from circumtest.lab.topology import EXIT, Lab
from circumtest.registry import SERVERS, TUNNELS, build, kinds
from tests.lab.town import play

TUNNEL_OF = {
    "chain": "chain",
    "dante": "socks",
    "microsocks": "socks",
    "obfs4proxy": "obfs4",
    "ocserv": "openconnect",
    "openvpn": "openvpn",
    "ready-made": "interface",
    "shadowsocks-libev": "shadowsocks",
    "sing-box": "hysteria2",
    "sshd": "ssh",
    "strongswan": "ikev2",
    "stunnel": "stunnel",
    "tinyproxy": "http-connect",
    "tor-network": "tor",
    "trojan": "trojan",
    "v2ray": "vmess",
    "wireguard-go": "wireguard",
    "xray": "vless",
}
"""By server the kind of tunnel that leads to it, both as they are without further fields."""


@pytest.mark.parametrize("kind", kinds(SERVERS))
def test_what_a_server_yields_makes_its_tunnel(kind: str) -> None:
    """Plain fields, as a plan's table has them."""

    async def scene(place: Lab) -> None:
        async with build(SERVERS, {"kind": kind}, "plan.toml", "server").serve(place) as fields:
            table = {"kind": TUNNEL_OF[kind], **fields, "exits": sorted(place.exit_addresses)}
            tunnel = build(TUNNELS, table, "plan.toml", "tunnel")
            async with tunnel.up(place.client) as path:
                assert path.exits == place.exit_addresses

    play(scene)


def test_an_exit_without_a_family_is_told() -> None:
    """A server asks for the addresses that it needs."""

    class Half:
        exit_addresses = (EXIT[6],)

    assert address_of(Half(), 6) == EXIT[6]  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="IPv4"):
        address_of(Half(), 4)  # type: ignore[arg-type]
