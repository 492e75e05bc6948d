"""strongSwan's profile for Android (`.sswan`): JSON that says how to reach an IKEv2 server.

It is what providers hand out.  The password of a user is never in it.  It refuses keys that nobody
knows, and kinds of login that are not supported: passing over them would test another thing.
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from circumtest import credentials
from circumtest.credentials import Identity, Place
from circumtest.errors import ConfigError
from circumtest.inside import EVERYTHING
from circumtest.registry import suggest

TYPES = {"ikev2-eap": "eap", "ikev2-byod-eap": "eap", "ikev2-cert": "cert"}
"""How a client shows who it is, by what profiles call it."""

_NAMES: dict[str, type | tuple[type, ...]] = {
    "uuid": str,
    "name": str,
    "type": str,
    "apps": list,
    "excluded-apps": list,
    "dns-servers": (str, list),
    "mtu": int,
    "nat-keepalive": int,
    "ike-proposal": str,
    "esp-proposal": str,
    "proxy": dict,
    "remote.addr": str,
    "remote.port": int,
    "remote.id": str,
    "remote.cert": str,
    "remote.certreq": bool,
    "remote.revocation": dict,
    "local.eap_id": str,
    "local.id": str,
    "local.p12": str,
    "local.shared_secret": str,
    "local.rsa-pss": bool,
    "split-tunneling.subnets": (str, list),
    "split-tunneling.excluded": (str, list),
    "split-tunneling.block-ipv4": bool,
    "split-tunneling.block-ipv6": bool,
}
"""docs.strongswan.org, "VPN Profile Import for the Android VPN Client"."""
_SECTIONS = ("remote", "local", "split-tunneling")

_NOT_HONOURED = {
    "apps": "everything inside goes through the tunnel",
    "excluded-apps": "everything inside goes through the tunnel",
    "remote.revocation": "certificates are not looked up with their authorities",
    "remote.certreq": "certificates are always asked for",
    "nat-keepalive": "it is 20 s",
    "local.rsa-pss": "both kinds of RSA signatures are offered",
}


@dataclass(frozen=True)
class Profile:
    """How to reach a server: `server` by name or address, `id` as it calls itself.

    `trusted` are authorities as PEM, `pinned` is the server's own certificate.  `user` is who logs
    in where `login` is "eap"; `identity` is who we are where it is "cert".  `routes` go through the
    tunnel.  "" and () mean that nothing is said.
    """

    server: str = field(repr=False)
    login: str
    id: str = field(default="", repr=False)
    port: int = 500
    trusted: str = field(default="", repr=False)
    pinned: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    local_id: str = field(default="", repr=False)
    identity: Identity | None = None
    ike: str = ""
    esp: str = ""
    dns: tuple[str, ...] = ()
    mtu: int | None = None
    routes: tuple[str, ...] = EVERYTHING
    notes: tuple[str, ...] = ()


def is_profile(text: str) -> bool:
    """Whether this is such a profile, right or wrong in its details."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(found, dict)
        and isinstance(found.get("type"), str)
        and found["type"].startswith("ikev2-")
        and isinstance(found.get("remote"), dict)
    )


