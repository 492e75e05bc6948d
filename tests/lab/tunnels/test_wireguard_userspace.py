"""WireGuard without a device: what targets say, and what has no way in."""

import errno

import pytest

from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import RESOLVER, Lab
from circumtest.model import Address, Transport
from circumtest.tunnels.wireguard_userspace import WireguardUserspace
from tests.lab.town import FAR, ask, play


def test_what_a_target_says_comes_through() -> None:
    """A refusal is its own: the tunnel is not at fault."""

    async def refused(place: Lab) -> None:
        async with (
            WireguardGo().serve(place) as fields,
            WireguardUserspace(**fields).up(place.client) as path,
        ):
            await ask(path, Transport.UDP, FAR[4])
            with pytest.raises(ConnectionRefusedError):
                await ask(path, Transport.TCP, Address(FAR[4].host, 9))
            assert path.fault() is None
            assert path.dns == tuple(RESOLVER.values())

    play(refused)


def test_what_allowedips_does_not_name_is_unreachable() -> None:
    """As it is with WireGuard on a device; so is a family that has no address."""

    async def unreachable(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = fields["text"].replace("0.0.0.0/0, ::/0", "203.0.113.0/24, ::/0")
            text = text.replace(", fd00:99::2/128", "")
            async with WireguardUserspace(text=text).up(place.client) as path:
                for transport in Transport:
                    for version in (4, 6):
                        with pytest.raises(OSError) as caught:
                            await ask(path, transport, FAR[version])
                        assert caught.value.errno == errno.ENETUNREACH

    play(unreachable)
