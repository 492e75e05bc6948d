"""A namespace that is there already: `netns:NAME`, with whatever VPN leads out of it.

It is entered, used and left as it was found, its inhabitants included.  Names are looked up in
/run/netns as this process sees it: the private world has a /run of its own.  It refuses to make a
namespace, and to believe that one with a route out leads anywhere: an exchange shows that.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import InsidePath, Settings
from circumtest.model import TunnelFault
from circumtest.netns import Netns

NAMES = Path("/run/netns")
"""Where `ip netns` keeps them."""

_PREFIX = "netns:"


@dataclass(frozen=True)
class NamedNetns:
    """The name of a namespace, or the whole path of its file.

    `patience` is for whoever proves the path.  `exits` are the addresses that the far end may see,
    empty when nobody knows.  Raises ConfigError for what is neither a name nor a whole path.
    """

    netns: str
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        name = re.fullmatch(r"[^/\0\n]{1,255}", self.netns) and self.netns not in (".", "..")
        if not name and not re.fullmatch(r"/[^\0\n]+", self.netns):
            problem = f"{self.netns!r} is neither the name of a namespace nor the path of its file"
            remedy = "a name of `ip netns list`, or like /proc/PID/ns/net"
            raise ConfigError("netns", "key `netns`", problem, remedy)
        if not self.patience > 0:
            raise ConfigError("netns", "key `patience`", "is not a number of seconds above 0")

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """`netns:NAME`, `netns:/a/file`."""
        one = text.startswith(_PREFIX) and "\n" not in text
        return {"netns": text.removeprefix(_PREFIX).strip()} if one else None

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[InsidePath]:  # noqa: ARG002  # it has one
        """Enter it; ready when a route leads out of it.

        Raises TunnelDown(BINARY) when there is no such namespace or no way out, EnvironmentUnfit
        when it may not be entered.
        """
        async with AsyncExitStack() as stack:
            try:
                entering = Netns.enter(NAMES / self.netns, self.netns)
                inside = await stack.enter_async_context(entering)
            except OSError as error:
                raise TunnelDown(TunnelFault.BINARY, self._missing(error)) from None
            ways = inside.ways_out()
            if not ways:
                raise _led_nowhere(self.netns)
            device = inside.device(ways[min(ways)])
            settings = Settings((), mtu=device.mtu if device else None)
            yield InsidePath("netns", inside, settings, self.exits, lambda: _known(inside))

    def _missing(self, error: OSError) -> str:
        if not isinstance(error, FileNotFoundError):
            return f"the namespace {self.netns} cannot be entered: {error.strerror}"
        there = sorted(file.name for file in NAMES.iterdir()) if NAMES.is_dir() else ()
        names = ", ".join(there) or "none"
        return f"there is no namespace {self.netns}; in {NAMES}, as it is seen here: {names}"


def _known(inside: Netns) -> TunnelDown | None:
    return None if inside.ways_out() else _led_nowhere(inside.name)


def _led_nowhere(name: str) -> TunnelDown:
    return TunnelDown(TunnelFault.BINARY, f"no route leads out of the namespace {name}")
