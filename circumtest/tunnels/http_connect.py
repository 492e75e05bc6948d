"""HTTP proxies: `http://user:password@host:port`, and `https://…` for TLS to the proxy.

They carry TCP by CONNECT; UDP is UNSUPPORTED.  The far end of an exchange proves one: a port that
is open, even with a certificate, proves nothing.  It refuses SOCKS, names of targets, and proxies
whose certificate is not to be trusted.
"""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from cryptography import x509

from circumtest.errors import ConfigError, TunnelDown
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.path.http import HttpPath, HttpProxy
from circumtest.path.resolve import resolve
from circumtest.registry import suggest

_SCHEMES = ("http", "https")
_EXAMPLE = "write it like http://user:password@host:8080"
_LONGEST = 1024
"""Octets of user and password: servers give a whole line of a request 8 KiB."""


class _Url(NamedTuple):
    tls: bool
    host: str
    port: int
    user: str
    password: str


@dataclass(frozen=True)
class HttpConnect:
    """A proxy by URL.  `patience` is how many seconds reaching it may take.

    Over TLS its certificate has to come from an authority of this machine, or from those of the
    PEM file `ca` (or of its content, `ca_text`) alone.  `exits` are the addresses that the far end
    may see, empty when nobody knows.
    Raises ConfigError when made from what is not a proxy's URL; the message tells no password.
    """

    url: str = field(repr=False)
    ca: str = field(default="", repr=False)
    ca_text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patience > 0:
            raise _wrong("is not a number of seconds above 0", "", key="patience")
        if self.ca and self.ca_text:
            raise _wrong("is given twice", "name a file, or give what it holds", key="ca")
        if not self.parts.tls and (self.ca or self.ca_text):
            raise _wrong("there is no certificate without TLS", "https:// in the URL", key="ca")
        _ = self.authorities

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with a port, and nothing behind it: others lead to pages."""
        found = re.fullmatch(r"https?://[^/?#\s]+:\d{1,5}/?", text, re.IGNORECASE)
        return {"url": text} if found else None

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
        _check_login(user, password)
        return _Url(split.scheme == "https", split.hostname, port, user, password)

    @cached_property
    def authorities(self) -> str:
        """The certificates that the proxy's has to come from, "" for the machine's own."""
        where, text = "http-connect", self.ca_text
        if self.ca:
            where = self.ca
            try:
                text = Path(self.ca).expanduser().read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(where, "", f"cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ConfigError(where, "", "is not text", "certificates in PEM") from None
        if text or self.ca:
            try:
                ssl.create_default_context(cadata=text)
                x509.load_pem_x509_certificates(text.encode())
            except (ssl.SSLError, ValueError):
                raise ConfigError(where, "key `ca`", "holds no certificate in PEM") from None
        return text

    def notes(self) -> tuple[str, ...]:
        """What will be in the way, in words."""
        if not self.authorities:
            return ()
        now = datetime.now(UTC)
        return tuple(
            f"a certificate of `ca` is over since {one.not_valid_after_utc:%Y-%m-%d}"
            for one in x509.load_pem_x509_certificates(self.authorities.encode())
            if one.not_valid_after_utc < now
        )

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[HttpPath]:
        """Reach the proxy, TLS included; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE).
        """
        tls, host, port, user, password = self.parts
        try:
            address = await resolve(underlay, host, port, self.patience)
        except OSError as error:
            detail = f"cannot resolve the proxy: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        context = ssl.create_default_context(cadata=self.authorities or None) if tls else None
        proxy = HttpProxy(address, user, password, context, host)
        path = HttpPath(underlay, proxy, frozenset(self.exits))
        await path.check(self.patience)
        yield path


def _check_login(user: str, password: str) -> None:
    if password and not user:
        raise _wrong("names only a password", _EXAMPLE)
    if ":" in user:
        raise _wrong("a user of HTTP's Basic login has no colon", "%3A stands for one too")
    login = user + password
    if len(login.encode()) > _LONGEST or any(ord(one) < 32 or ord(one) == 127 for one in login):
        raise _wrong(f"user and password are up to {_LONGEST} printable characters", _EXAMPLE)


def _wrong(problem: str, remedy: str, key: str = "url") -> ConfigError:
    return ConfigError("http-connect", f"key `{key}`", problem, remedy)
