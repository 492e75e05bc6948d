"""Xray at the exit: VLESS with REALITY, in front of a web site whose TLS it borrows.

It asks that site about its TLS before it lets the first client in, and is ready only after that.
The site's authority is nobody's, so it gives up asking at once, where it would take 5 s for one of
the Internet's; handshakes are borrowed all the same.  Keys and users are new each time.
"""

import json
import secrets
import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from circumtest.engine import xray
from circumtest.lab.decoy import decoy
from circumtest.lab.pki import certified
from circumtest.lab.servers import Site, address_of
from circumtest.model import Address
from circumtest.process import daemon, private_dir
from circumtest.sharelink.outbound import VISION

NAME = "www.example.com"
"""Whose TLS is borrowed."""
_PROBES = 3
"""How often REALITY asks the site about its TLS at first: once for each choice of ALPN.

A client that comes before that is kept waiting for 5 s (XTLS/REALITY, tls.go).
"""
_START = 20.0
_WAYS = {
    "tcp": {"type": "tcp", "flow": VISION},
    "grpc": {"type": "grpc", "serviceName": "way"},
    "xhttp": {"type": "xhttp", "path": "/way"},
}
"""What the link says of each transport."""


@dataclass(frozen=True)
class Xray:
    """`port` is where it listens; `transport` carries it, `tcp` with Vision.

    Without `udp` it carries TCP only.
    """

    transport: Literal["tcp", "grpc", "xhttp"] = "tcp"
    udp: bool = True
    port: int = 8443

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it has started and knows how the site's TLS looks."""
        key, user, short = X25519PrivateKey.generate(), str(uuid.uuid4()), secrets.token_hex(8)
        async with decoy(lab.exit, certified([NAME])) as site:
            with private_dir() as place:
                file = place / "server.json"
                file.write_text(json.dumps(self._settings(key, user, short, site.at)))
                argv = xray.command(str(file))
                async with daemon(lab.exit, argv, name="xray") as process:
                    await process.line("Xray .* started", _START)
                    await site.visited(_PROBES, _START)
                    query = {
                        "encryption": "none",
                        **_WAYS[self.transport],
                        "security": "reality",
                        "sni": NAME,
                        "fp": "chrome",
                        "pbk": _text(key.public_key().public_bytes_raw()),
                        "sid": short,
                    }
                    at = f"{address_of(lab, 4)}:{self.port}"
                    yield {"url": f"vless://{user}@{at}?{urlencode(query)}#lab"}

    def _settings(
        self, key: X25519PrivateKey, user: str, short: str, site: Address
    ) -> dict[str, Any]:
        reality = {
            "target": f"{site.host}:{site.port}",
            "serverNames": [NAME],
            "privateKey": _text(key.private_bytes_raw()),
            "shortIds": [short],
        }
        way = _WAYS[self.transport]
        clients = [{"id": user, "flow": way.get("flow", "")}]
        inbound = {
            "listen": "::",
            "port": self.port,
            "protocol": "vless",
            "settings": {"clients": clients, "decryption": "none"},
            "streamSettings": {
                "network": self.transport,
                "grpcSettings": {"serviceName": way.get("serviceName", "")},
                "xhttpSettings": {"path": way.get("path", "")},
                "security": "reality",
                "realitySettings": reality,
            },
        }
        # Without a rule that allows it, it goes nowhere near private addresses.
        freedom = {"protocol": "freedom", "settings": {"finalRules": [{"action": "allow"}]}}
        nowhere = [{"network": "udp", "outboundTag": "nowhere"}]
        return {
            "log": {"access": "none", "loglevel": "warning"},
            "inbounds": [inbound],
            "outbounds": [{**freedom, "tag": "out"}, {"protocol": "blackhole", "tag": "nowhere"}],
            "routing": {"rules": [] if self.udp else nowhere},
        }


def _text(key: bytes) -> str:
    return urlsafe_b64encode(key).decode().rstrip("=")
