"""The WireGuard server at the exit: what it hands out, and what it leaves."""

from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport
from circumtest.process import run
from circumtest.tunnels.wireguard import Wireguard
from circumtest.wireguard.quick import parse
from tests.lab.town import FAR, ask, play


def test_every_serving_has_keys_of_its_own() -> None:
    """Private key, server key and preshared key are new each time."""

    async def scene(place: Lab) -> None:
        seen: list[bytes | None] = []
        for _ in range(2):
            async with WireguardGo().serve(place) as fields:
                quick = parse(fields["text"], "served")
                (peer,) = quick.peers
                seen += [quick.private_key, peer.public_key, peer.preshared_key]
        assert None not in seen
        assert len(set(seen)) == 6

    play(scene)


def test_its_fields_are_its_own() -> None:
    """Port and MTU reach the client's configuration, and work."""

    async def scene(place: Lab) -> None:
        async with WireguardGo(port=4500, mtu=1300).serve(place) as fields:
            quick = parse(fields["text"], "served")
            assert (quick.mtu, quick.peers[0].endpoint) == (1300, (EXIT[4], 4500))
            async with Wireguard(**fields).up(place.client) as path:
                assert await ask(path, Transport.UDP, FAR[6]) == (EXIT[6], b"hello")

    play(scene)


def test_it_leaves_no_rule_and_no_link() -> None:
    """The exit is as it was."""

    async def scene(place: Lab) -> None:
        links = await place.exit.links()
        async with WireguardGo().serve(place):
            assert "masquerade" in await run(place.exit, ["nft", "list", "ruleset"])
        assert await run(place.exit, ["nft", "list", "ruleset"]) == ""
        assert await place.exit.links() == links

    play(scene)
