"""Tor through the lab's own network: what its words mean."""

import asyncio
import os
import signal
from pathlib import Path as File

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.tor import TorNetwork
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.path import Path
from circumtest.process import run
from circumtest.tunnels.tor import Tor
from tests.lab.exits import inhabitants
from tests.lab.town import CUT, FAR, ask, fault_of, play, until


def test_what_the_exits_say_of_a_target_is_no_fault_of_the_tunnel() -> None:
    """A closed port: tor's SOCKS says "general failure", its control socket who said so."""

    async def scene(place: Lab) -> None:
        async with TorNetwork().serve(place) as fields, Tor(**fields).up(place.client) as path:
            for version in (4, 6):
                with pytest.raises(OSError, match="the exits say"):
                    await ask(path, Transport.TCP, Address(FAR[version].host, 9))
            assert path.fault() is None
            with pytest.raises(TunnelDown, match="no-udp"):
                await ask(path, Transport.UDP, FAR[4])

    play(scene)


def test_a_stalled_bootstrap_tells_its_phase() -> None:
    """Blocked: tor stays where it connects to a relay."""

    async def scene(place: Lab) -> None:
        async with TorNetwork().serve(place) as fields:
            await run(place.censor, ["nft", "-f", "-"], input=CUT)
            down = await fault_of(Tor(**fields, patience=3).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "come to 5 % (conn: connecting to a relay)" in down.detail
            assert "Bootstrapped 5%" in down.evidence

    play(scene)


def test_a_configuration_that_tor_does_not_take_is_the_binarys_fault() -> None:
    """With tor's own words for it."""

    async def scene(place: Lab) -> None:
        down = await fault_of(Tor(text="UseBridges 0\nStrictNodes maybe").up(place.client))
        assert down.fault is TunnelFault.BINARY
        assert "StrictNodes" in down.evidence

    play(scene)


def test_obfs4proxy_alone_is_started_again_by_tor() -> None:
    """Its end is told when a trial fails of it, and not for ever."""

    async def scene(place: Lab) -> None:
        async with (
            TorNetwork(bridge=True).serve(place) as fields,
            Tor(**fields).up(place.client) as path,
        ):
            for pid in inhabitants(place.client) - {path.process.pid}:
                os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                await until(lambda: "Managed proxy" in path.process.log)
            async with asyncio.timeout(30):
                while not await _carries(path):  # noqa: ASYNC110  # tor tells nobody
                    await asyncio.sleep(0.1)
            assert path.fault() is None

    play(scene)


async def _carries(path: Path) -> bool:
    try:
        return await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
    except (OSError, TunnelDown):
        return False


def test_no_bridge_is_in_a_command_line_or_an_environment() -> None:
    """The cert goes in by a file of the private directory, and by SOCKS."""

    async def scene(place: Lab) -> None:
        async with (
            TorNetwork(bridge=True).serve(place) as fields,
            Tor(**fields).up(place.client),
        ):
            cert = fields["text"].partition("cert=")[2].split()[0]
            for pid in inhabitants(place.client):
                for name in ("cmdline", "environ"):
                    assert cert not in (File("/proc") / str(pid) / name).read_text()

    play(scene)
