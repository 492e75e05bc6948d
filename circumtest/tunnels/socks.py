"""SOCKS4, 4a and 5 proxies: `socks5://user:password@host:port`.

A proxy that lets us in has proved nothing about what it carries: the control that every block plays
does.  It refuses HTTP proxies and names of targets, which circumtest has none of.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from circumtest.errors import ConfigError, TunnelDown
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.path.resolve import resolve
from circumtest.path.socks import SocksPath, SocksProxy, Version
from circumtest.registry import suggest

_SCHEMES = {
    "socks4": Version.SOCKS4,
    "socks4a": Version.SOCKS4,
    "socks5": Version.SOCKS5,
    "socks5h": Version.SOCKS5,
}
"""The `a` and the `h` mean that the proxy resolves names; all targets here are addresses."""

_EXAMPLE = "write it like socks5://user:password@host:1080"


class _Url(NamedTuple):
    version: Version
    host: str
    port: int
    user: str
    password: str


@dataclass(frozen=True)
class Socks:
    """A proxy by URL.  `patience` is how many seconds reaching it and logging in may take.

    `exits` are the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from what is not a proxy's URL; the message tells no password.
    """

    url: str = field(repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patience > 0:
            raise _wrong("is not a number of seconds above 0", "", key="patience")
        _ = self.parts

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with one of the schemes."""
        scheme, colon, _ = text.partition("://")
        ours = colon and scheme.lower() in _SCHEMES and "\n" not in text
        return {"url": text} if ours else None

    @cached_property
    def parts(self) -> _Url:
        """The URL taken apart, with what cannot be right refused."""
        try:
            split = urlsplit(self.url)
            port = split.port
        except ValueError:
            raise _wrong("has no port from 1 to 65535, or a malformed address", _EXAMPLE) from None
        if not split.netloc:
            raise _wrong("is no URL of a proxy", _EXAMPLE)
        if split.scheme not in _SCHEMES:
            raise _wrong(f"unknown scheme {split.scheme!r}", suggest(split.scheme, _SCHEMES))
        if not split.hostname or not re.fullmatch(r"[0-9A-Za-z._:-]+", split.hostname):
            raise _wrong("has no host", _EXAMPLE)
        if not port:
            raise _wrong("has no port from 1 to 65535", _EXAMPLE)
        if split.path not in ("", "/") or split.query or split.fragment:
            raise _wrong("has something behind the port", _EXAMPLE)
        user, password = unquote(split.username or ""), unquote(split.password or "")
        version = _SCHEMES[split.scheme]
        _check_login(version, user, password)
        return _Url(version, split.hostname, port, user, password)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[SocksPath]:
        """Reach the proxy and log in.  Raises TunnelDown(HANDSHAKE) or TunnelDown(AUTH)."""
        version, host, port, user, password = self.parts
        try:
            address = await resolve(underlay, host, port, self.patience)
        except OSError as error:
            detail = f"cannot resolve {host}: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        path = SocksPath(
            underlay, SocksProxy(version, address, user, password), frozenset(self.exits)
        )
        await path.check(self.patience)
        yield path


def _check_login(version: Version, user: str, password: str) -> None:
    if version is Version.SOCKS4 and password:
        raise _wrong("SOCKS4 knows a user, but no password", "use socks5:// or leave it out")
    if version is Version.SOCKS5 and bool(user) != bool(password):
        raise _wrong("names only one of user and password", _EXAMPLE)
    # python-socks sends ASCII; RFC 1929 has one byte for each length.
    if not (user + password).isascii() or max(len(user), len(password)) > 255 or "\0" in user:
        raise _wrong("user and password are up to 255 ASCII characters", _EXAMPLE)


def _wrong(problem: str, remedy: str, key: str = "url") -> ConfigError:
    return ConfigError("socks", f"key `{key}`", problem, remedy)
