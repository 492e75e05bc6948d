"""Debian's trojan at the exit: Trojan over TLS, TCP and UDP, a web site for whoever is a stranger.

Password and certificate are new each time.
"""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circumtest.lab.decoy import decoy
from circumtest.lab.pki import certified
from circumtest.lab.servers import Site, address_of
from circumtest.listening import listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir

NAME = "www.example.com"
"""What the certificate is for, and what the client says at the door."""
_WARNINGS = 2


@dataclass(frozen=True)
class TrojanServer:
    """`port` is where it listens."""

    port: int = 8443

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens."""
        password, host = secrets.token_urlsafe(12), address_of(lab, 4)
        made = certified((NAME, *lab.exit_addresses))
        async with decoy(lab.exit) as site:
            with private_dir() as place:
                (place / "cert.pem").write_text(made.certificate)
                (place / "key.pem").touch(0o600)
                (place / "key.pem").write_text(made.key)
                file = place / "server.json"
                file.write_text(json.dumps(self._settings(place, password, site.at)))
                async with daemon(lab.exit, ["trojan", "-c", str(file)]) as process:
                    await listening(lab.exit, Address(host, self.port), process)
                    link = f"trojan://{password}@{host}:{self.port}?sni={NAME}&type=tcp#lab"
                    yield {"url": link, "ca_text": made.authority}

    def _settings(self, place: Path, password: str, site: Address) -> dict[str, Any]:
        return {
            "run_type": "server",
            "local_addr": "::",
            "local_port": self.port,
            "remote_addr": site.host,
            "remote_port": site.port,
            "password": [password],
            "log_level": _WARNINGS,
            "ssl": {
                "cert": f"{place}/cert.pem",
                "key": f"{place}/key.pem",
                "alpn": ["http/1.1"],
                "reuse_session": True,
                "session_ticket": False,
                "session_timeout": 600,
            },
            "tcp": {"no_delay": True, "keep_alive": True},
        }
