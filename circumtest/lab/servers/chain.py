"""Several servers at the exit, for a chain of tunnels: each hop's own, side by side.

It refuses to know any of them by name.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from circumtest import registry
from circumtest.errors import ConfigError
from circumtest.lab.servers import Site

_DEFAULT: tuple[dict[str, Any], ...] = (
    {"kind": "wireguard", "device": "userspace", "server": "wireguard-go"},
    {"kind": "socks", "server": "dante"},
)


@dataclass(frozen=True)
class ChainServers:
    """`hops` are tables as in a plan: the tunnel's fields, and its `server` by kind or as a table.

    Two of a kind need ports of their own.  Raises ConfigError for what is no such table.
    """

    hops: tuple[dict[str, Any], ...] = _DEFAULT

    def __post_init__(self) -> None:
        for number, hop in enumerate(self.hops, 1):
            _ = self._server(number, hop)

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when each of them is."""
        async with AsyncExitStack() as stack:
            tables = []
            for number, hop in enumerate(self.hops, 1):
                serving = self._server(number, hop).serve(lab)
                own = {key: value for key, value in hop.items() if key != "server"}
                tables.append({**await stack.enter_async_context(serving), **own})
            yield {"hops": tuple(tables)}

    def _server(self, number: int, hop: dict[str, Any]) -> Any:
        place = f"key `hops`, {number}"
        server = hop.get("server")
        if server is None or "kind" not in hop:
            remedy = 'like {kind = "socks", server = "dante"}'
            raise ConfigError("chain", place, "needs a kind of tunnel, and a server", remedy)
        table = {"kind": server} if isinstance(server, str) else server
        return registry.build(registry.SERVERS, table, "chain", f"{place}, server")
