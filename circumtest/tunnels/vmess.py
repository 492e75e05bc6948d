"""VMess by V2Ray (or Xray): `vmess://` links.

Over TCP, WebSocket, HTTP/2, mKCP and QUIC, with TLS or without; gRPC, HTTPUpgrade and XHTTP with
Xray.  A server that does not know the user's id is silent: only an exchange with a far end tells.
It refuses to guess at transports and parameters that it does not know.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from circumtest.engine.by_link import Engine, authorities, by_link, told, which
from circumtest.errors import ConfigError
from circumtest.localproxy import LocalPath
from circumtest.netns import Netns
from circumtest.sharelink.links import claimed, read
from circumtest.sharelink.outbound import Outbound


@dataclass(frozen=True)
class Vmess:
    """A server by link.

    Over TLS its certificate has to come from an authority of this machine, or from those of the
    PEM file `ca` (or of its content, `ca_text`) alone.  `engine` is the program that speaks
    VMess: `auto` is V2Ray, or Xray where the link asks for what only Xray does.  `patience` is how
    many seconds starting it, and the proof after it, may take.  `exits` are the addresses that the
    far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    url: str = field(repr=False)
    ca: str = ""
    ca_text: str = field(default="", repr=False)
    engine: Engine = "auto"
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patience > 0:
            problem = "is not a number of seconds above 0"
            raise ConfigError("vmess", "key `patience`", problem)
        which(self.outbound, self.engine, "vmess")
        _ = self.authorities

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme vmess."""
        return {"url": text} if claimed(text, "vmess") else None

    @cached_property
    def outbound(self) -> Outbound:
        """What the link says, read once."""
        return read(self.url, "vmess")

    @cached_property
    def authorities(self) -> str:
        """The certificates that the server's has to come from, "" for the machine's own."""
        return authorities("vmess", self.ca, self.ca_text)

    def notes(self) -> tuple[str, ...]:
        """What of the link is not honoured, or is not as safe as it seems, in words."""
        return told(self.outbound, self.engine, self.authorities)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[LocalPath]:
        """Start the engine; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when the
        engine does not run, EnvironmentUnfit when it is not installed.
        """
        async with by_link(
            underlay,
            self.outbound,
            which(self.outbound, self.engine, "vmess"),
            ca=self.authorities,
            exits=self.exits,
            patience=self.patience,
        ) as path:
            yield path
