"""obfs4 through the lab's own server: what its silences mean."""

from dataclasses import replace

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.obfs4 import Obfs4Server
from circumtest.lab.servers.tor import TorNetwork
from circumtest.lab.topology import Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.tunnels.obfs4 import Obfs4
from tests.lab.town import FAR, ask, fault_of, play


def test_what_the_far_proxy_says_of_the_target_is_what_the_network_said() -> None:
    """A closed port is refused: no fault of the tunnel."""

    async def scene(place: Lab) -> None:
        async with Obfs4Server().serve(place) as fields, Obfs4(**fields).up(place.client) as path:
            with pytest.raises(ConnectionRefusedError):
                await ask(path, Transport.TCP, Address(FAR[4].host, 9))
            assert path.fault() is None
            with pytest.raises(TunnelDown, match="no-udp"):
                await ask(path, Transport.UDP, FAR[4])

    play(scene)


def test_a_bridge_of_tors_is_told_from_a_proxy_behind_obfs4() -> None:
    """obfs4 lets us in, and what is behind it speaks no SOCKS."""

    async def scene(place: Lab) -> None:
        async with TorNetwork(bridge=True).serve(place) as fields:
            tunnel = replace(Obfs4(text=fields["text"]), patience=3.0)
            down = await fault_of(tunnel.up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "speaks obfs4, and what is behind it no SOCKS5" in down.detail

    play(scene)


def test_a_login_that_the_far_proxy_does_not_want_does_no_harm() -> None:
    """microsocks wants none, and takes the method without one."""

    async def scene(place: Lab) -> None:
        async with Obfs4Server().serve(place) as fields:
            tunnel = Obfs4(**fields, user="caller", password="hunter2")
            async with tunnel.up(place.client) as path:
                assert (await ask(path, Transport.TCP, FAR[6]))[1] == b"hello"

    play(scene)
