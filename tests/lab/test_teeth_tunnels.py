"""Teeth in the lab: each named censor does to real tunnels what the table says, and nothing else.

Of each profile are played the tunnels that it breaks (one of a family where that is nearly all of
them), and two that live.  All of them by all of them is `scripts/teeth`.
"""

import asyncio

import pytest

from circumtest.censor.load import policy
from tests.lab.teeth.cell import fate
from tests.lab.teeth.expected import EXPECTED, PROFILES, SPECIMENS, breaks, expected

ALIVE = ("wireguard", "openvpn-udp", "socks-microsocks", "ssh")
"""Two of each profile's that should live are the first two of these that it does not break."""


MANY = 30
FAMILIES = (
    "wireguard",
    "interface",
    "ikev2",
    "openconnect-tls",
    "openvpn-udp",
    "openvpn-tcp",
    "shadowsocks",
    "vmess-ws-tls",
    "vmess-kcp",
    "vless-reality",
    "hysteria2",
    "socks-dante",
    "http-connect",
    "ssh",
    "stunnel-socks",
    "obfs4",
    "chain-socks-wireguard",
)
"""One of each, and not those that take longest."""


def chosen(profile: str) -> list[str]:
    """The tunnels that are played behind a profile."""
    broken = list(EXPECTED[profile])
    if len(broken) > MANY:
        broken = [tunnel for tunnel in FAMILIES if tunnel in broken]
    alive = [tunnel for tunnel in ALIVE if not breaks(profile, tunnel)]
    return [*broken, *alive[:1], *alive[-1:]]


PLAYED = [(profile, tunnel) for profile in PROFILES for tunnel in dict.fromkeys(chosen(profile))]


def test_the_table_is_about_what_there_is() -> None:
    """A profile or a tunnel that was renamed is noticed."""
    assert set(EXPECTED) == set(PROFILES)
    assert {tunnel for told in EXPECTED.values() for tunnel in told} <= set(SPECIMENS)


@pytest.mark.parametrize(("profile", "tunnel"), PLAYED)
def test_a_censor_does_to_a_tunnel_what_the_table_says(profile: str, tunnel: str) -> None:
    """How far it comes; and where it breaks, it was one of the profile's rules."""
    seen = asyncio.run(fate(profile, SPECIMENS[tunnel], expected(profile, tunnel)))
    assert seen.word in expected(profile, tunnel)
    if breaks(profile, tunnel):
        assert seen.guilty
    assert seen.guilty <= {rule.id for rule in policy(profile).rules}
