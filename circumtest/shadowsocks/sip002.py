"""Shadowsocks access as people hand it on: `ss://` links (SIP002, the older form, Outline's), JSON.

Values out of text, nothing more.  It refuses stream ciphers, plugins that are not known, and what
would change the bytes on the wire without being carried out; a message never repeats the password.
"""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from circumtest.errors import ConfigError
from circumtest.shadowsocks.sip003 import plugin_of

EXAMPLE = "write it like ss://method:password@host:8388"

AEAD = (
    "aes-128-gcm",
    "aes-192-gcm",
    "aes-256-gcm",
    "chacha20-ietf-poly1305",
    "xchacha20-ietf-poly1305",
)
"""SIP004, and XChaCha20, which shadowsocks-libev has besides."""
BLAKE3 = {
    "2022-blake3-aes-128-gcm": 16,
    "2022-blake3-aes-256-gcm": 32,
    "2022-blake3-chacha20-poly1305": 32,
}
"""SIP022, with the octets of a key."""
_ALIASES = {
    "chacha20-poly1305": "chacha20-ietf-poly1305",
    "aead_chacha20_poly1305": "chacha20-ietf-poly1305",
    "aead_aes_128_gcm": "aes-128-gcm",
    "aead_aes_256_gcm": "aes-256-gcm",
}
_STREAM = re.compile(
    r"(rc4|rc4-md5|salsa20|chacha20|chacha20-ietf|xchacha20|bf-cfb|table"
    r"|(aes|camellia)-\d{3}-(cfb\d*|ctr|ofb))"
)
_OPEN = ("none", "plain", "dummy")

_IDLE: tuple[str, ...] = (
    "tag",
    "group",
    "remarks",
    "name",
    "id",
    "outline",
    "tfo",
    "timeout",
    "fast_open",
)
_IDLE += ("reuse_port", "no_delay", "ipv6_first", "use_syslog", "nofile", "workers", "mptcp")
_IDLE += ("local_address", "local_port", "local", "nameserver", "mtu", "version", "plugin_args")
"""Keys of links and files that change nothing of what goes to the server."""
_OWN = ("server", "server_port", "password", "method", "plugin", "plugin_opts", "mode")


@dataclass(frozen=True)
class Access:
    """One server: `host` is a name or an address, `plugin` and `options` are sip003's.

    `udp` is false where the file says so; `notes` are what is not honoured.
    """

    host: str
    port: int
    method: str
    password: str = field(repr=False)
    plugin: str = ""
    options: str = ""
    udp: bool = True
    notes: tuple[str, ...] = ()


def is_file(text: str) -> bool:
    """Whether `text` is a JSON file of a Shadowsocks client, or of its subscriptions (SIP008)."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if isinstance(read, dict) and isinstance(read.get("servers"), list) and read["servers"]:
        read = read["servers"][0]
    return isinstance(read, dict) and {"server", "server_port", "password", "method"} <= set(read)


def from_link(link: str) -> Access:
    """Of an `ss://` link.  Raises ConfigError; `ssconf://` is told what to do with."""
    where, place = "shadowsocks", "key `url`"
    scheme, _, rest = link.strip().partition("://")
    if scheme.lower() == "ssconf":
        remedy = "open it with https:// instead of ssconf://, and give what it answers with"
        raise ConfigError(where, place, "names a place where a key is fetched, not a key", remedy)
    if scheme.lower() != "ss" or not rest:
        raise ConfigError(where, place, "is no Shadowsocks link", EXAMPLE)
    body, _, query = rest.partition("#")[0].partition("?")
    body = body.rstrip("/")
    if "@" not in body:  # the form before SIP002: all of it is base64
        body = _base64(body, where, place)
        login, _, server = body.rpartition("@")
        method, colon, password = login.partition(":")
    else:
        login, _, server = body.rpartition("@")
        if ":" not in login and ":" not in (login := unquote(login)):
            method, colon, password = _base64(login, where, place).partition(":")
        else:
            method, colon, password = (unquote(part) for part in login.partition(":"))
    if not colon:
        raise ConfigError(where, place, "has no method and password", EXAMPLE)
    host, port = _server(server, where, place)
    asked = dict(_pairs(query))
    notes = _unhonoured(asked, ("plugin",), where, place)
    plugin, _, options = asked.get("plugin", "").partition(";")
    return _access((host, port), method, password, (plugin, options), notes, (where, place))


def from_file(text: str, where: str) -> Access:
    """Of a JSON file named `where`.  Raises ConfigError."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(where, "", "is not JSON", "a Shadowsocks client's file") from None
    if isinstance(read, dict) and isinstance(read.get("servers"), list):
        if len(read["servers"]) != 1:
            problem = f"holds {len(read['servers'])} servers"
            raise ConfigError(where, "key `servers`", problem, "leave the one that is meant")
        read = read["servers"][0]
    if not isinstance(read, dict):
        raise ConfigError(where, "", "is no Shadowsocks configuration", f"keys {', '.join(_OWN)}")
    for key in ("method", "password"):
        _text(read, key, where, missing="is missing")
    plugin, options = _text(read, "plugin", where), _text(read, "plugin_opts", where)
    notes = _unhonoured(read, _OWN, where, "")
    mode = _text(read, "mode", where) or "tcp_and_udp"
    if mode not in ("tcp_only", "tcp_and_udp"):
        remedy = "tcp_only or tcp_and_udp"
        raise ConfigError(where, "key `mode`", "is not carried out", remedy)
    return _access(
        _named(read, where),
        _text(read, "method", where),
        _text(read, "password", where),
        (plugin, options),
        notes,
        (where, ""),
        udp=mode == "tcp_and_udp",
    )


