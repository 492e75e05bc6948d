"""SOCKS behind TLS by stunnel: a client's service of a `stunnel.conf`, given as a file.

stunnel takes every connection before it has reached its server, so only an exchange with a far end
proves it.  It carries TCP: a SOCKS proxy's UDP would not go through TLS, but around it.  It refuses
to run anything, and other protocols before TLS.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from circumtest.errors import ConfigError
from circumtest.listening import free_port
from circumtest.localproxy import STREAMS, Local, LocalPath, local_proxy
from circumtest.netns import Netns
from circumtest.process import private_dir
from circumtest.stunnel.client import command, explain, reached
from circumtest.stunnel.conf import Service, is_stunnel, parse, read


@dataclass(frozen=True)
class Stunnel:
    """A client from a `stunnel.conf`, or from its `text`; one of the two is given.

    `service` names the one of several that leads to a SOCKS5 proxy, which wants `user` and
    `password` where they are given.  `patience` is how many seconds starting stunnel may take, and
    the proof after it.  `exits` are the addresses that the far end may see, empty when nobody
    knows.
    Raises ConfigError when made from a configuration that cannot be right.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    service: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError("stunnel", "key `config`", "name a stunnel.conf")
        if not self.patience > 0:
            raise ConfigError("stunnel", "key `patience`", "is not a number of seconds above 0")
        login = self.user + self.password
        if bool(self.user) != bool(self.password) or not login.isascii():
            problem = "user and password go together, in ASCII"
            raise ConfigError("stunnel", "key `user`", problem, "give both, or neither")
        if max(len(self.user), len(self.password)) > 255:  # RFC 1929 has one byte for each length
            raise ConfigError(
                "stunnel", "key `user`", "user and password have up to 255 characters"
            )
        _ = self.wrapper

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A configuration with a client's service."""
        return {"text": text} if is_stunnel(text) else None

    @cached_property
    def wrapper(self) -> Service:
        """The service, read once."""
        if self.text:
            return parse(self.text, "stunnel configuration", wanted=self.service)
        return read(self.config, self.service)

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, in words."""
        return self.wrapper.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[LocalPath]:
        """Start stunnel; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when
        stunnel does not run, EnvironmentUnfit when it is not installed.
        """
        service = self.wrapper
        servers = await reached(underlay, service, self.patience)
        with private_dir() as place:
            port = free_port(underlay)
            local = Local(
                "stunnel",
                command(service, servers, port, place, self.patience),
                port,
                STREAMS,
                explain=explain,
                secrets=(*service.secrets, self.user, self.password),
                user=self.user,
                password=self.password,
            )
            async with local_proxy(underlay, local, self.exits, self.patience) as path:
                yield path
