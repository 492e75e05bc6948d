"""`vmess://`, `vless://` and `trojan://` links, as values.

VMess has two forms: base64 of JSON (v2rayN's, the second version, which nearly everybody has) and
the one of VLESS.  It refuses Shadowrocket's and Quantumult's forms, which are other languages.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from circumtest.sharelink import Spot, decoded, host_of, port_of, server, shown, take_apart
from circumtest.sharelink.outbound import Outbound, outbound

SPOTS = {
    "vmess": Spot(
        "vmess", 'vmess:// and base64 of {"v":"2","add":"host","port":443,"id":"UUID",…}'
    ),
    "vless": Spot("vless", "write it like vless://UUID@host:443?security=tls"),
    "trojan": Spot("trojan", "write it like trojan://password@host:443?sni=name"),
}

# v2rayN's names (Wiki, "Description of VMess share link"), and those of the other links.
_NAMES = {
    "net": "type",
    "type": "headerType",
    "tls": "security",
    "scy": "encryption",
    "security": "encryption",
    "sni": "sni",
    "alpn": "alpn",
    "fp": "fp",
    "aid": "aid",
    "pcs": "pcs",
    "vcn": "vcn",
    "host": "host",
    "path": "path",
    "allowInsecure": "allowInsecure",
    "insecure": "allowInsecure",
    "skip-cert-verify": "allowInsecure",
    "seed": "seed",
}
_OWN = ("v", "add", "port", "id")
_LABELS = ("ps", "remark", "class")


def claimed(text: str, scheme: str) -> bool:
    """Whether `text` is a link with that scheme."""
    return text.lower().startswith(f"{scheme}://") and not re.search(r"\s", text.strip())


def read(url: str, protocol: str) -> Outbound:
    """The server that `url` leads to.  Raises ConfigError, which tells no secret."""
    spot = SPOTS[protocol]
    if protocol == "vmess" and "@" not in url.partition("#")[0]:
        return _vmess(url, spot)
    link = take_apart(url, (protocol,), spot)
    if link.path not in ("", "/"):
        raise spot.wrong("has something behind the port", "a path is a parameter: path=%2Fws")
    return outbound(protocol, server(link, spot), link.secret, link.query, spot)


def _vmess(url: str, spot: Spot) -> Outbound:
    scheme, colon, body = url.strip().partition("://")
    if scheme.lower() != "vmess" or not colon:
        raise spot.wrong("is no VMess link")
    given = _json(body.partition("#")[0].partition("?")[0], spot)
    if given.get("v", "2") not in ("2", ""):
        raise spot.wrong("is of another version", '"v": "2"')
    host = host_of(given.get("add", ""), spot)
    port = port_of(given.get("port", ""), spot)
    return outbound("vmess", (host, port), given.get("id", ""), _query(given, spot), spot)


def _json(body: str, spot: Spot) -> dict[str, str]:
    try:
        text = decoded(body).decode("utf-8")
    except ValueError:
        problem = "what stands behind vmess:// is not base64"
        raise spot.wrong(problem, "copy it again, from the first to the last character") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise spot.wrong("what stands behind vmess:// is not base64 of JSON") from None
    return {key: _text(key, value, spot) for key, value in found.items()}


def _text(key: str, value: Any, spot: Spot) -> str:
    """A value as a link would have it: programs write numbers as numbers, and as text."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case str():
            return value.strip()
        case int():
            return str(value)
        case float() if value.is_integer():
            return str(int(value))
        case list() if all(isinstance(one, str) for one in value):
            return ",".join(value)
    raise spot.wrong(f"its {shown(key)} is neither text nor a number")


def _query(given: Mapping[str, str], spot: Spot) -> dict[str, str]:
    query: dict[str, str] = {}
    for key, value in given.items():
        if key in _OWN or key in _LABELS or not value:
            continue
        name = _NAMES.get(key, key)
        if query.get(name, value) != value:
            raise spot.wrong(f"says two things of {name}", f"leave {shown(key)} out")
        query[name] = value
    # Its few names mean different things with each transport.
    match query.get("type"):
        case "kcp" | "mkcp" if "path" in query:
            query["seed"] = query.pop("path")
        case "quic":
            query["quicSecurity"], query["key"] = query.pop("host", ""), query.pop("path", "")
        case "grpc":
            query["mode"], query["serviceName"] = query.pop("headerType", ""), query.pop("path", "")
            query["authority"] = query.pop("host", "")
        case "xhttp" | "splithttp" if query.get("headerType") not in (None, "none"):
            query["mode"] = query.pop("headerType")
    return query
