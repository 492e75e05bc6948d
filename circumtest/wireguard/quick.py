"""wg-quick configuration files as values.  What cannot be right is a ConfigError, never a guess.

The file is read by the PyPI `wireguard-tools`, which skips whatever it does not know: a misspelt
key, an indented line, a section header with a comment behind it.  So every line is checked here
first and handed on in canonical form.  Commands (PostUp and its kind) are never run, and `notes`
says so.  Secrets never appear in a message.
"""

import binascii
import io
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from wireguard_tools import WireguardConfig

from circumtest.errors import ConfigError
from circumtest.registry import suggest

DEFAULT_MTU = 1420
"""What is left of 1500 under IPv6 and WireGuard; wg-quick asks the route to the endpoint."""

_AMNEZIA = re.compile(r"(jc|jmin|jmax|itime|[shij][1-9])", re.IGNORECASE)
_IGNORED = {
    "preup": "PreUp is not run: a test must not execute what a configuration file says",
    "postup": "PostUp is not run: a test must not execute what a configuration file says",
    "predown": "PreDown is not run: a test must not execute what a configuration file says",
    "postdown": "PostDown is not run: a test must not execute what a configuration file says",
    "saveconfig": "SaveConfig is not honoured: the file is only read",
    "table": "Table is not honoured: the namespace inside has routing tables of its own",
    "fwmark": "FwMark is not honoured: nothing in the underlay routes by it",
    "includedapplications": "IncludedApplications is not honoured: everything inside is tunnelled",
    "excludedapplications": "ExcludedApplications is not honoured: everything inside is tunnelled",
}


@dataclass(frozen=True)
class Peer:
    """A peer: raw 32-byte keys, `endpoint` as (IP address or name, port), networks as text."""

    public_key: bytes
    allowed_ips: tuple[str, ...] = ()
    endpoint: tuple[str, int] | None = None
    preshared_key: bytes | None = field(default=None, repr=False)
    keepalive: int = 0


@dataclass(frozen=True)
class Quick:
    """A whole configuration: `addresses` with their prefix, `notes` on what is not honoured."""

    private_key: bytes = field(repr=False)
    addresses: tuple[str, ...]
    peers: tuple[Peer, ...]
    mtu: int = DEFAULT_MTU
    listen_port: int = 0
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Line(NamedTuple):
    number: int
    section: str
    key: str
    value: str


def is_quick(text: str) -> bool:
    """Whether a file looks like wg-quick's, well-formed or not: for telling kinds apart."""
    return bool(re.search(r"^\s*\[Interface\]", text, re.I | re.M)) and "privatekey" in text.lower()


def is_amnezia(text: str) -> bool:
    """Whether it has a key that only AmneziaWG knows."""
    keys = (line.partition("=")[0].strip() for line in text.splitlines())
    return any(_AMNEZIA.fullmatch(key) for key in keys)


def parse(text: str, where: str) -> Quick:
    """The configuration in `text`; `where` is the file's name for messages.  Raises ConfigError."""
    lines = list(_lines(text, where))
    for line in lines:
        _check(line, where)
    _check_whole(lines, where)
    canonical, section = [], ""
    for line in lines:
        if line.section != section:
            section = line.section
            canonical.append(f"[{section.split()[0]}]")
        if line.key.lower() in _HONOURED[_kind(line)] and _plain(line):
            canonical.append(f"{line.key} = {_plain(line)}")
    read = WireguardConfig.from_wgconfig(io.StringIO("\n".join(canonical) + "\n"))
    return _quick(read, tuple(_notes(lines)))


def _quick(read: WireguardConfig, notes: tuple[str, ...]) -> Quick:
    peers = tuple(
        Peer(
            peer.public_key.keydata,
            tuple(str(item.network) for item in peer.allowed_ips),
            (str(peer.endpoint_host), peer.endpoint_port) if peer.endpoint_port else None,
            peer.preshared_key.keydata if peer.preshared_key else None,
            peer.persistent_keepalive or 0,
        )
        for peer in read.peers.values()
    )
    return Quick(
        read.private_key.keydata,
        tuple(map(str, read.addresses)),
        peers,
        read.mtu or DEFAULT_MTU,
        read.listen_port or 0,
        tuple(map(str, read.dns_servers)),
        tuple(read.search_domains),
        notes,
    )


def _lines(text: str, where: str) -> Iterator[_Line]:
    """Every assignment, comments and blanks gone, with the section (peers numbered) it is in."""
    section, peers = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            name = line.strip("[] \t").lower()
            if name == "peer":
                peers += 1
                section = f"Peer {peers}"
            elif name == "interface" and not section:
                section = "Interface"
            elif name == "interface":
                raise ConfigError(where, f"line {number}", "[Interface] comes first, and once")
            else:
                remedy = suggest(name.title(), ("Interface", "Peer"))
                raise ConfigError(where, f"line {number}", f"unknown section {line}", remedy)
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not section or not equals:
            problem = (
                "is before any section" if equals else "is neither a section nor `Key = value`"
            )
            raise ConfigError(where, f"line {number}", problem, "a file begins with [Interface]")
        yield _Line(number, section, key, value)


