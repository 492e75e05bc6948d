"""What links of Hysteria 2, TUIC and AnyTLS say, as sing-box's JSON: `Access`.

By the schemes' own pages where they have one (v2.hysteria.network, URI Scheme), and as clients
write them.  The server's certificate is verified unless the link says otherwise, which is told.  It
refuses what this build of sing-box does not speak: REALITY, other disguises than Salamander.
"""

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from circumtest.sharelink import (
    IDLE,
    Link,
    Spot,
    choice,
    flag,
    host_of,
    host_port,
    port_of,
    server,
    shown,
    take_apart,
    unhonoured,
)

SPOTS = {
    "hysteria2": Spot("hysteria2", "write it like hysteria2://password@host:443/?sni=name"),
    "tuic": Spot("tuic", "write it like tuic://UUID:password@host:443?congestion_control=bbr"),
    "anytls": Spot("anytls", "write it like anytls://password@host:443/?sni=name"),
}
SCHEMES = {"hysteria2": ("hysteria2", "hy2"), "tuic": ("tuic",), "anytls": ("anytls",)}
UNVERIFIED = "insecure: the server's certificate is not verified"

_ALIASES = {
    **dict.fromkeys(("peer", "servername"), "sni"),
    **dict.fromkeys(
        ("allowInsecure", "allow_insecure", "skip-cert-verify", "skip_cert_verify"), "insecure"
    ),
    **dict.fromkeys(("congestion_controller", "congestion-controller"), "congestion_control"),
    **dict.fromkeys(("udp-relay-mode",), "udp_relay_mode"),
    **dict.fromkeys(("disable-sni",), "disable_sni"),
    **dict.fromkeys(("reduce_rtt", "reduce-rtt", "zero_rtt_handshake"), "zero_rtt"),
    **dict.fromkeys(("mportHopInt", "hop_interval"), "hop-interval"),
    "obfs_password": "obfs-password",
}
_TLS = ("sni", "insecure", "alpn", "fp")
_SPEED = ("up", "down", "upmbps", "downmbps")
_HYSTERIA = ("obfs", "obfs-password", "pinSHA256", "mport", "hop-interval", *_SPEED)
_TUIC = ("congestion_control", "udp_relay_mode", "disable_sni", "zero_rtt")
_ANYTLS = ("security", "type")
_MORE_IDLE = (*IDLE, "fastopen", "fast-open")
_PORTS = re.compile(r"\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*", re.ASCII)
_DIGEST = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Access:
    """One server as an outbound of sing-box, without a tag; `notes` are what is not honoured."""

    outbound: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()


def claimed(text: str, kind: str) -> bool:
    """Whether `text` is a link of that kind of tunnel."""
    scheme, colon, _ = text.strip().partition("://")
    return bool(colon) and scheme.lower() in SCHEMES[kind] and not re.search(r"\s", text.strip())


def hysteria2(url: str) -> Access:
    """A `hysteria2://` or `hy2://` link.  Raises ConfigError, which tells no secret."""
    spot = SPOTS["hysteria2"]
    link, query, idle = _read(url, "hysteria2", (*_TLS, *_HYSTERIA))
    host, written = host_port(link.authority, spot)
    outbound: dict[str, Any] = {"type": "hysteria2", "server": host}
    outbound |= _ports(query.get("mport") or written or "443", query, spot)
    outbound["password"] = _password(link.secret, spot)
    disguise = choice(query.get("obfs") or "none", ("none", "salamander"), "obfs", spot)
    if disguise != "none":
        if not query.get("obfs-password"):
            problem = "obfs=salamander without its password"
            raise spot.wrong(problem, "obfs=salamander&obfs-password=…")
        outbound["obfs"] = {"type": disguise, "password": query["obfs-password"]}
    elif query.get("obfs-password"):
        raise spot.wrong("obfs-password without obfs", "obfs=salamander&obfs-password=…")
    tls, notes = _tls(query, host, ("h3",), spot)
    told = [f"parameter {key}: ignored; BBR finds the speed" for key in _SPEED if key in query]
    if pinned := query.get("pinSHA256", ""):
        if not _DIGEST.fullmatch(pinned):
            raise spot.wrong("parameter pinSHA256 is no SHA-256 in hexadecimal")
        told.append(
            "pinSHA256: not compared, sing-box pins keys and not certificates; the certificate as"
            " `ca`, without insecure=1, says the same"
        )
    return Access({**outbound, "tls": tls}, (*idle, *notes, *told))


