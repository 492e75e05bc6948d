"""What of stunnel the contract does not cover: certificates, and who is behind TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from circumtest.lab.pki import Authority
from circumtest.lab.servers.stunnel import StunnelServer
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.path import Path as WayOut
from circumtest.tunnels.openvpn import Openvpn
from circumtest.tunnels.stunnel import Stunnel
from tests.lab.specimens import TCP
from tests.lab.town import FAR, ask, everything_passes, fault_of, play


def test_a_server_that_cannot_be_trusted_is_told_by_stunnels_own_words() -> None:
    """Another authority's certificate, or another name: nothing is sent to it."""

    async def scene(lab: Lab) -> None:
        async with StunnelServer().serve(lab) as fields:
            text = fields["text"]
            (line,) = (one for one in text.splitlines() if one.startswith("CAfile"))
            file = line.removeprefix("CAfile = ")
            other = file.replace("authority", "other")
            Path(other).write_text(Authority().certificate)
            for wrong in (
                text.replace(file, other),
                text.replace("checkHost = tls", "checkHost = else"),
            ):
                async with Stunnel(text=wrong, patience=3).up(lab.client) as path:
                    down = await fault_of(_asked(path))
                    assert down.fault is TunnelFault.HANDSHAKE
                    assert "not to be trusted" in down.detail
                    assert "example" not in down.evidence

    play(scene)


@asynccontextmanager
async def _asked(path: WayOut) -> AsyncIterator[None]:
    """An exchange, in the form of a bring-up."""
    await ask(path, Transport.TCP, FAR[4])
    yield


def test_without_a_check_it_carries_all_the_same() -> None:
    """As its configuration asks for; the person is told."""

    async def scene(lab: Lab) -> None:
        async with StunnelServer().serve(lab) as fields:
            lines = fields["text"].splitlines()
            drop = ("verifyChain", "checkHost", "CAfile")
            text = "\n".join(line for line in lines if not line.startswith(drop))
            tunnel = Stunnel(text=text, exits=tuple(EXIT.values()))
            assert "not checked" in tunnel.notes()[0]
            async with tunnel.up(lab.client) as path:
                assert path.transports == TCP
                assert await ask(path, Transport.TCP, FAR[6]) == (EXIT[6], b"hello")

    play(scene)


def test_openvpn_through_it_tells_whose_certificate_is_wrong() -> None:
    """Not that a local port hung up; with the right one everything passes."""

    async def scene(lab: Lab) -> None:
        async with StunnelServer(behind="openvpn").serve(lab) as fields:
            wrong = fields["stunnel_text"].replace("checkHost = tls", "checkHost = else")
            down = await fault_of(
                Openvpn(**{**fields, "stunnel_text": wrong}, patience=4).up(lab.client)
            )
            assert down.fault is TunnelFault.HANDSHAKE
            assert "not to be trusted" in down.detail
            assert "example" not in down.evidence
            async with Openvpn(**fields).up(lab.client) as path:
                await everything_passes(path, EXIT)

    play(scene)
