"""A mirror as a person starts it, in a namespace of its own, and a client beside it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from circumtest.mirror.token import Token
from circumtest.netns import Netns
from circumtest.path.direct import DirectPath
from circumtest.process import Daemon, daemon

HOSTS = {4: "203.0.113.7", 6: "2001:db8:113::7"}
CLIENTS = {4: "203.0.113.1", 6: "2001:db8:113::1"}
PATIENCE = 30.0
SERVE = (sys.executable, "-c", "from circumtest.cli import main; main()", "serve")


@dataclass(frozen=True)
class Town:
    """Both namespaces, the mirror's process, its token."""

    client: Netns
    server: Netns
    process: Daemon
    token: Token

    @property
    def path(self) -> DirectPath:
        """The client's own way."""
        return DirectPath(self.client, "none", frozenset(CLIENTS.values()))


@asynccontextmanager
async def town(folder: Path, *more: str) -> AsyncIterator[Town]:
    """A mirror with one address of each version; `more` is said to it besides."""
    file = folder / "mirror.token"
    async with Netns.new("client") as client, Netns.new("mirror") as server:
        await client.veth("wire", server, "wire")
        for netns, addresses in ((client, CLIENTS), (server, HOSTS)):
            await netns.address("wire", f"{addresses[4]}/24")
            await netns.address("wire", f"{addresses[6]}/64")
        hosts = [word for host in HOSTS.values() for word in ("--host", host)]
        argv = [*SERVE, *hosts, "--token", str(file), *more]
        async with daemon(server, argv, name="mirror") as process:
            await process.line("ports over UDP", PATIENCE)
            yield Town(client, server, process, Token.load(file))
