"""microsocks at the exit, as a client meets it."""

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.tunnels.socks import Socks
from tests.lab.town import FAR, ask, play


def test_microsocks_carries_tcp_and_has_no_udp() -> None:
    """NO_UDP is said when UDP is asked for; TCP goes on."""

    async def scene(place: Lab) -> None:
        async with Microsocks().serve(place) as fields, Socks(**fields).up(place.client) as path:
            for version in (4, 6):
                assert await ask(path, Transport.TCP, FAR[version]) == (EXIT[version], b"hello")
            with pytest.raises(TunnelDown) as caught:
                await ask(path, Transport.UDP, FAR[4])
            assert caught.value.fault is TunnelFault.NO_UDP
            assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")

    play(scene)
