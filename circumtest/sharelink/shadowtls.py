"""ShadowTLS in the links of Shadowsocks: no page defines it, clients write it in two ways.

As a plugin of SIP002 (`plugin=shadow-tls;host=NAME;password=…;version=3`; the program itself has
`passwd` and `v3`), or as a parameter of its own (`shadow-tls=` and base64 of JSON, Shadowrocket's).
What is left when it is taken out is a Shadowsocks link.  It refuses versions 1 and 2, which a
censor can tell from TLS, and a link that does not say which it is.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from circumtest.sharelink import Spot, decoded, flag, host_of, pairs, port_of, shown

SPOT = Spot(
    "shadowtls",
    "write it like ss://…@host:443/?plugin=shadow-tls%3Bhost%3DNAME%3Bpassword%3D…%3Bversion%3D3",
)
_NAMES = ("shadow-tls", "shadowtls")
_OVER_TCP = ("uot", "udp-over-tcp")
_ALIASES = {"passwd": "password", "sni": "host", "skip-cert-verify": "insecure"}
_KNOWN = ("host", "password", "version", "v3", "insecure", "address", "port")
_TUNING = ("fast-open", "fastopen", "tfo", "alpn", "fp", "client-fingerprint", "strict")


@dataclass(frozen=True)
class Disguise:
    """`name` is whom it claims to be, `server` where it stands if that is not Shadowsocks' place.

    With `over_tcp` datagrams go through it, in a stream; they would go around it otherwise.
    """

    name: str = field(repr=False)
    password: str = field(repr=False)
    server: tuple[str, int] | None = field(default=None, repr=False)
    insecure: bool = False
    over_tcp: bool = False
    notes: tuple[str, ...] = ()


def claimed(text: str) -> bool:
    """Whether `text` is a Shadowsocks link with ShadowTLS in it."""
    scheme, colon, rest = text.strip().partition("://")
    if not colon or scheme.lower() != "ss" or re.search(r"\s", text.strip()):
        return False
    query = rest.partition("#")[0].partition("?")[2]
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key in _NAMES or (key == "plugin" and unquote(value).partition(";")[0] in _NAMES):
            return True
    return False


def read(url: str) -> tuple[Disguise | None, str]:
    """The disguise, None where there is none, and the link without it.  Raises ConfigError."""
    bare, hash_, name = url.strip().partition("#")
    head, _, query = bare.partition("?")
    given = pairs(query, SPOT)
    over_tcp = any(flag(given, key, SPOT) for key in _OVER_TCP)
    options: dict[str, str] = {}
    kind, _, rest = given.get("plugin", "").partition(";")
    found = kind in _NAMES
    if found:
        options = _options(rest)
    for key in set(_NAMES) & set(given):
        if found:
            raise SPOT.wrong("says twice how it is disguised", "leave one out")
        found, options = True, _json(given[key])
    left = [
        part
        for part in query.split("&")
        if part
        and unquote(part.partition("=")[0]) not in (*_NAMES, *_OVER_TCP)
        and not (found and unquote(part.partition("=")[0]) == "plugin" and kind in _NAMES)
    ]
    link = head + ("?" + "&".join(left) if left else "") + hash_ + name
    return (_disguise(options, over_tcp) if found else None), link


def disguise(
    name: str, password: str, *, over_tcp: bool, server: tuple[str, int] | None = None
) -> Disguise:
    """Of its parts.  Raises ConfigError naming the key."""
    if not password or "\0" in password:
        raise SPOT.wrong("ShadowTLS has no password", "what the server was given", "password")
    if not name:
        problem = "ShadowTLS does not say whom it claims to be"
        raise SPOT.wrong(problem, "the name that the server was given, like www.example.com")
    return Disguise(host_of(name, SPOT), password, server, over_tcp=over_tcp)


def _disguise(options: dict[str, str], over_tcp: bool) -> Disguise:
    given: dict[str, str] = {}
    notes = []
    for key, value in options.items():
        name = _ALIASES.get(key, key)
        if name in _TUNING:
            notes.append(f"plugin option {key}: ignored")
        elif name not in _KNOWN:
            raise SPOT.wrong(f"ShadowTLS has no option {shown(key)}", f"known: {', '.join(_KNOWN)}")
        else:
            given[name] = value
    version = given.get("version", "3" if given.get("v3", "0") != "0" else "")
    if version != "3":
        problem = "does not say its version of ShadowTLS" if not version else "is not version 3"
        remedy = "version=3; the versions before it can be told from TLS, and are not spoken here"
        raise SPOT.wrong(problem, remedy)
    server = None
    if given.get("address") or given.get("port"):
        server = (host_of(given.get("address", ""), SPOT), port_of(given.get("port", ""), SPOT))
    found = disguise(
        given.get("host", ""), given.get("password", ""), over_tcp=over_tcp, server=server
    )
    insecure = flag(given, "insecure", SPOT)
    if insecure:
        notes.append("skip-cert-verify: the certificate of the site that it claims is not verified")
    return Disguise(
        found.name, found.password, found.server, insecure, over_tcp, notes=tuple(notes)
    )


def _options(text: str) -> dict[str, str]:
    """SIP003's: `key=value`s between semicolons, a backslash before what is meant as it is."""
    found = {}
    for option in re.findall(r"(?:\\.|[^;\\])+", text):
        key, equals, value = option.partition("=")
        found[key] = re.sub(r"\\(.)", r"\1", value) if equals else "1"
    return found


def _json(text: str) -> dict[str, str]:
    try:
        found: Any = json.loads(decoded(text).decode("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(value, str | int) for value in found.values()
    ):
        raise SPOT.wrong("what its shadow-tls says is not base64 of JSON")
    return {key: str(value) for key, value in found.items()}
