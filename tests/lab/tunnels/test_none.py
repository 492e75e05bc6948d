"""No tunnel, in the lab: it differs from the outside by nothing."""

from circumtest.lab.topology import CLIENT, Lab
from circumtest.tunnels.none import NoTunnel
from tests.lab.town import everything_passes, play


def test_no_tunnel_is_the_outside_again() -> None:
    """The far end sees the client itself."""

    async def scene(place: Lab) -> None:
        async with NoTunnel().up(place.client) as path:
            await everything_passes(path, CLIENT)

    play(scene)