def parse(text: str, where: str, password: str = "") -> Profile:
    """Read a profile; `password` opens the PKCS#12 archive in it.  Raises ConfigError."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            where, f"line {error.lineno}", f"is no JSON: {error.msg}", "a .sswan profile"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigError(where, "", "is no JSON", "a .sswan profile") from None
    if not isinstance(whole, dict):
        raise ConfigError(where, "", "is no .sswan profile", "a JSON object")
    said = _flat(whole, where)
    login = TYPES.get(said.get("type", ""))
    if login is None:
        kind = said.get("type")
        problem = f"the type {kind!r} is not supported" if kind else "is missing"
        known = f"known: {', '.join(TYPES)}"
        raise ConfigError(where, "key `type`", problem, known)
    trusted, pinned = _certificate(said.get("remote.cert", ""), where)
    identity = None
    if archive := said.get("local.p12", ""):
        place = Place(where, "key `local.p12`")
        data = credentials.unbase64(archive, place)
        identity = credentials.identity(data, b"", password, place)
        trusted = trusted or credentials.in_archive(data, password, place)
    return Profile(
        host(said.get("remote.addr", ""), where, "key `remote.addr`"),
        login,
        said.get("remote.id", ""),
        port(said.get("remote.port", 500), where, "key `remote.port`"),
        trusted,
        pinned,
        said.get("local.eap_id", ""),
        said.get("local.id", ""),
        identity,
        proposal(said.get("ike-proposal", ""), where, "key `ike-proposal`"),
        proposal(said.get("esp-proposal", ""), where, "key `esp-proposal`"),
        _addresses(said.get("dns-servers", ()), where, "key `dns-servers`"),
        mtu(said.get("mtu"), where, "key `mtu`"),
        _routes(said, where),
        _notes(said),
    )


def host(text: str, where: str, place: str) -> str:
    """A name or an address.  Raises ConfigError."""
    if not re.fullmatch(r"[\w.:-]+", text):
        raise ConfigError(where, place, "is no name or address of a server", "like vpn.example")
    return text


def port(number: int, where: str, place: str) -> int:
    """A port.  Raises ConfigError."""
    if not 0 < number < 65536:
        raise ConfigError(where, place, "is no port from 1 to 65535")
    return number


def mtu(octets: int | None, where: str, place: str) -> int | None:
    """An MTU for IPv6, as the app takes it.  Raises ConfigError."""
    if octets is not None and not 1280 <= octets <= 1500:
        raise ConfigError(where, place, "is no MTU from 1280 to 1500")
    return octets


def proposal(text: str, where: str, place: str) -> str:
    """Names of algorithms, "" for those that are usual.  Raises ConfigError."""
    if text and not re.fullmatch(r"[a-z0-9_]+(-[a-z0-9_]+)*(,[a-z0-9_-]+)*", text):
        problem = "is no proposal"
        raise ConfigError(where, place, problem, "like aes256-sha256-ecp256, with dashes")
    return text


def _flat(whole: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keys of sections behind a dot, each known and of its type."""
    said: dict[str, Any] = {}
    for name, value in whole.items():
        if name in _SECTIONS and isinstance(value, dict):
            said |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            said[name] = value
    for name, value in said.items():
        if name not in _NAMES:
            raise ConfigError(where, f"key `{name}`", "is unknown", suggest(name, _NAMES))
        wanted = _NAMES[name]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
            kinds = wanted if isinstance(wanted, tuple) else (wanted,)
            says = " or ".join(_WORDS[kind] for kind in kinds)
            raise ConfigError(where, f"key `{name}`", f"is not {says}")
        if isinstance(value, str) and name not in ("name", *_LONG) and not value.isprintable():
            raise ConfigError(where, f"key `{name}`", "has what cannot be printed in it")
    for name in ("proxy", "local.shared_secret"):
        if name in said:
            raise ConfigError(where, f"key `{name}`", "is not supported")
    return said


_LONG = ("remote.cert", "local.p12")
_WORDS = {
    str: "a text",
    list: "a list",
    int: "a number",
    bool: "true or false",
    dict: "an object",
}


def _certificate(text: str, where: str) -> tuple[str, str]:
    """An authority's, or the server's own."""
    if not text:
        return "", ""
    place = Place(where, "key `remote.cert`")
    data = text.encode() if "BEGIN" in text else credentials.unbase64(text, place)
    pem = credentials.authorities(data, place)
    return (pem, "") if credentials.is_authority(pem) else ("", pem)


def _routes(said: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """What goes through the tunnel; Android's app excludes by routing elsewhere."""
    place = "key `split-tunneling.excluded`"
    if _words(said.get("split-tunneling.excluded", ())):
        problem = "networks that stay out of the tunnel are not supported"
        raise ConfigError(where, place, problem, "`subnets` says what goes through it")
    place = "key `split-tunneling.subnets`"
    found = []
    for word in _words(said.get("split-tunneling.subnets", ())):
        try:
            found.append(str(ipaddress.ip_network(word, strict=False)))
        except ValueError:
            raise ConfigError(where, place, f"{word!r} is no network", "10.0.0.0/8") from None
    return tuple(found) or EVERYTHING


def _addresses(value: object, where: str, place: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_address(word)) for word in _words(value))
    except ValueError:
        raise ConfigError(where, place, "is no address") from None


def _words(value: object) -> tuple[str, ...]:
    """A list, or a text with blanks or commas between."""
    if isinstance(value, str):
        return tuple(re.split(r"[\s,]+", value.strip())) if value.strip() else ()
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()


def _notes(said: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [f"{key} is not honoured: {why}" for key, why in _NOT_HONOURED.items() if key in said]
    if said.get("type") == "ikev2-byod-eap":
        notes.append("the server's questions about the device (TNC) are not answered")
    return tuple(notes)
