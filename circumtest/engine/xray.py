"""Xray of PyPI's Xray-core, an optional extra: REALITY, Vision, browsers' TLS, gRPC, XHTTP.

It runs as a child of its own, since in this process it could not be ended.  From an `Outbound` to
Xray's JSON.  It has dropped HTTP/2 and QUIC as transports, V2Ray's way of disguising mKCP, and
certificates that are not verified: `lacks` says so.
"""

import importlib.util
import sys
from typing import Any

from circumtest.engine.v2ray import Entry, header, tls_settings, whole
from circumtest.errors import EnvironmentUnfit
from circumtest.model import Address
from circumtest.sharelink.outbound import Outbound, Stream, Tls

_CHILD = "import sys, xray; xray.startFromJSON(open(sys.argv[1]).read())"


def command(file: str) -> list[str]:
    """How it is started with the configuration in `file`.  Raises EnvironmentUnfit."""
    if importlib.util.find_spec("xray") is None:
        raise EnvironmentUnfit("Xray-core is not installed", "pip install circumtest[xray]")
    return [sys.executable, "-P", "-u", "-c", _CHILD, file]


def lacks(outbound: Outbound) -> tuple[str, ...]:
    """What of the link Xray cannot do (any more), in the link's own words."""
    wanted = (
        (f"type={outbound.stream.kind}", outbound.stream.kind in ("h2", "quic", "kcp")),
        ("allowInsecure", outbound.tls is not None and outbound.tls.insecure),
        (f"aid={outbound.alter_id}", outbound.alter_id),
    )
    return tuple(word for word, lacking in wanted if lacking)


def settings(outbound: Outbound, server: Address, entry: Entry, authorities: str) -> dict[str, Any]:
    """The whole configuration.  `authorities` are certificates in PEM, "" for the machine's own."""
    kind = outbound.stream.kind
    stream = {"network": "raw" if kind == "tcp" else kind, **_stream(outbound.stream)}
    tls = outbound.tls
    if tls and tls.public_key:
        stream["security"] = "reality"
        stream["realitySettings"] = {
            "serverName": tls.name,
            "fingerprint": tls.fingerprint,
            "publicKey": tls.public_key.rstrip("="),
            "shortId": tls.short_id,
            "spiderX": tls.spider,
        }
    elif tls:
        stream["security"] = "tls"
        stream["tlsSettings"] = _tls(tls, authorities)
    return whole(outbound, server, entry, stream)


def _tls(tls: Tls, authorities: str) -> dict[str, Any]:
    found = tls_settings(tls, authorities)
    if tls.fingerprint:
        found["fingerprint"] = tls.fingerprint
    if tls.pinned:
        found["pinnedPeerCertSha256"] = tls.pinned.replace(":", "")
    if tls.names:
        found["verifyPeerCertByName"] = tls.names
    return found


def _stream(stream: Stream) -> dict[str, Any]:
    host = {"host": stream.hosts[0]} if stream.hosts else {}
    match stream.kind:
        case "ws" | "httpupgrade" | "xhttp":
            mode = {"mode": stream.mode} if stream.mode else {}
            return {f"{stream.kind}Settings": {"path": stream.path, **host, **mode}}
        case "grpc":
            grpc: dict[str, Any] = {"serviceName": stream.path, "multiMode": stream.mode == "multi"}
            if stream.hosts:
                grpc["authority"] = stream.hosts[0]
            return {"grpcSettings": grpc}
    return {"rawSettings": {"header": header(stream)}}
