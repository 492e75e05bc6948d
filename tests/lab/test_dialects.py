"""Calls whose far half is ours, through real tunnels: what they carry, and whom the far end saw.

Those that meet a real program have a file for it each (test_far_...).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import CLIENT, EXIT, Lab, lab
from circumtest.model import Invalid, Level, Record, Role, Success
from circumtest.path import Path
from circumtest.play import play
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.script import Handshake
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard

TIMEOUT = 60.0
TRIES = 3
OURS = [
    kind
    for kind in kinds(HANDSHAKES)
    if (cls := load(HANDSHAKES, kind, "test", "")).role is Role.CALL and not cls.far
]
SILENT = ("telegram-call-tcp", "recorded")
"""They tell no address: no reply has one, or the recording none of that IP version."""


@asynccontextmanager
async def outside(town: Lab) -> AsyncIterator[Path]:
    """No tunnel."""
    yield town.outside


@asynccontextmanager
async def wireguard(town: Lab) -> AsyncIterator[Path]:
    """A device of its own."""
    async with WireguardGo().serve(town) as server, Wireguard(**server).up(town.client) as path:
        yield path


@asynccontextmanager
async def socks(town: Lab) -> AsyncIterator[Path]:
    """UDP ASSOCIATE."""
    async with Dante().serve(town) as server, Socks(**server).up(town.client) as path:
        yield path


async def called(it: Handshake, through: Any, version: int) -> Record:
    """One trial in a lab of its own."""
    async with asyncio.timeout(TIMEOUT), lab() as town:
        target = await town.serve(it, "dialect", version)
        async with through(town) as path:
            return await play(it.script(target, Random(3)), path)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("through", [outside, wireguard, socks])
@pytest.mark.parametrize("kind", OURS)
def test_a_call_succeeds_through_every_kind_of_path(kind: str, through: Any, version: int) -> None:
    """With sound both ways, and the address seen is the path's."""
    made: Handshake = load(HANDSHAKES, kind, "test", "")(level=Level.QUICK)
    for _ in range(TRIES):
        record = asyncio.run(called(made, through, version))
        if not isinstance(record.outcome, Invalid):
            break

    assert record.outcome == Success()
    assert kind in SILENT or record.exit is not None
    if record.exit is not None:
        assert record.exit.host == (CLIENT if through is outside else EXIT)[version]
    (media,) = record.media
    for direction in (media.up, media.down):
        assert direction.lost is not None
        assert direction.lost <= 2
