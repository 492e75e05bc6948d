"""A tunnel that leads nowhere: an empty namespace.

Everything inside must fail, with network_unreachable and at once.  A success here is a leak or a
fault of the harness.  It refuses to send a packet.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from circumtest.netns import Netns
from circumtest.path.direct import DirectPath


@dataclass(frozen=True)
class Isolated:
    """It has no configuration."""

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[DirectPath]:
        """A new namespace with nothing in it but `lo`."""
        async with Netns.new(f"{underlay.name}/isolated") as nowhere:
            yield DirectPath(nowhere, "isolated", frozenset())
