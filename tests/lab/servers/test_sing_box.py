"""sing-box at the exit: what the contract does not ask of it."""

from circumtest.lab.servers.sing_box import SingBox
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport
from circumtest.tunnels.hysteria2 import Hysteria2
from circumtest.tunnels.shadowtls import Shadowtls
from tests.lab.town import FAR, ask, play


def test_it_listens_where_it_is_told_to_though_it_may_do_nothing() -> None:
    """443 is a port for which one needs a capability, and it has none."""

    async def listens(place: Lab) -> None:
        async with (
            SingBox(port=443).serve(place) as fields,
            Hysteria2(**fields).up(place.client) as path,
        ):
            assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")

    play(listens)


def test_secrets_are_new_each_time() -> None:
    """Password, authority, all of it."""

    async def new(place: Lab) -> None:
        async with SingBox("tuic").serve(place) as first:
            pass
        async with SingBox("tuic").serve(place) as second:
            pass
        assert first["url"] != second["url"]
        assert first["ca_text"] != second["ca_text"]

    play(new)


def test_shadowtls_without_a_stream_for_datagrams_carries_tcp() -> None:
    """As it stands in most people's links."""

    async def streams(place: Lab) -> None:
        async with SingBox("shadowtls").serve(place) as fields:
            link = {**fields, "url": fields["url"].replace("&uot=1", "")}
            async with Shadowtls(**link).up(place.client) as path:
                assert path.transports == {Transport.TCP}
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")

    play(streams)
