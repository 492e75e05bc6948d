"""V2Ray at the exit: VMess, VLESS or Trojan over each transport that Debian's V2Ray has.

TLS with a certificate of an authority made for this lab.  Users and passwords are new each time; it
resolves no names and logs nobody.
"""

import base64
import json
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from circumtest.lab.pki import certified
from circumtest.lab.servers import Site, address_of
from circumtest.process import daemon, private_dir

NAME = "www.example.com"
"""What the certificate is for, and what the client says at the door."""
PATH = "/way"

_LINKED = {"h2": "http", "kcp": "kcp", "quic": "quic", "tcp": "tcp", "ws": "ws"}


@dataclass(frozen=True)
class V2ray:
    """`port` is where it listens; `transport` carries it, `header` disguises mKCP and QUIC.

    Without `udp` it carries TCP only.  HTTP/2, QUIC, VLESS and Trojan want `tls`.
    """

    protocol: Literal["vmess", "vless", "trojan"] = "vmess"
    transport: Literal["tcp", "ws", "h2", "kcp", "quic"] = "tcp"
    tls: bool = False
    header: Literal["none", "srtp", "utp", "wechat-video", "dtls", "wireguard"] = "none"
    udp: bool = True
    port: int = 8443

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it says that it has started: its ports are open then."""
        secret = secrets.token_urlsafe(12) if self.protocol == "trojan" else str(uuid.uuid4())
        seed = secrets.token_urlsafe(8)
        with private_dir() as place:
            file, fields = place / "server.json", {"url": self._link(lab, secret, seed)}
            settings = self._settings(secret, seed)
            if self.tls:
                made = certified((NAME, *lab.exit_addresses))
                settings["inbounds"][0]["streamSettings"] |= _tls(place, made.certificate, made.key)
                fields["ca_text"] = made.authority
            file.write_text(json.dumps(settings))
            async with daemon(lab.exit, ["v2ray", "-config", str(file)]) as process:
                await process.line("V2Ray .* started", 10)
                yield fields

    def _settings(self, secret: str, seed: str) -> dict[str, Any]:
        if self.protocol == "trojan":
            access: dict[str, Any] = {"clients": [{"password": secret}]}
        else:
            access = {"clients": [{"id": secret}]}
        if self.protocol == "vless":
            access["decryption"] = "none"
        inbound = {
            "listen": "::",
            "port": self.port,
            "protocol": self.protocol,
            "settings": access,
            "streamSettings": {
                "network": "http" if self.transport == "h2" else self.transport,
                **self._stream(seed),
            },
        }
        nowhere = [{"type": "field", "network": "udp", "outboundTag": "nowhere"}]
        return {
            "log": {"access": "none", "loglevel": "warning"},
            "inbounds": [inbound],
            "outbounds": [
                {"protocol": "freedom", "tag": "out"},
                {"protocol": "blackhole", "tag": "nowhere"},
            ],
            "routing": {"rules": [] if self.udp else nowhere},
        }

    def _stream(self, seed: str) -> dict[str, Any]:
        header = {"type": self.header}
        match self.transport:
            case "ws":
                return {"wsSettings": {"path": PATH}}
            case "h2":
                return {"httpSettings": {"path": PATH, "host": [NAME]}}
            case "kcp":
                return {"kcpSettings": {"header": header, "seed": seed}}
            case "quic":
                quic = {"security": "aes-128-gcm", "key": seed, "header": header}
                return {"quicSettings": quic}
        return {}

    def _link(self, lab: Site, secret: str, seed: str) -> str:
        host = address_of(lab, 4)
        query = {"type": _LINKED[self.transport], "security": "tls" if self.tls else "none"}
        query |= {"sni": NAME} if self.tls else {}
        match self.transport:
            case "ws" | "h2":
                query |= {"path": PATH, "host": NAME}
            case "kcp":
                query |= {"headerType": self.header, "seed": seed}
            case "quic":
                query |= {"headerType": self.header, "quicSecurity": "aes-128-gcm", "key": seed}
        if self.protocol != "vmess":
            return f"{self.protocol}://{secret}@{host}:{self.port}?{urlencode(query)}#lab"
        return _vmess(host, self.port, secret, query)


def _vmess(host: str, port: int, user: str, query: dict[str, str]) -> str:
    """v2rayN's form, in which names mean different things with each transport."""
    given = {"v": "2", "ps": "lab", "add": host, "port": str(port), "id": user, "aid": "0"}
    given |= {"net": query["type"].replace("http", "h2"), "type": query.get("headerType", "none")}
    given |= {"tls": query["security"].replace("none", ""), "sni": query.get("sni", "")}
    given["host"] = query.get("quicSecurity", query.get("host", ""))
    given["path"] = query.get("key", query.get("seed", query.get("path", "")))
    return "vmess://" + base64.b64encode(json.dumps(given).encode()).decode()


def _tls(place: Path, certificate: str, key: str) -> dict[str, Any]:
    (place / "cert.pem").write_text(certificate)
    (place / "key.pem").touch(0o600)
    (place / "key.pem").write_text(key)
    files = {"certificateFile": f"{place}/cert.pem", "keyFile": f"{place}/key.pem"}
    return {"security": "tls", "tlsSettings": {"certificates": [files]}}
