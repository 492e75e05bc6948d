"""What a link of the VMess, VLESS and Trojan world says, as values: `Outbound`.

Server, secret, what carries it (TCP, WebSocket, HTTP/2, mKCP, QUIC …) and what hides it (TLS,
REALITY).  The parameters are those of the links' standard (XTLS/Xray-core, discussion 716) with the
usual aliases.  It refuses what nobody speaks: XTLS's flows of old, REALITY over WebSocket.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from circumtest.sharelink import Spot, choice, decoded, flag, host_of, unhonoured

VISION = "xtls-rprx-vision"
TRANSPORTS = {
    "tcp": "tcp",
    "raw": "tcp",
    "ws": "ws",
    "websocket": "ws",
    "h2": "h2",
    "http": "h2",
    "kcp": "kcp",
    "mkcp": "kcp",
    "quic": "quic",
    "grpc": "grpc",
    "httpupgrade": "httpupgrade",
    "xhttp": "xhttp",
    "splithttp": "xhttp",
}
HEADERS = ("none", "srtp", "utp", "wechat-video", "dtls", "wireguard")
"""What mKCP and QUIC look like from outside."""
CIPHERS = ("auto", "aes-128-gcm", "chacha20-poly1305", "none", "zero")
_QUIC_CIPHERS = ("none", "aes-128-gcm", "chacha20-poly1305")
_FLOWS = (VISION, f"{VISION}-udp443")
_OLD_FLOW = re.compile(r"xtls-rprx-(origin|direct|splice)(-udp443)?")
_MODES = ("auto", "packet-up", "stream-up", "stream-one")
_WAYS = ("gun", "multi", "guna")

_ALIASES = {"peer": "sni", "insecure": "allowInsecure", "servername": "sni"}
_KNOWN = {
    *("type", "security", "encryption", "sni", "alpn", "fp", "allowInsecure", "pcs", "vcn"),
    *("path", "host", "headerType", "seed", "quicSecurity", "key", "serviceName", "mode"),
    *("authority", "flow", "pbk", "sid", "spx", "aid"),
}
_KEY = re.compile(r"[0-9A-Za-z_-]{43}=?")
_SHORT = re.compile(r"(?:[0-9A-Fa-f]{2}){0,8}")
_PRINTS: tuple[str, ...] = ("chrome", "firefox", "safari", "ios", "android", "edge", "360", "qq")
_PRINTS += ("random", "randomized", "randomizednoalpn", "none", "unsafe")
"""Whose ClientHello uTLS imitates in Xray (transport/internet/tls, 26.x), besides hello…."""
_SHA256 = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Stream:
    """What carries it.  `header` is its disguise, `path` a path or gRPC's service name.

    `seed` is mKCP's password, `cipher` and `key` are QUIC's.
    """

    kind: str
    header: str = "none"
    path: str = field(default="", repr=False)
    hosts: tuple[str, ...] = field(default=(), repr=False)
    seed: str = field(default="", repr=False)
    cipher: str = "none"
    key: str = field(default="", repr=False)
    mode: str = ""


@dataclass(frozen=True)
class Tls:
    """What hides it: TLS, or REALITY where there is a `public_key`.

    `fingerprint` is the browser whose ClientHello is imitated, "" for the engine's own; `pinned`
    are SHA-256 of certificates in hexadecimal, `names` those that the server's may have instead.
    """

    name: str = field(repr=False)
    alpn: tuple[str, ...] = ()
    fingerprint: str = ""
    insecure: bool = False
    pinned: str = ""
    names: str = field(default="", repr=False)
    public_key: str = field(default="", repr=False)
    short_id: str = field(default="", repr=False)
    spider: str = field(default="", repr=False)


@dataclass(frozen=True)
class Outbound:
    """Access to one server.  `secret` is a UUID, or Trojan's password.

    `cipher` is VMess's or VLESS's own encryption; `notes` are what is not honoured.
    """

    protocol: str
    host: str = field(repr=False)
    port: int
    secret: str = field(repr=False)
    stream: Stream
    tls: Tls | None = None
    cipher: str = "auto"
    alter_id: int = 0
    flow: str = ""
    notes: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        stream, tls = self.stream, self.tls
        found = [self.secret, self.host, stream.path, stream.seed, stream.key, *stream.hosts]
        if tls:
            found += [tls.name, tls.public_key, tls.short_id, *tls.names.split(",")]
        return tuple(filter(lambda one: len(one) > 1, found))


def outbound(
    protocol: str, server: tuple[str, int], secret: str, query: Mapping[str, str], spot: Spot
) -> Outbound:
    """Of the parts of a link, with the names of its parameters.  Raises ConfigError."""
    query = {_ALIASES.get(key, key): value for key, value in query.items()}
    notes = unhonoured(query, _KNOWN, spot)
    stream = _stream(query, spot)
    tls = _tls(query, server[0], stream, "tls" if protocol == "trojan" else "none", spot)
    flow = _flow(protocol, query.get("flow", ""), tls, stream, spot)
    if tls and tls.insecure:
        notes += ("allowInsecure: the server's certificate is not verified",)
    return Outbound(
        protocol,
        *server,
        _secret(protocol, secret, spot),
        stream,
        tls,
        _cipher(protocol, query.get("encryption", ""), spot),
        _alter_id(protocol, query.get("aid", ""), spot),
        flow,
        notes,
    )


def _secret(protocol: str, secret: str, spot: Spot) -> str:
    if protocol == "trojan":
        if not secret or "\0" in secret:
            raise spot.wrong("has no password")
        return secret
    if not secret:
        raise spot.wrong("has no user id (a UUID)")
    if not re.fullmatch(
        r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", secret
    ):
        remedy = "it has 36 characters; for a short one of Xray's, the one that it stands for"
        raise spot.wrong("its user id is no UUID", remedy)
    return str(uuid.UUID(secret))


def _cipher(protocol: str, named: str, spot: Spot) -> str:
    if protocol == "vmess":
        return choice(named or "auto", CIPHERS, "encryption", spot)
    if named not in ("", "none") and not (
        protocol == "vless" and re.fullmatch(r"mlkem768x25519plus\.[0-9A-Za-z._-]+", named)
    ):
        raise spot.wrong("parameter encryption is not one of this protocol", "encryption=none")
    return named or "none"


def _alter_id(protocol: str, text: str, spot: Spot) -> int:
    if not re.fullmatch(r"\d{0,5}", text, re.ASCII) or int(text or 0) > 65535:
        raise spot.wrong("its aid (alterId) is no number", "0 for every server of today")
    if int(text or 0) and protocol != "vmess":
        raise spot.wrong("parameter aid is VMess's alone", "take it out")
    return int(text or 0)


def _stream(query: Mapping[str, str], spot: Spot) -> Stream:
    kind = TRANSPORTS[choice(query.get("type") or "tcp", TRANSPORTS, "transport", spot)]
    path = query.get("path", "")
    hosts = tuple(filter(None, (one.strip() for one in query.get("host", "").split(","))))
    header = query.get("headerType") or "none"
    match kind:
        case "tcp":
            header = choice(header, ("none", "http"), "headerType", spot)
            return Stream(kind, header, path, hosts) if header == "http" else Stream(kind)
        case "kcp":
            return Stream(kind, _disguise(header, spot), seed=query.get("seed", ""))
        case "quic":
            cipher = choice(
                query.get("quicSecurity") or "none", _QUIC_CIPHERS, "quicSecurity", spot
            )
            return Stream(kind, _disguise(header, spot), cipher=cipher, key=query.get("key", ""))
        case "grpc":
            mode = choice(query.get("mode") or "gun", _WAYS, "mode", spot)
            hosts = tuple(filter(None, (query.get("authority", ""),)))
            return Stream(kind, path=query.get("serviceName", ""), hosts=hosts, mode=mode)
        case "xhttp":
            mode = choice(query.get("mode") or "auto", _MODES, "mode", spot)
            return Stream(kind, path=path or "/", hosts=hosts[:1], mode=mode)
    return Stream(kind, path=path or "/", hosts=hosts)


def _disguise(header: str, spot: Spot) -> str:
    return choice(header, HEADERS, "headerType", spot)


def _tls(query: Mapping[str, str], host: str, stream: Stream, usual: str, spot: Spot) -> Tls | None:
    security = query.get("security") or usual
    if security == "xtls":
        raise spot.wrong("security=xtls is no longer spoken by any engine", "security=tls")
    choice(security, ("none", "tls", "reality"), "security", spot)
    if security == "none":
        if stream.kind in ("h2", "quic"):
            what = {"h2": "HTTP/2", "quic": "QUIC"}[stream.kind]
            raise spot.wrong(f"there is no {what} here without TLS", "security=tls")
        return None
    name = host_of(query.get("sni") or (stream.hosts or (host,))[0].partition(":")[0] or host, spot)
    print_ = query.get("fp", "").lower()
    if print_ and not print_.startswith("hello"):
        choice(print_, _PRINTS, "fp", spot)
    alpn = tuple(filter(None, query.get("alpn", "").split(",")))
    if any(not re.fullmatch(r"[0-9A-Za-z./_-]{1,32}", one) for one in alpn):
        raise spot.wrong("parameter alpn is no list of protocols", "alpn=h2,http/1.1")
    pinned = query.get("pcs", "")
    if not all(_SHA256.fullmatch(one) for one in pinned.split(",") if pinned):
        raise spot.wrong("parameter pcs is no SHA-256 in hexadecimal")
    insecure = flag(query, "allowInsecure", spot)
    if security == "tls":
        return Tls(name, alpn, print_, insecure, pinned, query.get("vcn", ""))
    return Tls(name, alpn, print_ or "chrome", False, **_reality(query, stream, spot))


def _reality(query: Mapping[str, str], stream: Stream, spot: Spot) -> dict[str, str]:
    if stream.kind not in ("tcp", "grpc", "xhttp"):
        raise spot.wrong(f"REALITY does not go over {stream.kind}", "type=tcp")
    key, short = query.get("pbk", ""), query.get("sid", "")
    if not key:
        raise spot.wrong("REALITY without the server's public key", "pbk=…, 43 characters")
    if not _KEY.fullmatch(key) or len(_bytes(key)) != 32:
        raise spot.wrong("parameter pbk is no public key", "43 characters, as `xray x25519` prints")
    if not _SHORT.fullmatch(short):
        raise spot.wrong(
            "parameter sid is no short id", "up to 16 hexadecimal digits, an even count"
        )
    if not query.get("spx", "/").startswith("/"):
        raise spot.wrong("parameter spx is no path", "spx=%2F")
    return {"public_key": key, "short_id": short, "spider": query.get("spx", "")}


def _bytes(text: str) -> bytes:
    try:
        return decoded(text)
    except ValueError:
        return b""


def _flow(protocol: str, named: str, tls: Tls | None, stream: Stream, spot: Spot) -> str:
    if not named or named == "none":
        return ""
    if protocol != "vless":
        raise spot.wrong("parameter flow is VLESS's alone", "take it out")
    if _OLD_FLOW.fullmatch(named):
        raise spot.wrong("its flow is no longer spoken by any engine", f"flow={VISION}")
    choice(named, _FLOWS, "flow", spot)
    if tls is None or stream.kind != "tcp":
        raise spot.wrong(f"{VISION} needs type=tcp with security=tls or reality")
    return named
