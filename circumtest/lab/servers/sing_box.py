"""sing-box at the exit: Hysteria 2, TUIC, AnyTLS, Shadowsocks 2022, ShadowTLS; both IP versions.

Behind ShadowTLS it is its own decoy, a TLS server that knows nobody.  Passwords, keys and the
authority that the client has to believe are new each time.
"""

import base64
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from circumtest.engine.sing_box import command, settings
from circumtest.engine.sing_box_path import OUT
from circumtest.lab.pki import Certified, certified
from circumtest.lab.servers import Site, address_of
from circumtest.listening import free_port
from circumtest.process import daemon, private_dir

NAME = "www.example.com"
"""Whom the certificate is for, and who ShadowTLS says that it is."""
METHOD = "2022-blake3-aes-128-gcm"
INNER = "chacha20-ietf-poly1305"
"""What stands behind ShadowTLS.  With 2022's a datagram's answer that is back within microseconds,
as only a lab's is, is now and then refused by the client for a `bad request salt` (1.14.4)."""

_START = 10.0
_LOOPBACK = "127.0.0.1"
_UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"


@dataclass(frozen=True)
class SingBox:
    """`port` is where it listens, over UDP, TCP or both as the protocol has it.

    Without `udp` it drops the datagrams that it shall carry.
    """

    protocol: Literal["hysteria2", "hysteria2-obfs", "tuic", "anytls", "ss2022", "shadowtls"] = (
        "hysteria2"
    )
    port: int = 8443
    udp: bool = True

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it says that it has started: all its ports are open then."""
        made = _Made(certified([NAME, *lab.exit_addresses]), free_port(lab.exit))
        inbounds = self._inbounds(made)
        what = settings(inbounds, [{"type": "direct", "tag": OUT}])
        if not self.udp:
            what["route"]["rules"].append(
                {"network": ["udp"], "action": "reject", "method": "drop"}
            )
        if self.port < 1024:  # it has no capability that would let it
            await lab.exit.configure(lambda links: links.sysctl(_UNPRIVILEGED, self.port))
        with private_dir() as place:
            argv = command(place, what)
            async with daemon(lab.exit, argv, name="sing-box") as process:
                await process.line("sing-box started", _START)
                yield self._fields(made, f"{address_of(lab, 4)}:{self.port}")

    def _inbounds(self, made: "_Made") -> list[dict[str, Any]]:
        kind = self.protocol.partition("-")[0]
        at: dict[str, Any] = {"type": kind, "listen": "::", "listen_port": self.port}
        user = {"password": made.password}
        match self.protocol:
            case "hysteria2" | "hysteria2-obfs":
                hysteria = {**at, "users": [user], "tls": made.tls("h3")}
                if self.protocol == "hysteria2-obfs":
                    hysteria["obfs"] = {"type": "salamander", "password": made.second}
                return [hysteria]
            case "tuic":
                return [{**at, "users": [{"uuid": made.uuid, **user}], "tls": made.tls("h3")}]
            case "anytls":
                return [{**at, "users": [user], "tls": made.tls()}]
            case "ss2022":
                return [{**at, "type": "shadowsocks", "method": METHOD, "password": made.key}]
        inner = {"type": "shadowsocks", "tag": "inner", "listen": _LOOPBACK}
        decoy = {"type": "http", "listen": _LOOPBACK, "listen_port": made.decoy}
        login = {"username": made.second, "password": made.second}
        disguise = {
            "version": 3,
            "strict_mode": True,
            "users": [user],
            "handshake": {"server": _LOOPBACK, "server_port": made.decoy},
            "detour": "inner",
        }
        return [
            {**at, **disguise},
            {**inner, "network": "tcp", "method": INNER, "password": made.second},
            {**decoy, "users": [login], "tls": made.tls()},
        ]

    def _fields(self, made: "_Made", at: str) -> dict[str, Any]:
        """What stands in a user's link."""
        match self.protocol:
            case "hysteria2":
                url = f"hysteria2://{made.password}@{at}/?sni={NAME}"
            case "hysteria2-obfs":
                obfs = f"obfs=salamander&obfs-password={made.second}"
                url = f"hy2://{made.password}@{at}/?sni={NAME}&{obfs}"
            case "tuic":
                how = "congestion_control=bbr&udp_relay_mode=native&alpn=h3"
                url = f"tuic://{made.uuid}:{made.password}@{at}?{how}&sni={NAME}"
            case "anytls":
                url = f"anytls://{made.password}@{at}/?sni={NAME}"
            case "ss2022":
                return {"url": f"ss://{METHOD}:{quote(made.key, safe='')}@{at}#lab"}
            case "shadowtls":
                plugin = quote(f"shadow-tls;host={NAME};password={made.password};version=3")
                url = f"ss://{INNER}:{made.second}@{at}/?plugin={plugin}&uot=1"
        return {"url": f"{url}#lab", "ca_text": made.certified.authority}


class _Made:
    """What is new each time; `decoy` is a free port."""

    def __init__(self, of: Certified, decoy: int) -> None:
        self.certified, self.decoy = of, decoy
        self.password, self.second = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.uuid = str(uuid.uuid4())
        self.key = base64.b64encode(secrets.token_bytes(16)).decode()

    def tls(self, *protocols: str) -> dict[str, Any]:
        return {
            "enabled": True,
            "server_name": NAME,
            "alpn": list(protocols),
            "certificate": self.certified.certificate.splitlines(),
            "key": self.certified.key.splitlines(),
        }
