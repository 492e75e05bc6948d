"""The tunnel that leads nowhere, in the lab."""

import pytest

from circumtest.lab.topology import Lab
from circumtest.model import Transport
from circumtest.tunnels.isolated import Isolated
from tests.lab.town import FAR, ask, play


def test_isolated_leads_nowhere_and_says_so_at_once() -> None:
    """Both transports fail with what play calls network_unreachable."""

    async def scene(place: Lab) -> None:
        async with Isolated().up(place.client) as path:
            for transport in Transport:
                for remote in FAR.values():
                    with pytest.raises(OSError, match="unreachable"):
                        await ask(path, transport, remote)

    play(scene)
