"""strongSwan at the exit: IKEv2 for clients by certificate or EAP-MSCHAPv2, ESP in userspace.

IPv4 and IPv6 inside; what comes out is masqueraded, so the far end sees the exit's addresses.
Certificates and password are new each time.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from circumtest.ikev2.charon import Message, charon
from circumtest.lab.pki import Authority
from circumtest.lab.servers import Site, address_of
from circumtest.lab.topology import RESOLVER
from circumtest.netns import Links
from circumtest.process import run

NAME = "vpn.example"
USER = "caller"
START = 10.0
"""Seconds that charon may take to start."""

_POOLS = {4: "10.97.0.0/16", 6: "fd00:97::/112"}
_MASQUERADE = """\
table inet circumtest-ikev2 {{
    chain out {{
        type nat hook postrouting priority srcnat
        iifname {device} masquerade
    }}
}}
"""


@dataclass(frozen=True)
class Strongswan:
    """Clients show a certificate, or a user and a password; `esp` is what it encrypts with."""

    auth: Literal["cert", "eap"] = "cert"
    esp: str = "aes128-sha256"

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when charon has taken its configuration."""
        authority = Authority()
        own, client = authority.server(NAME), authority.client(USER)
        password = secrets.token_urlsafe(12)

        def configure(session: Any) -> None:
            session.load_key({"type": "any", "data": own.key})
            session.load_shared({"type": "eap", "owners": [USER], "data": password})
            for version, network in _POOLS.items():
                pool = {"addrs": network, "dns": [RESOLVER[version]]}
                session.load_pool({f"v{version}": pool})
            remote = self._remote(authority.certificate)
            session.load_conn({"clients": _connection(own.certificate, remote, self.esp)})

        async with charon(lab.exit, "charon", START, client=False) as server:
            await server.ask(configure)
            await lab.exit.configure(Links.forward)
            table = _MASQUERADE.format(device=server.device)
            await run(lab.exit, ["nft", "-f", "-"], input=table.encode())
            try:
                fields = {"server": address_of(lab, 4), "id": NAME}
                fields["ca_text"] = authority.certificate
                if self.auth == "cert":
                    yield {**fields, "certificate_text": client.certificate, "key_text": client.key}
                else:
                    yield {**fields, "user": USER, "password": password}
            finally:
                await run(lab.exit, ["nft", "delete table inet circumtest-ikev2"])

    def _remote(self, authority: str) -> Message:
        if self.auth == "cert":
            return {"auth": "pubkey", "cacerts": [authority]}
        return {"auth": "eap-mschapv2", "eap_id": "%any"}


def _connection(certificate: str, remote: Message, esp: str) -> Message:
    return {
        "version": "2",
        "mobike": "no",
        "send_cert": "always",
        "unique": "never",
        "pools": [f"v{version}" for version in _POOLS],
        "local": {"auth": "pubkey", "certs": [certificate], "id": NAME},
        "remote": remote,
        "children": {"inside": {"local_ts": ["0.0.0.0/0", "::/0"], "esp_proposals": [esp]}},
    }
