"""microsocks at the exit: SOCKS5 over TCP only, the proxy that cannot carry a call's UDP.

It takes its password on the command line only, where every process could read it: so it has none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from circumtest.lab.servers import Site, address_of
from circumtest.listening import listening
from circumtest.model import Address
from circumtest.process import daemon


@dataclass(frozen=True)
class Microsocks:
    """`port` is where it listens, over IPv4 and IPv6."""

    port: int = 1081

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens."""
        host = address_of(lab, 4)
        argv = ["microsocks", "-i", "::", "-p", str(self.port)]
        async with daemon(lab.exit, argv) as process:
            await listening(lab.exit, Address(host, self.port), process)
            yield {"url": f"socks5://{host}:{self.port}"}