def _check(line: _Line, where: str) -> None:
    """One line by itself.  Raises ConfigError naming line, section and key."""
    key = line.key.lower()
    place = f"line {line.number}, [{_kind(line)}], key `{line.key}`"
    if _AMNEZIA.fullmatch(key):
        raise ConfigError(
            where,
            place,
            "is AmneziaWG's: plain WireGuard would be something else",
            "take it as kind amneziawg, or leave the kind to what the file holds",
        )
    if key in _IGNORED and _kind(line) == "Interface":
        return
    known = _HONOURED[_kind(line)]
    if key not in known:
        names = {name.lower(): name for name in _NAMES}
        other = {"Interface": "Peer", "Peer": "Interface"}[_kind(line)]
        remedy = (
            f"{names[key]} belongs under [{other}]"
            if key in _HONOURED[other]
            else suggest(line.key, [names[name] for name in known])
        )
        raise ConfigError(where, place, "is unknown there", remedy)
    try:
        known[key](line.value)
    except ValueError as error:
        raise ConfigError(where, place, str(error)) from None


def _check_whole(lines: list[_Line], where: str) -> None:
    """What only the whole file shows: missing keys, keys said twice, an MTU too small for IPv6."""
    by: dict[str, dict[str, str]] = {}
    for line in lines:
        keys, key = by.setdefault(line.section, {}), line.key.lower()
        if key in keys and key not in _LISTS and key not in _IGNORED:
            raise ConfigError(
                where, f"line {line.number}, [{_kind(line)}], key `{line.key}`", "is given twice"
            )
        keys[key] = keys.get(key, "") + line.value
    peers = [keys for section, keys in by.items() if section != "Interface"]
    if "privatekey" not in by.get("Interface", {}):
        raise ConfigError(where, "[Interface]", "`PrivateKey` is missing")
    if not by["Interface"].get("address"):
        raise ConfigError(where, "[Interface]", "`Address` is missing")
    if not any("endpoint" in peer for peer in peers):
        raise ConfigError(where, "[Peer]", "`Endpoint` is missing", "a client needs a server")
    public = [peer.get("publickey") for peer in peers]
    if None in public or len(set(public)) < len(public):
        raise ConfigError(where, "[Peer]", "every peer needs a `PublicKey` of its own")
    mtu = int(by["Interface"].get("mtu", DEFAULT_MTU))
    if ":" in by["Interface"]["address"] and mtu < 1280:
        raise ConfigError(where, "[Interface], key `MTU`", f"{mtu} is less than IPv6's 1280")


def _notes(lines: list[_Line]) -> Iterator[str]:
    seen = {line.key.lower() for line in lines if _kind(line) == "Interface"}
    yield from (note for key, note in _IGNORED.items() if key in seen)


def _kind(line: _Line) -> str:
    return line.section.split()[0]


def _plain(line: _Line) -> str:
    """The value as the library reads it: it knows no `off`, and no empty item of a list."""
    if line.key.lower() in _LISTS:
        return ", ".join(filter(None, map(str.strip, line.value.split(","))))
    return "0" if line.value.lower() == "off" else line.value


# ------------------------------------------------------------------ one value


def _key(value: str) -> None:
    try:
        raw = binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        raw = b""
    if len(value) != 44 or len(raw) != 32:
        raise ValueError("is not a WireGuard key: 44 characters of base64, which are 32 bytes")


def _number(low: int, high: int, *, off: bool = False) -> Callable[[str], None]:
    def check(value: str) -> None:
        if off and value.lower() == "off":
            return
        if not (value.isascii() and value.isdecimal()) or not low <= int(value[:9]) <= high:
            choice = f"a number from {low} to {high}" + (" or off" if off else "")
            raise ValueError(f"{value!r} is not {choice}")

    return check


def _networks(value: str) -> None:
    for item in filter(None, map(str.strip, value.split(","))):
        try:
            ipaddress.ip_interface(item)
        except ValueError:
            raise ValueError(f"{item!r} is not an IP address with an optional /prefix") from None


def _addresses(value: str) -> None:
    if not value:
        raise ValueError("is empty")
    _networks(value)


def _servers(value: str) -> None:
    for item in map(str.strip, value.split(",")):
        if not re.fullmatch(r"[0-9A-Za-z._:-]+", item):
            raise ValueError(f"{item!r} is neither an IP address nor a search domain")


def _endpoint(value: str) -> None:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+)):(\d+)", value, re.ASCII)
    if match is None:
        raise ValueError(f"{value!r} is not host:port, or [IPv6 address]:port")
    if match[1] or re.fullmatch(r"[\d.]+", match[2]):
        try:
            ipaddress.ip_address(match[1] or match[2])
        except ValueError:
            raise ValueError(f"{match[1] or match[2]!r} is not an IP address") from None
    if not 1 <= int(match[3][:9]) <= 0xFFFF:
        raise ValueError(f"port {match[3]} is not from 1 to 65535")


_HONOURED: dict[str, dict[str, Callable[[str], None]]] = {
    "Interface": {
        "privatekey": _key,
        "listenport": _number(0, 0xFFFF),
        "address": _addresses,
        "dns": _servers,
        "mtu": _number(576, 0xFFFF),
    },
    "Peer": {
        "publickey": _key,
        "presharedkey": _key,
        "allowedips": _networks,
        "endpoint": _endpoint,
        "persistentkeepalive": _number(0, 0xFFFF, off=True),
    },
}
_LISTS = ("address", "dns", "allowedips")
_NAMES = (
    *("PrivateKey", "ListenPort", "Address", "DNS", "MTU"),
    *("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"),
)
