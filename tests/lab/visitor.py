"""Somebody who runs circumtest where he is: `python -m tests.lab.visitor look|names|tunnel|...`.

It says as JSON what it found.  It is started by the tests of the world, in a network that they made
by hand, and knows nothing of them.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from circumtest import sandbox
from circumtest.errors import TunnelDown
from circumtest.live.watch import watching
from circumtest.live.world import World, run_in_world, world
from circumtest.model import Transport
from circumtest.path.direct import DirectPath
from circumtest.path.resolve import resolve
from circumtest.process import daemon, run
from circumtest.tunnels.netns import NamedNetns
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard
from tests.lab.town import FAR, ask

NAME = "exit.example"


def devices() -> list[str]:
    """What the calling thread has of a network."""
    return named(Path("/proc/thread-self/net/dev").read_text())


def named(table: str) -> list[str]:
    """The devices of such a table."""
    return [line.partition(":")[0].strip() for line in table.splitlines()[2:]]


async def look(here: World) -> dict[str, Any]:
    """Where we are, and what a careless part of the program would see of the network."""
    child = await asyncio.create_subprocess_exec("cat", "/proc/self/net/dev", stdout=PIPE)
    said, _ = await child.communicate()
    async with watching(here.home, [], []) as watch:
        fault = watch.fault()
    return {
        "uplink": here.uplink,
        "left_out": here.left_out,
        "resolvers": here.resolvers,
        "private": sandbox.inside(),
        "at home": sorted(await here.home.links()),
        "main": devices(),
        "executor": await asyncio.to_thread(devices),
        "child": named(said.decode()),
        "underlay": here.underlay and sorted(here.underlay.ways_out()),
        "unwatched": fault,
    }


async def names(here: World) -> dict[str, Any]:
    """The address of a name, asked for from everywhere."""
    rooms = {"home": here.home, "underlay": here.underlay}
    return {room: (await resolve(at, NAME, 1, 8)).host for room, at in rooms.items() if at}


async def tunnel(here: World) -> dict[str, Any]:
    """Whom the echo sees: of home, of the underlay, and through WireGuard."""
    assert here.underlay
    seen = {}
    for name, at in (("home", here.home), ("underlay", here.underlay)):
        path = DirectPath(at, name, frozenset())
        for transport in Transport:
            for version, remote in FAR.items():
                seen[f"{name} {transport} {version}"] = (await ask(path, transport, remote))[0]
    async with Wireguard(text=Path(sys.argv[2]).read_text()).up(here.underlay) as inside:
        for transport in Transport:
            for version, remote in FAR.items():
                seen[f"inside {transport} {version}"] = (await ask(inside, transport, remote))[0]
    return seen


async def proxy(here: World) -> dict[str, Any]:
    """Whom the echo sees through a proxy, with nothing but sockets."""
    async with Socks(url=sys.argv[2]).up(here.home) as path:
        seen = (await ask(path, Transport.TCP, FAR[4]))[0]
    return {"inside": seen, "underlay": here.underlay and here.underlay.name}


async def entered(here: World) -> dict[str, Any]:
    """Whom the echo sees of a namespace that is there already."""
    try:
        async with NamedNetns(sys.argv[2]).up(here.home) as path:
            return {"inside": (await ask(path, Transport.UDP, FAR[4]))[0]}
    except TunnelDown as down:
        return {"down": str(down)}


async def stay(here: World) -> dict[str, Any]:
    """Until it is ended."""
    assert here.underlay
    await run(here.underlay, ["true"])
    say(here.uplink)
    return {"ended": await asyncio.Event().wait()}


async def start(here: World) -> dict[str, Any]:
    """A daemon at home, until somebody ends all of it."""
    async with daemon(here.home, ["sleep", sys.argv[2]]) as running:
        say(f"started {running.pid}")
        return {"ended": await asyncio.Event().wait()}


DEEDS = {deed.__name__: deed for deed in (look, names, tunnel, proxy, entered, stay, start)}


def say(text: str) -> None:
    """Tell who started us."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do the one thing that was asked for, in the world."""

    async def whole() -> None:
        async with asyncio.timeout(60), world() as here:
            say(json.dumps(await DEEDS[sys.argv[1]](here)))

    asyncio.run(whole())
    return 0


if __name__ == "__main__":
    sys.exit(run_in_world(main))
