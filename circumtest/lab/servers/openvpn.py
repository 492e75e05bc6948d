"""OpenVPN at the exit: UDP or TCP, with tls-auth or tls-crypt or plain, by certificates and login.

IPv4 and IPv6 inside; what comes out is masqueraded, so the far end sees the exit's addresses.  Keys
are new each time.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from circumtest.inside import device_name
from circumtest.lab.pki import Authority
from circumtest.lab.servers import Site, address_of
from circumtest.lab.topology import RESOLVER
from circumtest.model import Address
from circumtest.process import daemon, private_dir, run

NAME = "vpn.example"
USER = "caller"
START = 10.0
"""Seconds that it may take to be ready (most take 10 ms)."""

# keepalive: a client learns within 6 s that the server it talks to has been started anew.
_SERVER = """\
proto {proto}
port {port}
{local}
dev {device}
dev-type tun
topology subnet
server 10.98.0.0 255.255.255.0
server-ipv6 fd00:98::/64
disable-dco
dh none
duplicate-cn
keepalive 2 6
push "redirect-gateway def1 ipv6"
{resolvers}
verb 3
<ca>
{ca}</ca>
<cert>
{pair.certificate}</cert>
<key>
{pair.key}</key>
{more}
"""

_CLIENT = """\
client
dev tun
proto {proto}
remote {remote}
nobind
remote-cert-tls server
verify-x509-name {name} name
<ca>
{ca}</ca>
<cert>
{pair.certificate}</cert>
<key>
{pair.key}</key>
{more}
"""

# The program that OpenVPN asks about a login gets a file with the two lines.
_CHECK = '#!/bin/sh\nexec cmp -s "$1" "{place}/login"\n'

_MASQUERADE = """\
table inet {device} {{
    chain out {{
        type nat hook postrouting priority srcnat
        iifname {device} masquerade
    }}
}}
"""


@dataclass(frozen=True)
class OpenvpnServer:
    """`port` is where it listens; `wrap` is what is around its control channel.

    With `login` it wants a user and a password beside the certificate.
    """

    port: int = 1194
    proto: Literal["udp", "tcp"] = "udp"
    wrap: Literal["", "tls-auth", "tls-crypt", "tls-crypt-v2"] = ""
    login: bool = False

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it says that its initialization is complete."""
        async with serving(lab, self, "", Address(address_of(lab, 4), self.port)) as text:
            yield {"text": text}


@asynccontextmanager
async def serving(
    lab: Site, server: OpenvpnServer, local: str, reached: Address
) -> AsyncIterator[str]:
    """Start it, listening at `local` ("" for everywhere); yields the `.ovpn` of a client.

    `reached` is where the client finds it.
    """
    authority, device = Authority(), device_name("ovs")
    role = "-server" if server.proto == "tcp" else ""
    with private_dir() as place:
        ours, theirs = await _wrapping(lab, server.wrap, place)
        if server.login:
            theirs += _asking(place)
            ours += f"<auth-user-pass>\n{(place / 'login').read_text()}</auth-user-pass>\n"
        text = _SERVER.format(
            proto=server.proto + ("4" if local else "6") + role,
            port=server.port,
            local=f"local {local}" if local else "",
            device=device,
            resolvers="\n".join(f'push "dhcp-option DNS {one}"' for one in RESOLVER.values()),
            ca=authority.certificate,
            pair=authority.server(NAME),
            more=theirs,
        )
        argv = ["openvpn", "--config", _secret(place / "server.conf", text)]
        async with daemon(lab.exit, argv) as process:
            await process.line("Initialization Sequence Completed", START)
            await lab.exit.forward()
            table = _MASQUERADE.format(device=device)
            await run(lab.exit, ["nft", "-f", "-"], input=table.encode())
            try:
                yield _CLIENT.format(
                    proto=server.proto,
                    remote=f"{reached.host} {reached.port}",
                    name=NAME,
                    ca=authority.certificate,
                    pair=authority.client(USER),
                    more=ours,
                )
            finally:
                await run(lab.exit, ["nft", f"delete table inet {device}"])


async def _wrapping(lab: Site, wrap: str, place: Path) -> tuple[str, str]:
    """What the client and the server put around the control channel, as blocks."""
    if not wrap:
        return "", ""
    if wrap == "tls-crypt-v2":
        server, client = place / "v2-server.key", place / "v2-client.key"
        make = ["openvpn", "--genkey"]
        await run(lab.exit, [*make, "tls-crypt-v2-server", str(server)])
        await run(lab.exit, [*make, wrap + "-client", str(client), "--tls-crypt-v2", str(server)])
        keys = [client.read_text(), server.read_text()]
    else:
        keys = [_static_key()] * 2
    ours, theirs = (f"<{wrap}>\n{key.rstrip()}\n</{wrap}>\n" for key in keys)
    if wrap == "tls-auth":
        return f"{ours}key-direction 1\n", f"{theirs}key-direction 0\n"
    return ours, theirs


def _asking(place: Path) -> str:
    """The directives by which a server asks for the login, its program in `place`."""
    _secret(place / "login", f"{USER}\n{secrets.token_urlsafe(12)}\n")
    check = place / "check"
    check.write_text(_CHECK.format(place=place))
    check.chmod(0o700)
    return f"script-security 2\ntmp-dir {place}\nauth-user-pass-verify {check} via-file\n"


def _static_key() -> str:
    digits = secrets.token_hex(256)
    lines = "\n".join(digits[at : at + 32] for at in range(0, len(digits), 32))
    head, foot = (f"-----{word} OpenVPN Static key V1-----" for word in ("BEGIN", "END"))
    return f"{head}\n{lines}\n{foot}\n"


def _secret(file: Path, text: str) -> str:
    file.touch(0o600)
    file.write_text(text)
    return str(file)
