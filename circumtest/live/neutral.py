"""Whom one asks what kind of network this is: neutral pages, servers, STUN, and what is listed.

Values and the reading of `configs/environment/*.toml`.  It refuses to hold fewer than three of what
decides: a single server that is dead must never look like a network.
"""

import datetime
import ipaddress
import re
import tomllib
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from circumtest import configs
from circumtest.errors import ConfigError

FEWEST = 3
"""Pages and servers that a file names at least."""

Port = Annotated[int, Meta(ge=1, le=65535)]
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Sourced(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is said of something, when and where it was read."""

    date: datetime.date
    source: str


class Page(Sourced, frozen=True, forbid_unknown_fields=True):
    """A page over plain HTTP: the status that is right, and a text that its body has, if any."""

    url: str
    status: int = 200
    body: str = ""

    @property
    def name(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    @property
    def place(self) -> str:
        """The path that is asked for."""
        return urlsplit(self.url).path or "/"


class Server(Sourced, frozen=True, forbid_unknown_fields=True):
    """A server that speaks TLS and shows a certificate for `name`; `addresses` need no resolver."""

    name: str
    port: Port = 443
    addresses: tuple[str, ...] = ()


class Stun(Sourced, frozen=True, forbid_unknown_fields=True):
    """A STUN server over UDP."""

    name: str
    port: Port = 3478
    addresses: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page: tuple[Page, ...]
    server: tuple[Server, ...]
    listed: tuple[Server, ...] = ()
    stun: tuple[Stun, ...] = ()


@dataclass(frozen=True)
class Neutral:
    """Whom to ask.  `listed` are what allow-lists let through."""

    pages: tuple[Page, ...]
    servers: tuple[Server, ...]
    listed: tuple[Server, ...] = ()
    stun: tuple[Stun, ...] = ()


def load(name: str = "neutral") -> Neutral:
    """A shipped file of `configs/environment`, or the person's own.  Raises ConfigError."""
    file = configs.find("environment", name)
    try:
        raw: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        read = msgspec.convert(raw, _File)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "", f"cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(file), "", f"is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(
            str(file), "", str(error), "see configs/environment/neutral.toml"
        ) from None
    for what, found in (("page", read.page), ("server", read.server)):
        if len(found) < FEWEST:
            problem = f"has {len(found)} [[{what}]]: one dead server must never decide"
            raise ConfigError(str(file), f"[[{what}]]", problem, f"name at least {FEWEST}")
    _check(str(file), read)
    return Neutral(read.page, read.server, read.listed, read.stun)


def _check(where: str, read: _File) -> None:
    for page in read.page:
        try:
            right = urlsplit(page.url).scheme == "http" and bool(page.name) and bool(page.port)
        except ValueError:
            right = False
        if not right:
            raise ConfigError(where, "key `url`", f"{page.url!r} is no http:// URL")
    named = [one.name for one in (*read.server, *read.listed)]
    for name in (*named, *(one.name for one in read.stun)):
        if not _NAME.fullmatch(name):
            raise ConfigError(where, "key `name`", f"{name!r} is no host name")
    numbers = [one.addresses for one in (*read.server, *read.listed)]
    for addresses in (*numbers, *(one.addresses for one in read.stun)):
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                problem = f"{address!r} is no IP address"
                raise ConfigError(where, "key `addresses`", problem, "names go to `name`") from None
