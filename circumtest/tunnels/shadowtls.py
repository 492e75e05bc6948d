"""Shadowsocks behind ShadowTLS version 3, by sing-box: a link with both, or a link and two keys.

What a censor sees is a TLS handshake with a site that has nothing to do with it.  Datagrams would
go around it: they are carried only where the server takes them out of a stream.  It refuses to test
Shadowsocks alone when the disguise is missing.
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
from circumtest.localproxy import STREAMS
from circumtest.model import Transport
from circumtest.netns import Netns
from circumtest.path.direct import BOTH
from circumtest.shadowsocks.sip002 import Access, from_link
from circumtest.sharelink.shadowtls import SPOT, Disguise, claimed, disguise, read

_DISGUISE = "disguise"


@dataclass(frozen=True)
class Shadowtls:
    """A server by an `ss://` link that names ShadowTLS, or by one that does not and two keys.

    These are `name`, the site that it claims to be, and `password`, ShadowTLS's own.  `over_tcp`
    carries datagrams in a stream, which the server has to know (sing-box's does); a link says so
    by `uot=1`.  The site's certificate has to come from an authority of this machine, or from those
    of the PEM file `ca` (or of its content, `ca_text`) alone.  `patience` is how many seconds
    starting sing-box, and the proof after it, may take.  `exits` are the addresses that the far end
    may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    url: str = field(repr=False)
    name: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    over_tcp: bool = False
    ca: str = ""
    ca_text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patience > 0:
            problem = "is not a number of seconds above 0"
            raise ConfigError("shadowtls", "key `patience`", problem)
        _ = self.parts, self.authorities

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme ss that has ShadowTLS in it."""
        return {"url": text} if claimed(text) else None

    @cached_property
    def parts(self) -> tuple[Disguise, Access]:
        """ShadowTLS, and the Shadowsocks inside it, read once."""
        found, link = read(self.url)
        access = from_link(link)
        if access.plugin:
            raise SPOT.wrong("has another plugin: nothing stands behind two", "leave one out")
        if found is None:
            return disguise(self.name, self.password, over_tcp=self.over_tcp), access
        if self.name or self.password:
            problem = "the link says already how it is disguised"
            raise SPOT.wrong(problem, "leave it out", "name")
        return found, access

    @cached_property
    def authorities(self) -> str:
        """The certificates that the site's has to come from, "" for the machine's own."""
        return authorities("shadowtls", self.ca, self.ca_text)

    @property
    def carries(self) -> frozenset[Transport]:
        """TCP, and UDP where a stream takes it along."""
        return BOTH if self.over_tcp or self.parts[0].over_tcp else STREAMS

    def notes(self) -> tuple[str, ...]:
        """What of the link is not honoured, or is not as safe as it seems, in words."""
        around = (
            "UDP would go around ShadowTLS, so only TCP is carried; over_tcp = true carries it in a"
            " stream, if the server knows that",
        )
        told = () if Transport.UDP in self.carries else around
        return (*self.parts[0].notes, *self.parts[1].notes, *told)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[SingBoxPath]:
        """Start sing-box; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when
        sing-box does not run, EnvironmentUnfit when it is not installed.
        """
        hidden, access = self.parts
        host, port = hidden.server or (access.host, access.port)
        tls: dict[str, Any] = {"enabled": True, "server_name": hidden.name}
        if hidden.insecure:
            tls["insecure"] = True
        outer = {
            "type": "shadowtls",
            "tag": _DISGUISE,
            "server": host,
            "server_port": port,
            "version": 3,
            "password": hidden.password,
            "tls": tls,
        }
        inner: dict[str, Any] = {
            "type": "shadowsocks",
            "method": access.method,
            "password": access.password,
            "detour": _DISGUISE,
        }
        if Transport.UDP in self.carries:
            inner["udp_over_tcp"] = {"enabled": True, "version": 2}
        else:
            inner["network"] = "tcp"
        async with sing_box(
            underlay,
            inner,
            self.exits,
            self.patience,
            name="shadowtls",
            behind=[believing(outer, self.authorities)],
            carries=self.carries,
        ) as path:
            yield path
