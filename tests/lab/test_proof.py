"""Proving paths end to end, on real ones."""

import asyncio
import time
from random import Random
from typing import Any

import pytest

from circumtest.errors import TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.topology import Lab
from circumtest.model import Transport, TunnelFault
from circumtest.path import Path
from circumtest.process import run
from circumtest.proof import Exchange, prove
from circumtest.tunnels.isolated import Isolated
from circumtest.tunnels.socks import Socks
from tests.lab.town import CUT, play


async def exchange(place: Lab, transport: Transport) -> Exchange:
    """One with an echo that is served for it."""
    echo = Echo(transport)
    target = await place.serve(echo, str(transport))
    return lambda: echo.script(target, Random(1))


async def fault_of(path: Path, asked: Exchange, **more: Any) -> TunnelDown:
    """What the path is down for, after a second."""
    with pytest.raises(TunnelDown) as caught:
        await prove(path, asked, 1.0, **more)
    return caught.value


def test_a_path_that_carries_is_proved_by_the_first_exchange() -> None:
    """And one whose far end is late as soon as it is there."""

    async def scene(place: Lab) -> None:
        asked = await exchange(place, Transport.TCP)
        async with Microsocks().serve(place) as fields, Socks(**fields).up(place.client) as path:
            await prove(path, asked, 3.0)
            await run(place.backbone, ["nft", "-f", "-"], input=CUT)
            lifted = asyncio.create_task(_lift(place))
            await prove(path, asked, 10.0)
            await lifted

    async def _lift(place: Lab) -> None:
        await asyncio.sleep(0.5)
        await run(place.backbone, ["nft", "delete", "table", "inet", "cut"])

    play(scene)


def test_a_proxy_behind_which_nothing_answers_carries_no_data() -> None:
    """It let us in, so it is not its handshake; in bounded time."""

    async def scene(place: Lab) -> None:
        asked = await exchange(place, Transport.TCP)
        async with Microsocks().serve(place) as fields, Socks(**fields).up(place.client) as path:
            cut = CUT.replace(b"policy drop", b'iifname "exit" oifname "services" drop')
            await run(place.backbone, ["nft", "-f", "-"], input=cut)
            begun = time.monotonic()
            down = await fault_of(path, asked)
            assert down.fault is TunnelFault.NO_DATA
            assert time.monotonic() - begun < 4

    play(scene)


def test_a_proxy_without_udp_is_told_at_once_and_a_silent_one_after_tcp_passed() -> None:
    """Both are no-udp: one says so, the other only loses datagrams."""

    async def scene(place: Lab) -> None:
        datagrams = await exchange(place, Transport.UDP)
        stream = await exchange(place, Transport.TCP)
        async with Microsocks().serve(place) as fields, Socks(**fields).up(place.client) as path:
            assert (await fault_of(path, datagrams)).fault is TunnelFault.NO_UDP
        async with Dante().serve(place) as fields, Socks(**fields).up(place.client) as path:
            cut = CUT.replace(b"policy drop", b"ip protocol udp drop")
            await run(place.backbone, ["nft", "-f", "-"], input=cut)
            assert (await fault_of(path, datagrams)).fault is TunnelFault.NO_DATA
            down = await fault_of(path, datagrams, stream=stream)
            assert down.fault is TunnelFault.NO_UDP

    play(scene)


def test_a_path_that_leads_nowhere_is_not_proved() -> None:
    """At once is not for ever: it is tried again until its time is over."""

    async def scene(place: Lab) -> None:
        asked = await exchange(place, Transport.UDP)
        async with Isolated().up(place.client) as path:
            assert (await fault_of(path, asked)).fault is TunnelFault.NO_DATA

    play(scene)
