"""A Tor network at the exit: three authorities and one relay, all of them exits; and a bridge.

TCP over IPv4 and IPv6.  Keys and consensus are kept between labs; the bridge's obfs4 key is new
each time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from circumtest.lab.servers import Site, address_of
from circumtest.lab.tor_network import network
from circumtest.process import private_dir


@dataclass(frozen=True)
class TorNetwork:
    """`port` is the first of its ports; with `bridge` clients come in by an obfs4 bridge."""

    port: int = 5000
    bridge: bool = False

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when every relay says that it has bootstrapped: about 2 s, half a minute once."""
        with private_dir() as place:
            at = address_of(lab, 4)
            async with network(lab.exit, place, at, self.port, bridge=self.bridge) as told:
                authorities, bridge = told
                fields: dict[str, Any] = {"authorities": list(authorities)}
                if bridge:
                    fields["text"] = f"UseBridges 1\nBridge {bridge}\n"
                yield fields
