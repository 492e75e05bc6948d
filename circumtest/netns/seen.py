"""What is in a namespace already: its devices, and where its default routes lead.

It asks by a netlink socket that is handed in, on that socket's own thread.  It refuses to change
anything.
"""

import socket
from dataclasses import dataclass
from typing import Any

from pyroute2 import NetlinkError

_IFF_UP, _RTN_UNICAST, _SCOPE_SITE = 0x01, 1, 200
_FAR = {4: (socket.AF_INET, "203.0.113.1"), 6: (socket.AF_INET6, "2001:db8:ffff::1")}
"""Documentation addresses (RFC 5737, RFC 3849): nothing is sent there."""


@dataclass(frozen=True)
class Device:
    """A device as it is: `mtu` in octets, `addresses` without their prefix lengths.

    Addresses that reach no further than the link (fe80::/10) are left out.
    """

    name: str
    up: bool
    mtu: int
    addresses: tuple[str, ...]


def device(route: Any, name: str) -> Device | None:
    """Ask for one by its name; None when there is none."""
    try:
        index = socket.if_nametoindex(name)
        (link,) = route.get_links(index)
        addresses = tuple(
            str(address)
            for one in route.get_addr(index=index)
            if one["scope"] <= _SCOPE_SITE
            and (address := one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS"))
        )
    except (OSError, NetlinkError):  # the second when it goes between the questions
        return None
    return Device(name, bool(link["flags"] & _IFF_UP), link.get_attr("IFLA_MTU"), addresses)


def ways_out(route: Any) -> dict[int, str]:
    """By IP version (4, 6) the device by which a packet to somewhere far away would leave.

    The kernel is asked, so that split defaults (0.0.0.0/1 and its kind) and rules count too.
    """
    found = {}
    for version, (family, far) in _FAR.items():
        try:
            (one,) = route.route("get", dst=far, family=family)
            if one["type"] == _RTN_UNICAST and (index := one.get_attr("RTA_OIF")):
                found[version] = socket.if_indextoname(index)
        except (OSError, NetlinkError):  # no route, one that refuses, or it went just now
            continue
    return found
