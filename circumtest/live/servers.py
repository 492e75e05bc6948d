"""Where a tunnel's own server is the same machine as a target: its ports, out of configurations.

Whoever runs a VPN and a mirror on one server sends there what is no leak: the tunnel itself.  It
refuses to know what a configuration means: a host with a port behind it is enough.
"""

import re
from collections.abc import Iterable

from circumtest.model import Address

_PORT = r"\]?(?::|[ \t]+(?:-p[ \t]*)?)(\d{1,5})\b"


def servers_at(texts: Iterable[str], hosts: Iterable[str]) -> tuple[Address, ...]:
    """Each port that stands behind one of `hosts` in one of `texts`, at all of the addresses.

    "192.0.2.1:51820", "[2001:db8::1]:443", "remote vpn.example 1194"; names among `hosts` are
    looked for, too, and are no addresses.
    """
    wanted = sorted(hosts)
    if not wanted:
        return ()
    found: set[int] = set()
    several = "|".join(re.escape(one) for one in wanted)
    behind = re.compile(rf"(?<![0-9A-Za-z.-])(?:{several}){_PORT}", re.IGNORECASE)
    for text in texts:
        found |= {int(one) for one in behind.findall(text)}
    ports = sorted(one for one in found if 1 <= one <= 65535)
    addresses = [one for one in wanted if ":" in one or one.replace(".", "").isdigit()]
    return tuple(Address(host, port) for host in addresses for port in ports)
