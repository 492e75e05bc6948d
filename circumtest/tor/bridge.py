"""Bridge lines as people are given them: `Bridge obfs4 IP:PORT FINGERPRINT cert=… iat-mode=0`.

As values, with what cannot be right refused; no message repeats a line, whose `cert` is a secret.
It refuses names in place of addresses, as tor does.  Sources: tor(1), `Bridge`; the pluggable
transport specification, version 1, section 3.5.
"""

import ipaddress
import re
from dataclasses import dataclass, field

from circumtest.errors import ConfigError
from circumtest.model import Address

OBFS4 = "obfs4"
EXAMPLE = "write it like: Bridge obfs4 192.0.2.1:443 FINGERPRINT cert=... iat-mode=0"

_OTHERS = ("webtunnel", "snowflake", "meek", "meek_lite", "conjure", "obfs2", "obfs3", "fte")
"""Transports that bridges have and that no program of ours speaks."""
_FINGERPRINT = re.compile(r"\$?([0-9A-Fa-f]{40})")
_CERT = re.compile(r"[A-Za-z0-9+/]{70}")  # 20 + 32 bytes, base64 without its padding
_TRANSPORT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BACKSLASH = "\\"
_LINE = re.compile(
    rf"(?:(?:{'|'.join((OBFS4, *_OTHERS))})\s+)?(?:\[[0-9A-Fa-f:.]+\]|[0-9.]+):\d+(?:\s|$)",
    re.IGNORECASE,
)


class OtherTransport(Exception):
    """A bridge that is one, and that speaks what nobody here does: its transport."""


@dataclass(frozen=True)
class Bridge:
    """A bridge: `transport` is "" or OBFS4; `arguments` are in the line's order.

    The fingerprint is 40 upper-case digits, or "" where the line has none.
    """

    transport: str
    address: Address
    fingerprint: str = field(repr=False)
    arguments: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def line(self) -> str:
        """As torrc has it, without the keyword."""
        words = [self.transport, str(self.address), self.fingerprint]
        return " ".join([*filter(None, words), *(f"{key}={what}" for key, what in self.arguments)])

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return (self.fingerprint, *(what for _, what in self.arguments))


def is_bridge(line: str) -> bool:
    """Whether a line looks like a bridge's, without the keyword."""
    return _LINE.match(line) is not None


def parse(line: str, where: str, place: str) -> Bridge:
    """A bridge from its line, without the keyword.

    Raises OtherTransport for one that no program here speaks, ConfigError for what is no bridge.
    """
    words = line.split()
    transport = ""
    if words and _TRANSPORT.fullmatch(words[0]):
        transport = words.pop(0).lower()
        if transport in _OTHERS:
            raise OtherTransport(transport)
        if transport != OBFS4:
            raise ConfigError(where, place, "names no transport that is known", EXAMPLE)
    if not words:
        raise ConfigError(where, place, "has no address of a bridge", EXAMPLE)
    address = _address(words.pop(0), where, place)
    fingerprint = ""
    if words and "=" not in words[0]:
        found = _FINGERPRINT.fullmatch(words.pop(0))
        if not found:
            raise ConfigError(where, place, "has a fingerprint that is not 40 digits", EXAMPLE)
        fingerprint = found[1].upper()
    arguments = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(where, place, "has a word that is no key=value", EXAMPLE)
        arguments.append((key, value))
    _check(transport, dict(arguments), len(arguments), where, place)
    return Bridge(transport, address, fingerprint, tuple(arguments))


def encoded(arguments: tuple[tuple[str, str], ...]) -> str:
    """Arguments as a SOCKS login carries them (pt-spec version 1, section 3.5)."""

    return ";".join(
        f"{_escaped(key).replace('=', _BACKSLASH + '=')}={_escaped(value)}"
        for key, value in arguments
    )


def _escaped(text: str) -> str:
    return text.replace(_BACKSLASH, 2 * _BACKSLASH).replace(";", _BACKSLASH + ";")


def _check(transport: str, given: dict[str, str], count: int, where: str, place: str) -> None:
    if len(given) != count:
        raise ConfigError(where, place, "has a key twice", EXAMPLE)
    if not transport:
        if given:
            problem = "has arguments, and names no transport that they are for"
            raise ConfigError(where, place, problem, EXAMPLE)
        return
    if "node-id" in given or "public-key" in given:
        problem = "has node-id and public-key, the form before 2015"
        raise ConfigError(where, place, problem, "its newer form has cert=...")
    if "cert" not in given:
        raise ConfigError(where, place, "has no cert, without which obfs4 is not spoken", EXAMPLE)
    if not _CERT.fullmatch(given["cert"].rstrip("=")):
        problem = "has a cert that is not 70 characters of base64"
        raise ConfigError(where, place, problem, "was it cut off when it was copied?")
    if given.get("iat-mode", "0") not in ("0", "1", "2"):
        raise ConfigError(where, place, "has an iat-mode that is not 0, 1 or 2", EXAMPLE)


def _address(word: str, where: str, place: str) -> Address:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})", word)
    if found and 0 < int(found[3]) < 65536:
        try:
            version = ipaddress.IPv6Address if found[1] else ipaddress.IPv4Address
            return Address(str(version(found[1] or found[2])), int(found[3]))
        except ValueError:
            pass
    problem = "has no IP address with a port from 1 to 65535 (names are not taken)"
    raise ConfigError(where, place, problem, EXAMPLE)
