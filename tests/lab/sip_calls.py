"""SIP calls to real far ends, over tunnels or none: what their tests have in common."""

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from circumtest.censor.enforce import enforced
from circumtest.censor.policy import Policy
from circumtest.handshakes.sip import Sip
from circumtest.lab.far import FarEnd
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import CLIENT, EXIT, Lab, lab
from circumtest.model import Record
from circumtest.path import Path
from circumtest.play import play
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard

TUNNELS: dict[str, tuple[Any, Any]] = {
    "wireguard": (WireguardGo(), Wireguard),
    "socks": (Dante(), Socks),
}
BOUND = 60.0
"""Seconds that a test may take, bringing up and all."""


def called(
    far: FarEnd,
    call: Sip,
    *,
    tunnel: str = "none",
    version: int = 4,
    censor: Policy | None = None,
    password: Sip | None = None,
) -> Record:
    """One call in a lab of its own; `password` is the call that the far end is made for instead."""

    async def whole() -> Record:
        async with asyncio.timeout(BOUND), lab() as town, AsyncExitStack() as stack:
            target = await town.place(call, "sip", version)
            await stack.enter_async_context(far.serve(town, password or call, target))
            path = await _path(stack, town, tunnel)
            if censor is not None:
                await stack.enter_async_context(enforced(town.censor, censor))
            return await play(call.script(target, Random(5)), path)

    return asyncio.run(whole())


async def _path(stack: AsyncExitStack, town: Lab, tunnel: str) -> Path:
    if tunnel == "none":
        return town.outside
    server, kind = TUNNELS[tunnel]
    fields = await stack.enter_async_context(server.serve(town))
    path: Path = await stack.enter_async_context(kind(**fields).up(town.client))
    return path


def home(tunnel: str, version: int) -> str:
    """Where the far end sees a call come from."""
    return (CLIENT if tunnel == "none" else EXIT)[version]
