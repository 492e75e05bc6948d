"""obfs4proxy by the pluggable transport protocol, at both ends."""

import asyncio
import os
from pathlib import Path

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.obfs4 import Obfs4Server
from circumtest.lab.topology import EXIT, Lab
from circumtest.listening import free_port
from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.process import private_dir
from circumtest.tor import managed
from tests.lab.exits import inhabitants
from tests.lab.town import play


def test_a_server_keeps_its_keys_where_its_state_is() -> None:
    """Started again it is the same one; elsewhere it is another."""

    async def scene(place: Lab) -> None:
        seen = []
        with private_dir() as one, private_dir() as other:
            for state in (one, one, other):
                at = Address(EXIT[4], free_port(place.exit))
                async with managed.server(place.exit, state, at, Address("127.0.0.1", 9)) as told:
                    arguments = dict(told[1])
                    assert set(arguments) == {"cert", "iat-mode"}
                    seen.append(arguments["cert"])
        assert seen[0] == seen[1] != seen[2]

    play(scene)


def test_no_secret_is_in_a_command_line_or_an_environment() -> None:
    """Neither the cert nor the server's own keys."""

    async def scene(place: Lab) -> None:
        async with Obfs4Server().serve(place) as fields:
            with private_dir() as state:
                async with managed.client(place.client, state, 5):
                    told = "".join(map(_told, inhabitants(place.client) | inhabitants(place.exit)))
            cert = fields["text"].partition("cert=")[2].split()[0]
            assert "TOR_PT_MANAGED_TRANSPORT_VER" in told
            assert cert not in told

    play(scene)


def _told(pid: int) -> str:
    place = Path(f"/proc/{pid}")
    return "".join((place / name).read_text() for name in ("cmdline", "environ"))


def test_a_program_that_does_not_take_its_orders_is_the_binarys_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so by the protocol, and its words are kept."""
    fake = tmp_path / managed.PROGRAM
    fake.write_text("#!/bin/sh\necho 'CMETHOD-ERROR obfs4 no room'\nexec sleep 30\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    async def scene() -> None:
        async with asyncio.timeout(20), Netns.new("home") as home:
            with pytest.raises(TunnelDown) as caught:
                async with managed.client(home, tmp_path, 5):
                    pass
            assert caught.value.evidence == "CMETHOD-ERROR obfs4 no room"

    asyncio.run(scene())