def tuic(url: str) -> Access:
    """A `tuic://` link of TUIC 5.  Raises ConfigError, which tells no secret."""
    spot = SPOTS["tuic"]
    link, query, idle = _read(url, "tuic", (*_TLS, *_TUIC))
    host, port = server(link, spot, 443)
    user, password = link.pair
    if user and not password:
        raise spot.wrong("has a token and no password: TUIC 4, which is not spoken here")
    try:
        user = str(uuid.UUID(user))
    except ValueError:
        raise spot.wrong("its user is no UUID") from None
    control = query.get("congestion_control") or "cubic"
    choice(control, ("cubic", "new_reno", "bbr"), "congestion_control", spot)
    relay = choice(
        query.get("udp_relay_mode") or "native", ("native", "quic"), "udp_relay_mode", spot
    )
    tls, notes = _tls(query, host, ("h3",), spot)
    if flag(query, "disable_sni", spot):
        tls["disable_sni"] = True
    outbound = {
        "type": "tuic",
        "server": host,
        "server_port": port,
        "uuid": user,
        "password": _password(password, spot),
        "congestion_control": control,
        "udp_relay_mode": relay,
        "zero_rtt_handshake": flag(query, "zero_rtt", spot),
        "tls": tls,
    }
    return Access(outbound, (*idle, *notes))


def anytls(url: str) -> Access:
    """An `anytls://` link.  Raises ConfigError, which tells no secret."""
    spot = SPOTS["anytls"]
    link, query, idle = _read(url, "anytls", (*_TLS, *_ANYTLS))
    host, port = server(link, spot, 443)
    if query.get("security") == "reality":
        raise spot.wrong("REALITY is not spoken by this build of sing-box", "security=tls")
    choice(query.get("security") or "tls", ("tls",), "security", spot)
    choice(query.get("type") or "tcp", ("tcp", "raw"), "transport", spot)
    tls, notes = _tls(query, host, (), spot)
    outbound = {
        "type": "anytls",
        "server": host,
        "server_port": port,
        "password": _password(link.secret, spot),
        "tls": tls,
    }
    return Access(outbound, (*idle, *notes))


def _read(
    url: str, kind: str, known: Collection[str]
) -> tuple[Link, dict[str, str], tuple[str, ...]]:
    """The parts, the parameters by their usual names, and notes about those that change nothing."""
    spot = SPOTS[kind]
    link = take_apart(url, SCHEMES[kind], spot)
    if link.path not in ("", "/"):
        raise spot.wrong("has something behind the port")
    query: dict[str, str] = {}
    for key, value in link.query.items():
        name = _ALIASES.get(key, key)
        if query.get(name, value) != value:
            raise spot.wrong(f"says two things of {shown(name)}", f"leave {shown(key)} out")
        query[name] = value
    return link, query, unhonoured(query, known, spot, _MORE_IDLE)


def _password(text: str, spot: Spot) -> str:
    if not text or "\0" in text:
        raise spot.wrong("has no password")
    return text


def _ports(text: str, query: Mapping[str, str], spot: Spot) -> dict[str, Any]:
    """One port, or several between which the client hops: `443`, `443,5000-6000`."""
    interval = query.get("hop-interval", "")
    if not re.fullmatch(r"(?:\d{1,4}s?)?", interval, re.ASCII):
        raise spot.wrong("parameter hop-interval is no number of seconds")
    if re.fullmatch(r"\d+", text, re.ASCII):
        return {"server_port": port_of(text, spot)}
    if not _PORTS.fullmatch(text):
        raise spot.wrong("has no port from 1 to 65535", "443, or several: 443,5000-6000")
    ranges = []
    for one in text.split(","):
        first, _, last = one.partition("-")
        low, high = port_of(first, spot), port_of(last or first, spot)
        if low > high:
            raise spot.wrong("has ports that go backwards", "5000-6000")
        ranges.append(f"{low}:{high}")
    hop = {"hop_interval": f"{int(interval.rstrip('s'))}s"} if interval else {}
    return {"server_ports": ranges, **hop}


def _tls(
    query: Mapping[str, str], host: str, alpn: Collection[str], spot: Spot
) -> tuple[dict[str, Any], tuple[str, ...]]:
    name = host_of(query.get("sni") or host, spot)
    spoken = tuple(filter(None, query.get("alpn", "").split(","))) or tuple(alpn)
    if any(not re.fullmatch(r"[0-9A-Za-z./_-]{1,32}", one) for one in spoken):
        raise spot.wrong("parameter alpn is no list of protocols", "alpn=h3")
    tls: dict[str, Any] = {"enabled": True, "server_name": name}
    if spoken:
        tls["alpn"] = list(spoken)
    notes: tuple[str, ...] = ()
    if flag(query, "insecure", spot):
        tls["insecure"] = True
        notes = (UNVERIFIED,)
    if (browser := query.get("fp", "")) not in ("", "none"):
        seen = (
            "this build of sing-box imitates no browser's TLS, and a censor may see the difference"
        )
        notes += (f"fp={shown(browser)}: {seen}",)
    return tls, notes


READ = {"anytls": anytls, "hysteria2": hysteria2, "tuic": tuic}
"""By scheme the function that reads a link."""
