"""A WireGuard server at the exit: wireguard-go, or the kernel's device where one is asked for.

IPv4 and IPv6 inside; what comes out is masqueraded, so the far end sees the exit's addresses.  Keys
and preshared key are new each time.
"""

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from circumtest.lab.servers import Site, address_of
from circumtest.lab.topology import RESOLVER
from circumtest.netns import Links
from circumtest.process import run
from circumtest.wireguard.device import wireguard_device
from circumtest.wireguard.quick import DEFAULT_MTU, Peer

_SERVER = ("10.99.0.1/24", "fd00:99::1/64")
_CLIENT = ("10.99.0.2/32", "fd00:99::2/128")

_MASQUERADE = """\
table inet circumtest-wireguard {{
    chain out {{
        type nat hook postrouting priority srcnat
        iifname {name} masquerade
    }}
}}
"""


@dataclass(frozen=True)
class WireguardGo:
    """`port` is where it listens; `mtu` is its device's and the client's."""

    port: int = 51820
    device: Literal["auto", "kernel", "userspace"] = "userspace"
    mtu: int = DEFAULT_MTU

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when its device is configured: a server has nobody to shake hands with yet."""
        server, client = _pair(), _pair()
        shared = secrets.token_bytes(32)
        peer = Peer(client[1], _CLIENT, preshared_key=shared)
        async with wireguard_device(lab.exit, self.device) as device:
            await device.configure(server[0], self.port, (peer,))
            await lab.exit.configure(lambda links: _settle(links, device.name, self.mtu))
            table = _MASQUERADE.format(name=device.name)
            await run(lab.exit, ["nft", "-f", "-"], input=table.encode())
            try:
                endpoint = f"{address_of(lab, 4)}:{self.port}"
                yield {"text": _client(client[0], server[1], shared, endpoint, self.mtu)}
            finally:
                await run(lab.exit, ["nft", "delete table inet circumtest-wireguard"])


def _settle(links: Links, name: str, mtu: int) -> None:
    links.mtu(name, mtu)
    for address in _SERVER:
        links.address(name, address)
    links.up(name)
    links.forward()


def _pair() -> tuple[bytes, bytes]:
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def _client(private: bytes, server: bytes, shared: bytes, endpoint: str, mtu: int) -> str:
    return f"""\
[Interface]
PrivateKey = {_text(private)}
Address = {", ".join(_CLIENT)}
DNS = {", ".join(RESOLVER.values())}
MTU = {mtu}
[Peer]
PublicKey = {_text(server)}
PresharedKey = {_text(shared)}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = {endpoint}
"""


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
