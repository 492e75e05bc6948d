"""No tunnel: the outside again.

Compared with itself the outside must differ by nothing but chance: a difference here is a fault of
the harness or of the statistics.  It refuses to do anything.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from circumtest.netns import Netns
from circumtest.path.direct import DirectPath


@dataclass(frozen=True)
class NoTunnel:
    """`exits` are the addresses that the far end may see, empty when nobody knows."""

    exits: tuple[str, ...] = ()

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[DirectPath]:
        """Ready at once: the path is the underlay itself."""
        yield DirectPath(underlay, "none", frozenset(self.exits))
