"""obfs4proxy without tor: the pluggable transport protocol (pt-spec, version 1), our half of it.

A transport's program is told what to do by its environment, and says on its output where it
listens.  What it must keep secret goes in through its SOCKS port (a client), or stays in its state
directory (a server): the environment has no secrets.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from circumtest.errors import TunnelDown
from circumtest.model import Address, TunnelFault
from circumtest.netns import Netns
from circumtest.process import Daemon, daemon
from circumtest.scrub import scrub
from circumtest.tor.bridge import OBFS4

PROGRAM = "obfs4proxy"
LOG = "obfs4proxy.log"
"""Where in its state directory the program says what it does; it leaves addresses out itself."""

_ARGV = (PROGRAM, "-enableLogging", "-logLevel", "INFO")


@asynccontextmanager
async def client(netns: Netns, state: Path, patience: float) -> AsyncIterator[tuple[Daemon, int]]:
    """The program as a client, and the port of the loopback where it speaks SOCKS5.

    That it listens says nothing of a server.  Raises TunnelDown(BINARY) when it does not offer
    obfs4, ProcessEnded, TimeoutError, EnvironmentUnfit.
    """
    env = {"TOR_PT_CLIENT_TRANSPORTS": OBFS4}
    async with daemon(netns, _ARGV, env=_common(state) | env) as process:
        # CMETHOD obfs4 socks5 127.0.0.1:40001
        words = await _said(process, "CMETHOD", patience)
        yield process, int(words[3].rpartition(":")[2])


@asynccontextmanager
async def server(
    netns: Netns, state: Path, at: Address, behind: Address
) -> AsyncIterator[tuple[Daemon, tuple[tuple[str, str], ...]]]:
    """The program as a server at `at` before `behind`, and the arguments that its clients need.

    Its keys are in `state`, made when there are none.
    """
    env = {
        "TOR_PT_SERVER_TRANSPORTS": OBFS4,
        "TOR_PT_SERVER_BINDADDR": f"{OBFS4}-{at}",
        "TOR_PT_ORPORT": str(behind),
    }
    async with daemon(netns, _ARGV, env=_common(state) | env) as process:
        # SMETHOD obfs4 192.0.2.1:443 ARGS:cert=...,iat-mode=0
        words = await _said(process, "SMETHOD", 10)
        arguments = words[3].removeprefix("ARGS:").split(",")
        yield (
            process,
            tuple((key, value) for key, _, value in (a.partition("=") for a in arguments)),
        )


def _common(state: Path) -> dict[str, str]:
    return {"TOR_PT_MANAGED_TRANSPORT_VER": "1", "TOR_PT_STATE_LOCATION": str(state)}


async def _said(process: Daemon, verb: str, patience: float) -> list[str]:
    """The words with which it says where it listens."""
    line = await process.line(rf"^{verb} {OBFS4} |^[A-Z]+-ERROR|^{verb}S DONE", patience)
    words = line.split(" ")
    if words[0] != verb or len(words) < 4:
        raise TunnelDown(TunnelFault.BINARY, f"{PROGRAM} does not offer obfs4", scrub(process.log))
    return words
