"""Tinyproxy at the exit, as a client meets it."""

import re

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.pki import certified
from circumtest.lab.servers.tinyproxy import Tinyproxy
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.tunnels.http_connect import HttpConnect
from tests.lab.town import FAR, ask, fault_of, play


@pytest.mark.parametrize("tls", [False, True])
def test_what_it_says_of_the_target_is_what_the_network_said(tls: bool) -> None:
    """It tells refused from unreachable no more than that it was unable to connect."""

    async def scene(place: Lab) -> None:
        async with (
            Tinyproxy(tls=tls).serve(place) as fields,
            HttpConnect(**fields).up(place.client) as path,
        ):
            assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
            for remote in (Address(FAR[4].host, 9), Address("192.168.9.9", 9)):
                with pytest.raises(OSError, match="500"):
                    await ask(path, Transport.TCP, remote)
            assert path.fault() is None

    play(scene)


def test_it_listens_on_both_families() -> None:
    """A proxy by IPv6 carries to IPv4 as well."""

    async def scene(place: Lab) -> None:
        async with Tinyproxy(login=True).serve(place) as fields:
            url = fields["url"].replace(EXIT[4], f"[{EXIT[6]}]")
            async with HttpConnect(url=url).up(place.client) as path:
                for version, remote in FAR.items():
                    assert await ask(path, Transport.TCP, remote) == (EXIT[version], b"hello")

    play(scene)


def test_a_login_that_is_missing_is_asked_for() -> None:
    """auth, as with a wrong one."""

    async def scene(place: Lab) -> None:
        async with Tinyproxy(login=True).serve(place) as fields:
            url = re.sub(r"//.*@", "//", fields["url"])
            async with HttpConnect(url=url).up(place.client) as path:
                with pytest.raises(TunnelDown, match="wants a user") as caught:
                    await ask(path, Transport.TCP, FAR[4])
                assert caught.value.fault is TunnelFault.AUTH

    play(scene)


def test_another_authoritys_certificate_is_refused_before_anything_is_sent() -> None:
    """The proxy is not who it should be: handshake, from `up`."""

    async def scene(place: Lab) -> None:
        async with Tinyproxy(login=True, tls=True).serve(place) as fields:
            other = {**fields, "ca_text": certified(["x"]).authority}
            down = await fault_of(HttpConnect(**other).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "not to be trusted" in down.detail
            plain = fields["url"].replace("https", "http")
            async with HttpConnect(url=plain).up(place.client) as path:
                with pytest.raises(TunnelDown) as caught:
                    await ask(path, Transport.TCP, FAR[4])
                assert caught.value.fault is TunnelFault.HANDSHAKE

    play(scene)
