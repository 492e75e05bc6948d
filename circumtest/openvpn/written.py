"""The configuration that the daemon is given: written anew, nothing of the person's file as it was.

No scripts, no addresses, no routes, no log files; one device whose name is ours; a management
socket.  It is written to a private directory, since it holds the keys.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from circumtest.model import Address, Transport
from circumtest.openvpn.profile import Profile

_OURS = """\
client
dev {device}
dev-type tun
disable-dco
nobind
persist-tun
persist-key
ifconfig-noexec
route-noexec
script-security 0
auth-retry none
connect-retry 1 2
connect-timeout {timeout}
resolv-retry 0
management {socket} unix
management-client
management-hold
management-query-passwords
verb 3
suppress-timestamps
mute-replay-warnings
"""


class Server(NamedTuple):
    """A server by address."""

    address: Address
    transport: Transport


def written(
    profile: Profile, servers: Sequence[Server], device: str, socket: Path, patience: float
) -> str:
    """The whole configuration; each server may take its part of `patience` seconds."""
    timeout = max(1, math.ceil(patience / len(servers)))
    text = _OURS.format(device=device, socket=socket, timeout=timeout)
    if any(server.transport is Transport.TCP for server in servers):
        text += "socket-flags TCP_NODELAY\n"  # or small packets wait for one another
    text += "".join(map(_connection, servers))
    text += "".join(f"{line}\n" for line in profile.lines)
    return text + "".join(f"<{tag}>\n{inside}</{tag}>\n" for tag, inside in profile.blocks)


def _connection(server: Server) -> str:
    (host, port), version = server.address, server.address.version
    protocol = f"udp{version}" if server.transport is Transport.UDP else f"tcp{version}-client"
    return f"remote {host} {port} {protocol}\n"
