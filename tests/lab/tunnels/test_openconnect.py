"""What of openconnect the contract does not ask: DTLS for itself, pins, configuration files."""

import asyncio
import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from circumtest.errors import TunnelDown
from circumtest.lab.pki import certified
from circumtest.lab.servers.ocserv import Ocserv
from circumtest.lab.topology import CLIENT, EXIT, RESOLVER, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.process import run
from circumtest.tunnels.openconnect import Openconnect
from tests.lab.town import FAR, ask, everything_passes, fault_of, play

NO_UDP = (
    b"table inet cut { chain c { type filter hook forward priority 0; meta l4proto udp drop; }; }"
)


def test_where_udp_is_blocked_a_tunnel_over_dtls_is_down() -> None:
    """openconnect would go on over TLS: that is told, and never passed off as DTLS."""

    async def scene(place: Lab) -> None:
        await run(place.censor, ["nft", "-f", "-"], input=NO_UDP)
        async with Ocserv().serve(place) as fields:
            tunnel = replace(Openconnect(**fields), patience=3.0)
            down = await fault_of(tunnel.up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "TLS is up, and DTLS has not come up within 3 s" in down.detail
            async with replace(tunnel, dtls=False).up(place.client) as path:
                await everything_passes(path, EXIT)

    play(scene)


def test_a_server_without_dtls_is_no_tunnel_over_dtls() -> None:
    """At once: the server says so itself."""

    async def scene(place: Lab) -> None:
        async with Ocserv(dtls=False).serve(place) as fields:
            down = await fault_of(Openconnect(**{**fields, "dtls": True}).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "DTLS did not come up" in down.detail

    play(scene)


def test_once_dtls_is_gone_the_tunnel_is_at_fault_until_it_is_back() -> None:
    """What passes meanwhile passes over TLS, so nothing is tried."""

    async def scene(place: Lab) -> None:
        async with (
            Ocserv().serve(place) as fields,
            Openconnect(**fields).up(place.client) as path,
        ):
            await run(place.censor, ["nft", "-f", "-"], input=NO_UDP)
            async with asyncio.timeout(25):
                while path.fault() is None:  # noqa: ASYNC110  # a foreign process has no event
                    await asyncio.sleep(0.05)
            down = path.fault()
            assert down is not None
            assert "DTLS is gone" in down.detail
            with pytest.raises(TunnelDown, match="DTLS is gone"):
                await ask(path, Transport.UDP, FAR[4])

    play(scene)


def test_another_authority_s_server_is_not_trusted() -> None:
    """It is not who it should be: the handshake's fault, and nothing was told to it."""

    async def scene(place: Lab) -> None:
        async with Ocserv(login=True).serve(place) as fields:
            other = {**fields, "ca_text": certified([EXIT[4]]).authority}
            down = await fault_of(Openconnect(**other).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "not trusted" in down.detail
            assert fields["password"] not in down.evidence

    play(scene)


def test_a_pinned_server_needs_no_authority() -> None:
    """The pin as openconnect writes it; with another one the server is not trusted."""

    async def scene(place: Lab) -> None:
        async with Ocserv(login=True, dtls=False).serve(place) as fields:
            pem = await run(place.exit, ["sh", "-c", "cat /run/circumtest-*/certificate.pem"])
            key = x509.load_pem_x509_certificate(pem.encode()).public_key()
            spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
            tunnel = Openconnect(**{**fields, "ca_text": "", "servercert": f"pin-sha256:{pin}"})
            async with tunnel.up(place.client) as path:
                assert (await ask(path, Transport.TCP, FAR[4]))[0] == EXIT[4]
            other = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
            wrong = replace(tunnel, servercert=f"pin-sha256:{other}")
            down = await fault_of(wrong.up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "not the pinned one" in down.detail

    play(scene)


def test_a_configuration_file_is_enough_and_its_script_is_not_run(tmp_path: Path) -> None:
    """All that the server gives is there; what the file would run is not."""
    ran, ca = tmp_path / "ran", tmp_path / "ca.pem"

    async def scene(place: Lab) -> None:
        async with Ocserv(login=True).serve(place) as fields:
            ca.write_text(fields["ca_text"])
            (tmp_path / "vpn.conf").write_text(
                f"server={fields['server']}\nuser={fields['user']}\ncafile=ca.pem\n"
                f"script=touch {ran}\ninterface=tun0\nbackground\n"
            )
            tunnel = Openconnect(
                config=str(tmp_path / "vpn.conf"), password=fields["password"], exits=(EXIT[4],)
            )
            async with tunnel.up(place.client) as path:
                await everything_passes(path, EXIT)
                assert path.dns == tuple(RESOLVER.values())
                assert path.exits == {EXIT[4]}
                assert path.mtu is not None
                assert 1280 < path.mtu < 1500
                assert CLIENT[4] not in path.words
        assert not ran.exists()

    play(scene)
