"""Where a live run stands: the network that it was started in, and where tunnels may leave from.

Root has both in one: devices are made and packets leave where the machine's own do.  An ordinary
user may only open sockets there; tunnels then get a namespace of the user's own, whose packets
pasta or slirp4netns carry out as an ordinary program's.  The harness's own thread stands in an
empty namespace where that is possible.  It refuses to change anything of the machine's network.
"""

import ctypes
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from circumtest import sandbox
from circumtest.errors import EnvironmentUnfit
from circumtest.live import names, uplink
from circumtest.netns import Netns

HOME = "home"
"""The uplink of who may use the machine's own."""

_CLONE_NEWNET = 0x40000000
_RESOLV = Path("/etc/resolv.conf")
_PROXIES = (
    "without that, only proxies (SOCKS, HTTP), programs that offer one, and devices that are on"
    " already (`interface:NAME`) can be tried"
)

_before: "_Before | None" = None


@dataclass(frozen=True)
class _Before:
    """What was so before the private world was entered: it hides /run, and much may lie there."""

    resolv: str
    resolvers: tuple[str, ...]
    refusal: EnvironmentUnfit | None


@dataclass(frozen=True)
class World:
    """Where we are.

    `home` is a thread that stays where the network is; for an ordinary user it can only make
    sockets and start processes there.  `underlay` is where tunnels' packets leave from and where
    devices may be made: `home` for root, else a namespace whose `uplink` is "pasta" or
    "slirp4netns"; None, with the uplink "", where there is neither.  `left_out` says in sentences
    what this machine does not allow, and what to type.  `resolvers` are the addresses of the
    system's resolvers, as they are seen from home.
    """

    home: Netns
    underlay: Netns | None
    uplink: str
    left_out: tuple[str, ...]
    resolvers: tuple[str, ...]


def run_in_world(main: Callable[[], int]) -> int:
    """Run `main` in a private world that keeps the network, and return its exit code.

    Where the machine allows no private world it is run as it is: then `world` says what is left
    out.  Call it from a process with one thread, as `sandbox.run_inside`.
    """
    global _before  # what a process saw before it entered
    resolv = names.configuration(_RESOLV)
    refusal = sandbox.refusal(home=True)
    _before = _Before(resolv, names.resolvers(resolv), refusal)
    if refusal:
        return main()

    def inside() -> int:
        names.restore(_RESOLV, resolv)
        return main()

    return sandbox.run_inside(inside, home=True)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Stand where the network is.  Raises nothing that the machine does not allow: it is left out.

    The calling thread, and what it starts later, are in an empty namespace until the end of the
    block where that is possible, and afterwards too where it may not go back.
    """
    before = _before or _Before("", names.resolvers(names.configuration(_RESOLV)), None)
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(Netns.here(HOME))
        private = sandbox.inside()
        rules = await home.acall(uplink.rules_here)
        if private and (rules or before.refusal is None) and _leave():
            stack.callback(_return, home.fd)
        if rules and private:
            yield World(home, home, HOME, (), before.resolvers)
            return
        if not private:
            left_out = (_refused(before.refusal),)
            yield World(home, None, "", left_out, before.resolvers)
            return
        carried = await uplink.choose(stack, home)
        if carried.netns:
            await stack.enter_async_context(names.within(carried.netns, home, before.resolvers))
        yield World(home, carried.netns, carried.name, carried.left_out, before.resolvers)


def _refused(refusal: EnvironmentUnfit | None) -> str:
    if refusal is None:
        return f"no private world was entered; {_PROXIES}"
    return f"{refusal.missing}.  {refusal.remedy}; {_PROXIES}"


def _leave() -> bool:
    """Move this thread to an empty namespace."""
    return bool(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0)


def _return(fd: int) -> None:
    """Back to where the network is.  Only who rules there may: to others it is their end."""
    with suppress(OSError):
        ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET)
