"""obfs4 at the exit: obfs4proxy before a microsocks that only it reaches.  TCP over IPv4 and IPv6.

No tor is in it: the pluggable transport protocol with a SOCKS proxy in the place of tor's port.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from circumtest.lab.servers import Site, address_of
from circumtest.listening import free_port, listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir
from circumtest.tor import managed
from circumtest.tor.bridge import OBFS4, Bridge

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Obfs4Server:
    """`port` is where it listens."""

    port: int = 9443

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when obfs4proxy says where it listens; its keys are new each time."""
        at = Address(address_of(lab, 4), self.port)
        behind = Address(_LOOPBACK, free_port(lab.exit))
        argv = ["microsocks", "-i", behind.host, "-p", str(behind.port)]
        with private_dir() as state:
            async with daemon(lab.exit, argv) as proxy:
                await listening(lab.exit, behind, proxy)
                async with managed.server(lab.exit, state, at, behind) as (_, arguments):
                    # The fingerprint is Tor's, and there is no Tor: it only has to look like one.
                    bridge = Bridge(OBFS4, at, secrets.token_hex(20).upper(), arguments)
                    yield {"text": f"Bridge {bridge.line}\n"}
