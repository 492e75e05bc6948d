"""Hysteria 2 by sing-box: `hysteria2://` and `hy2://` links, plain or obfuscated (Salamander).

A server that does not know the password answers like a web site over HTTP/3, and is told apart from
one that is silent.  It refuses disguises that sing-box does not have.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from circumtest.engine.by_link import authorities
from circumtest.engine.sing_box import believing, sing_box
from circumtest.engine.sing_box_path import SingBoxPath
from circumtest.errors import ConfigError
from circumtest.netns import Netns
from circumtest.sharelink.sing_box import Access, claimed, hysteria2


@dataclass(frozen=True)
class Hysteria2:
    """A server by link.

    Its certificate has to come from an authority of this machine, or from those of the PEM file
    `ca` (or of its content, `ca_text`) alone.  `patience` is how many seconds starting sing-box,
    and the proof after it, may take.  `exits` are the addresses that the far end may see, empty
    when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    url: str = field(repr=False)
    ca: str = ""
    ca_text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patience > 0:
            problem = "is not a number of seconds above 0"
            raise ConfigError("hysteria2", "key `patience`", problem)
        _ = self.access, self.authorities

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme hysteria2 or hy2."""
        return {"url": text} if claimed(text, "hysteria2") else None

    @cached_property
    def access(self) -> Access:
        """What the link says, read once."""
        return hysteria2(self.url)

    @cached_property
    def authorities(self) -> str:
        """The certificates that the server's has to come from, "" for the machine's own."""
        return authorities("hysteria2", self.ca, self.ca_text)

    def notes(self) -> tuple[str, ...]:
        """What of the link is not honoured, or is not as safe as it seems, in words."""
        return self.access.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[SingBoxPath]:
        """Start sing-box; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when
        sing-box does not run, EnvironmentUnfit when it is not installed.
        """
        outbound = believing(self.access.outbound, self.authorities)
        async with sing_box(
            underlay, outbound, self.exits, self.patience, name="hysteria2"
        ) as path:
            yield path
