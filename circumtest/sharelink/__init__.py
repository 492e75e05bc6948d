"""Links by which people hand on access to a server: `scheme://secret@host:port?what=ever#name`.

This file takes any such link apart; what the parts mean is a file beside it, or the tunnel's own.
Text in, values out.  It refuses to guess: a parameter that is not known may change what is sent,
and then something else would be tested.  No message repeats what may be a secret.
"""

import base64
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from circumtest.errors import ConfigError
from circumtest.registry import suggest

IDLE = ("remarks", "name", "tag", "group", "udp", "tfo", "mptcp")
"""Parameters that change nothing of what is sent through the tunnel: labels, and wishes."""

_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")


class Spot(NamedTuple):
    """Whose link it is, for messages: the kind of tunnel, and what a right link looks like."""

    kind: str
    example: str

    def wrong(self, problem: str, remedy: str = "", key: str = "url") -> ConfigError:
        """The exception that says so."""
        return ConfigError(self.kind, f"key `{key}`", problem, remedy or self.example)


@dataclass(frozen=True)
class Link:
    """A link taken apart.  `login` and `authority` are as they were written, the rest is decoded.

    `authority` is what stands behind the `@`: `server` and `host_port` take it apart.
    """

    scheme: str
    login: str = field(repr=False)
    authority: str = field(repr=False)
    path: str
    query: Mapping[str, str] = field(repr=False)
    name: str = field(repr=False)

    @property
    def secret(self) -> str:
        """All of the login, for protocols that have one secret."""
        return unquote(self.login)

    @property
    def pair(self) -> tuple[str, str]:
        """User and password, the latter "" where there is no colon."""
        user, _, password = self.login.partition(":")
        return unquote(user), unquote(password)


def take_apart(url: str, schemes: Collection[str], spot: Spot) -> Link:
    """The parts of `url`, whose scheme is one of `schemes`.  Raises ConfigError.

    A `+` is itself: programs that make such links percent-encode (RFC 3986).
    """
    scheme, colon, rest = url.strip().partition("://")
    if not colon or not rest:
        raise spot.wrong("is no share link")
    if scheme.lower() not in schemes:
        raise spot.wrong("has another scheme", f"known: {', '.join(schemes)}")
    if any(ord(one) < 33 or ord(one) == 127 for one in rest.partition("#")[0]):
        raise spot.wrong("has a blank or a line break in it", "percent-encode it (%20)")
    rest, _, name = rest.partition("#")
    rest, _, query = rest.partition("?")
    login, _, behind = rest.rpartition("@")
    authority, slash, path = behind.partition("/")
    return Link(
        scheme.lower(), login, authority, unquote(slash + path), pairs(query, spot), unquote(name)
    )


def pairs(query: str, spot: Spot) -> dict[str, str]:
    """The parameters by name.  Raises ConfigError for one that is given twice."""
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        key = unquote(key)
        if key in found:
            raise spot.wrong(f"parameter {shown(key)} is given twice", "give it once")
        found[key] = unquote(value)
    return found


def server(link: Link, spot: Spot, default: int = 0) -> tuple[str, int]:
    """Host and port; `default` is the port where the link has none, 0 when it must have one."""
    host, port = host_port(link.authority, spot)
    return host, port_of(port, spot) if port or not default else default


def host_port(authority: str, spot: Spot) -> tuple[str, str]:
    """The host, checked, and the port as it is written, "" where there is none."""
    found = re.fullmatch(r"\[([^\[\]]*)\](?::([^:]*))?|([^:\[\]]*)(?::([^:]*))?", authority)
    if not found:
        remedy = "an IPv6 address stands in brackets: [2001:db8::1]:443"
        raise spot.wrong("has no host and port", remedy)
    host = found[1] if found[3] is None else found[3]
    return host_of(host, spot), found[2] or found[4] or ""


def host_of(host: str, spot: Spot) -> str:
    """A name or an address, as it may stand in a message to a resolver.  Raises ConfigError."""
    host = host.strip("[]")
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise spot.wrong("has a malformed IPv6 address") from None
    if not re.fullmatch(r"[0-9A-Za-z_]([0-9A-Za-z._-]{0,251}[0-9A-Za-z.])?", host):
        raise spot.wrong("has no host")
    return host


def port_of(text: str, spot: Spot) -> int:
    """A port from 1 to 65535.  Raises ConfigError."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise spot.wrong("has no port from 1 to 65535")
    return int(text)


def flag(query: Mapping[str, str], key: str, spot: Spot) -> bool:
    """A parameter that says yes or no; no where it is missing.  Raises ConfigError."""
    value = query.get(key, "").lower()
    if value not in (*_YES, *_NO):
        raise spot.wrong(f"parameter {key} is neither yes nor no", f"{key}=1 or {key}=0")
    return value in _YES


def choice(value: str, known: Collection[str], what: str, spot: Spot) -> str:
    """`value` if it is one of `known`.  Raises ConfigError with the nearest."""
    if value not in known:
        raise spot.wrong(f"unknown {what} {shown(value)}", suggest(value, known))
    return value


def unhonoured(
    query: Mapping[str, str], known: Collection[str], spot: Spot, idle: Collection[str] = IDLE
) -> tuple[str, ...]:
    """Notes about parameters that are left out and harmless.

    Raises ConfigError for one that is neither `known` nor `idle`: it may change what is sent.
    """
    for key in query:
        if key not in known and key not in idle:
            problem = f"parameter {shown(key)} is not known, and may change what is sent"
            raise spot.wrong(problem, suggest(key, known) + "; take it out if it does not")
    return tuple(f"parameter {key}: ignored" for key in query if key not in known)


def shown(word: str) -> str:
    """A word for a message, unless it might be (a piece of) a secret."""
    return repr(word) if _WORD.fullmatch(word) else "(not shown here)"


def decoded(text: str) -> bytes:
    """Base64, the usual one or the one for URLs, with or without its padding.

    Raises ValueError.
    """
    bare = unquote(text).translate(str.maketrans("-_", "+/")).rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
