"""What of IKEv2 the contract does not ask: who is trusted, what is installed, many at once."""

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from circumtest.lab.pki import Authority
from circumtest.lab.servers.strongswan import Strongswan
from circumtest.lab.topology import EXIT, RESOLVER, Lab
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.process import run
from circumtest.tunnels.ikev2 import Ikev2
from tests.lab.exits import inhabitants, kill_all
from tests.lab.town import everything_passes, fault_of, play, until


async def rules(netns: Netns) -> str:
    """The rules of both families, and every table's routes."""
    show = "ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all"
    return await run(netns, ["sh", "-c", show])


def test_a_profile_with_an_archive_is_enough() -> None:
    """What providers hand out: server, authority, key and certificate in one file."""

    async def scene(place: Lab) -> None:
        async with Strongswan().serve(place) as fields:
            authority = x509.load_pem_x509_certificate(fields["ca_text"].encode())
            certificate = x509.load_pem_x509_certificate(fields["certificate_text"].encode())
            key: Any = load_pem_private_key(fields["key_text"].encode(), None)
            archive = serialize_key_and_certificates(
                b"caller", key, certificate, [authority], BestAvailableEncryption(b"open")
            )
            profile = {
                "uuid": "1",
                "name": "lab",
                "type": "ikev2-cert",
                "remote": {"addr": fields["server"], "id": fields["id"]},
                "local": {"p12": base64.b64encode(archive).decode()},
                "esp-proposal": "aes128-sha256",
                "mtu": 1300,
            }
            tunnel = Ikev2(text=json.dumps(profile), key_password="open", exits=(EXIT[6],))
            async with tunnel.up(place.client) as path:
                await everything_passes(path, EXIT)
                assert path.mtu == 1300
                assert set(path.dns) == set(RESOLVER.values())
                assert path.exits == {EXIT[6]}

    play(scene)


def test_who_is_not_trusted_or_somebody_else_is_not_spoken_to() -> None:
    """Another authority, and nobody but the system's; a wrong name is the server's to refuse."""

    async def scene(place: Lab) -> None:
        async with Strongswan(auth="eap").serve(place) as fields:
            for change, said in (
                ({"ca_text": Authority().certificate}, "not trusted"),
                ({"ca_text": ""}, "not trusted"),
                ({"id": "other.example"}, "does not go by the name"),
            ):
                tunnel = Ikev2(**{**fields, **change})
                down = await fault_of(tunnel.up(place.client))
                fault = TunnelFault.AUTH if "id" in change else TunnelFault.HANDSHAKE
                assert down.fault is fault, (change, down.detail, down.evidence)
                assert said in down.detail
                assert fields["id"] not in down.evidence

    play(scene)


def test_being_let_in_without_a_connection_inside_is_no_data() -> None:
    """IKE agrees, and IPsec has no algorithm in common."""

    async def scene(place: Lab) -> None:
        async with Strongswan().serve(place) as fields:
            down = await fault_of(Ikev2(**fields, esp="aes256-sha512").up(place.client))
            assert down.fault is TunnelFault.NO_DATA
            down = await fault_of(Ikev2(**fields, ike="aes128-sha1-modp1024").up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "algorithms" in down.detail

    play(scene)


def test_a_server_that_encrypts_with_gcm_is_understood() -> None:
    """The kind that is usual today."""

    async def scene(place: Lab) -> None:
        async with (
            Strongswan(esp="aes256gcm16").serve(place) as fields,
            Ikev2(**fields).up(place.client) as path,
        ):
            await everything_passes(path, EXIT)

    play(scene)


WITH_RESOLVCONF = """
mkdir "$1/real" "$1/ours"
mount --bind /usr/sbin "$1/real"
ln -s "$1"/real/* "$1/ours"
printf '#!/bin/sh\\ntouch %s\\n' "$1/heard" >"$1/ours/resolvconf"
chmod 755 "$1/ours/resolvconf"
mount --bind "$1/ours" /usr/sbin
"""
WITHOUT = 'umount -l /usr/sbin "$1/real"'


def test_the_machine_s_resolvconf_never_hears_of_name_servers(tmp_path: Path) -> None:
    """charon would tell it; it gets ours instead, and the path still knows the servers."""

    async def scene(place: Lab) -> None:
        await run(place.client, ["sh", "-ec", WITH_RESOLVCONF, "sh", str(tmp_path)])
        try:
            async with (
                Strongswan().serve(place) as fields,
                Ikev2(**fields).up(place.client) as path,
            ):
                assert set(path.dns) == set(RESOLVER.values())
        finally:
            await run(place.client, ["sh", "-ec", WITHOUT, "sh", str(tmp_path)])
        assert not (tmp_path / "heard").exists()

    play(scene)


def test_many_in_one_underlay_do_not_disturb_it_or_each_other() -> None:
    """Each has a device of its own; afterwards the underlay is as it was."""

    async def scene(place: Lab) -> None:
        before = await rules(place.client)
        async with Strongswan(auth="eap").serve(place) as fields:
            tunnel = Ikev2(**fields)
            async with AsyncExitStack() as stack:
                ups = (stack.enter_async_context(tunnel.up(place.client)) for _ in range(4))
                for path in await asyncio.gather(*ups):
                    await everything_passes(path, EXIT)
        assert await rules(place.client) == before

    play(scene)


def test_one_that_is_killed_leaves_no_rule_in_the_underlay() -> None:
    """charon has no time to take it away."""

    async def scene(place: Lab) -> None:
        before = await rules(place.client)
        async with Strongswan().serve(place) as fields:
            async with Ikev2(**fields).up(place.client) as path:
                assert await rules(place.client) != before
                kill_all(inhabitants(place.client))
                await asyncio.wait_for(until(lambda: path.fault() is not None), 5)
            assert await rules(place.client) == before

    play(scene)


def test_a_server_that_hangs_up_or_falls_silent_is_told() -> None:
    """Within the time in which charon gives up."""

    async def scene(place: Lab) -> None:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(AsyncExitStack())
            fields = await server.enter_async_context(Strongswan().serve(place))
            tunnel = replace(Ikev2(**fields), patience=5.0)
            path = await stack.enter_async_context(tunnel.up(place.client))
            await server.aclose()  # it says goodbye
            await asyncio.wait_for(until(lambda: path.fault() is not None), 5)
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA
            assert "ended" in down.detail

    play(scene)


@pytest.mark.parametrize("field", ["server", "id", "user", "password"])
def test_nothing_of_a_person_is_shown(field: str) -> None:
    """repr tells neither server nor login."""
    fields: dict[str, Any] = {
        "server": "192.0.2.77",
        "id": "a.example",
        "user": "anna",
        "password": "secret-1",
    }
    assert fields[field] not in repr(Ikev2(**fields, patience=1.0))
