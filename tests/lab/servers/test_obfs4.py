"""The obfs4 server at the exit: what it hands out."""

from circumtest.lab.servers.obfs4 import Obfs4Server
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address
from circumtest.tor.torrc import parse
from tests.lab.town import play


def test_every_serving_has_keys_of_its_own_and_the_port_that_is_asked_for() -> None:
    """A bridge line as people have them."""

    async def scene(place: Lab) -> None:
        seen = set()
        for port in (443, 9001):
            async with Obfs4Server(port=port).serve(place) as fields:
                (bridge,) = parse(fields["text"], "served").bridges
                assert bridge.address == Address(EXIT[4], port)
                seen.add(bridge.arguments)
        assert len(seen) == 2

    play(scene)
