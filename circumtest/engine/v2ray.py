"""V2Ray 4 as Debian has it: VMess, VLESS and Trojan over TCP, WebSocket, HTTP/2, mKCP and QUIC.

From an `Outbound` to V2Ray's JSON.  It has one outbound and no rules, and resolves no names.  It
imitates no browser's TLS, knows neither REALITY nor flows: `lacks` says so.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from circumtest.localproxy import HOST
from circumtest.model import Address
from circumtest.sharelink.outbound import Outbound, Stream, Tls

TRANSPORTS = ("tcp", "ws", "h2", "kcp", "quic")
_NO_FINGERPRINT = ("", "none")


class Entry(NamedTuple):
    """The SOCKS port in front: on HOST, and what it wants."""

    port: int
    user: str
    password: str


def command(file: str) -> list[str]:
    """How it is started with the configuration in `file`."""
    return ["v2ray", "-config", file]


def lacks(outbound: Outbound) -> tuple[str, ...]:
    """What of the link V2Ray cannot do, in the link's own words."""
    tls = outbound.tls or Tls("")
    wanted = (
        (f"type={outbound.stream.kind}", outbound.stream.kind not in TRANSPORTS),
        ("security=reality", tls.public_key),
        (f"flow={outbound.flow}", outbound.flow),
        (f"fp={tls.fingerprint}", tls.fingerprint not in _NO_FINGERPRINT),
        ("pcs", tls.pinned),
        ("vcn", tls.names),
        ("its encryption", outbound.protocol != "vmess" and outbound.cipher != "none"),
    )
    return tuple(word for word, lacking in wanted if lacking)


def settings(outbound: Outbound, server: Address, entry: Entry, authorities: str) -> dict[str, Any]:
    """The whole configuration.  `authorities` are certificates in PEM, "" for the machine's own."""
    stream: dict[str, Any] = {"network": _NETWORKS.get(outbound.stream.kind, outbound.stream.kind)}
    stream |= _stream(outbound.stream)
    if outbound.tls:
        stream["security"] = "tls"
        stream["tlsSettings"] = tls_settings(outbound.tls, authorities)
        if outbound.tls.insecure:
            stream["tlsSettings"]["allowInsecure"] = True
    return whole(outbound, server, entry, stream)


_NETWORKS = {"h2": "http"}


def whole(
    outbound: Outbound, server: Address, entry: Entry, stream: Mapping[str, Any]
) -> dict[str, Any]:
    """What Project V's engines have in common: the log, the port in front, the server."""
    account = {"user": entry.user, "pass": entry.password}
    inbound = {
        "listen": HOST,
        "port": entry.port,
        "protocol": "socks",
        "settings": {"auth": "password", "accounts": [account], "udp": True, "ip": HOST},
    }
    out = {"protocol": outbound.protocol, "settings": _server(outbound, server)}
    return {
        # Only so does it say that a certificate is not to be trusted; a few lines a connection.
        "log": {"access": "none", "loglevel": "info"},
        "inbounds": [inbound],
        "outbounds": [{**out, "streamSettings": dict(stream)}],
    }


def _server(outbound: Outbound, server: Address) -> dict[str, Any]:
    at = {"address": server.host, "port": server.port}
    if outbound.protocol == "trojan":
        return {"servers": [{**at, "password": outbound.secret}]}
    user: dict[str, Any] = {"id": outbound.secret}
    if outbound.protocol == "vmess":
        user |= {"security": outbound.cipher, "alterId": outbound.alter_id}
    else:
        user |= {"encryption": outbound.cipher, "flow": outbound.flow}
    return {"vnext": [{**at, "users": [user]}]}


def tls_settings(tls: Tls, authorities: str) -> dict[str, Any]:
    """TLS, without what the two engines do differently."""
    found: dict[str, Any] = {"serverName": tls.name}
    if tls.alpn:
        found["alpn"] = list(tls.alpn)
    if authorities:
        lines = authorities.strip().splitlines()
        found["certificates"] = [{"usage": "verify", "certificate": lines}]
        found["disableSystemRoot"] = True
    return found


def header(stream: Stream) -> dict[str, Any]:
    """What its packets, or the beginning of its stream, are made to look like."""
    found: dict[str, Any] = {"type": stream.header}
    if stream.header == "http":
        found["request"] = {"path": (stream.path or "/").split(",")}
        if stream.hosts:
            found["request"]["headers"] = {"Host": list(stream.hosts)}
    return found


def _stream(stream: Stream) -> dict[str, Any]:
    match stream.kind:
        case "ws":
            headers = {"Host": stream.hosts[0]} if stream.hosts else {}
            return {"wsSettings": {"path": stream.path, "headers": headers}}
        case "h2":
            hosts: Iterable[str] = stream.hosts
            return {"httpSettings": {"path": stream.path, "host": list(hosts)}}
        case "kcp":
            return {"kcpSettings": {"header": header(stream), "seed": stream.seed}}
        case "quic":
            quic = {"security": stream.cipher, "key": stream.key, "header": header(stream)}
            return {"quicSettings": quic}
    return {"tcpSettings": {"header": header(stream)}}