def _access(
    server: tuple[str, int],
    method: str,
    password: str,
    extra: tuple[str, str],
    notes: tuple[str, ...],
    spot: tuple[str, str],
    udp: bool = True,
) -> Access:
    method = _method(method, *spot)
    if not password or "\0" in password:
        raise ConfigError(*spot, "has no password", EXAMPLE)
    if method in BLAKE3:
        _check_keys(method, password, spot)
    plugin, options, more = plugin_of(*extra, *spot)
    return Access(*server, method, password, plugin, options, udp, (*notes, *more))


def _method(method: str, where: str, place: str) -> str:
    method = _ALIASES.get(method.lower(), method.lower())
    if method in AEAD or method in BLAKE3:
        return method
    if _STREAM.fullmatch(method):
        problem = f"{method} is a stream cipher: whoever is in between can read and change it"
        raise ConfigError(where, place, problem, f"let the server use {AEAD[3]}")
    if method in _OPEN:
        raise ConfigError(where, place, "its method encrypts nothing", f"use {AEAD[3]}")
    # What is not known may be a piece of a password: not repeated.
    raise ConfigError(where, place, "unknown method", f"one of {', '.join((*AEAD, *BLAKE3))}")


def _check_keys(method: str, password: str, spot: tuple[str, str]) -> None:
    """SIP022: one or more keys (for a server with many users) of the method's length."""
    for key in password.split(":"):
        try:
            length = len(base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            length = -1
        if length != BLAKE3[method]:
            problem = f"the password of {method} is base64 of {BLAKE3[method]} octets"
            raise ConfigError(*spot, problem, f"openssl rand -base64 {BLAKE3[method]}")


def _unhonoured(
    given: Mapping[str, Any], own: tuple[str, ...], where: str, place: str
) -> tuple[str, ...]:
    for key in given:
        spot = place or f"key `{key}`"
        if key == "prefix":
            problem = "asks for a prefix (Outline's disguise), which shadowsocks-libev cannot send"
            raise ConfigError(where, spot, problem, "a key without it would be another protocol")
        if key not in own and key not in _IDLE:
            problem = f"{key[:20]!r} is not known here, and may change where packets go"
            raise ConfigError(where, spot, problem, "take it out if it does not")
    told = sorted(set(given) & {"plugin_args", "nameserver", "mtu", "timeout", "tfo", "fast_open"})
    return tuple(f"{key}: ignored" for key in told)


def _pairs(query: str) -> list[tuple[str, str]]:
    """The query's keys and values.  A `+` is itself: SIP002 says percent-encoding."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(key), unquote(value)) for key, _, value in parts]


def _server(text: str, where: str, place: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*):(\d{1,5})", text, re.ASCII)
    if not found:
        raise ConfigError(where, place, "has no host and port", EXAMPLE)
    return _host(found[1].strip("[]"), where, place), _port(found[2], where, place)


def _named(read: Mapping[str, Any], where: str) -> tuple[str, int]:
    server = read.get("server")
    if isinstance(server, list) and len(server) == 1:
        server = server[0]
    if not isinstance(server, str):
        raise ConfigError(where, "key `server`", "is not one host", "a name or an address")
    port = read.get("server_port")
    if isinstance(port, bool) or not isinstance(port, int | str):
        port = ""
    return (
        _host(server, where, "key `server`"),
        _port(str(port), where, "key `server_port`"),
    )


def _host(host: str, where: str, place: str) -> str:
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ConfigError(where, place, "has a malformed IPv6 address") from None
    if not re.fullmatch(r"[0-9A-Za-z_]([0-9A-Za-z._-]{0,251}[0-9A-Za-z.])?", host):
        raise ConfigError(where, place, "has no host", EXAMPLE)
    return host


def _port(text: str, where: str, place: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise ConfigError(where, place, "has no port from 1 to 65535", EXAMPLE)
    return int(text)


def _base64(text: str, where: str, place: str) -> str:
    """Base64, the one for URLs or the usual one, with or without its padding."""
    bare = unquote(text).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        return raw.decode("utf-8")
    except ValueError:  # binascii.Error is one, UnicodeDecodeError too
        problem = "what stands before the host is not base64 of method:password"
        raise ConfigError(where, place, problem, EXAMPLE) from None


def _text(read: Mapping[str, Any], key: str, where: str, missing: str = "") -> str:
    value = read.get(key, "")
    value = "" if value is None else value
    if not isinstance(value, str):
        raise ConfigError(where, f"key `{key}`", "is not text")
    if missing and not value:
        raise ConfigError(where, f"key `{key}`", missing)
    return value
