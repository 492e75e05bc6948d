"""What is in a namespace already: its devices, and where its default routes lead.

It asks by a netlink socket that is handed in, on that socket's own thread.  It refuses to change
anything.
"""

import socket
from dataclasses import dataclass
from typing import Any

from pyroute2 import NetlinkError

_IFF_UP, _RTN_UNICAST, _SCOPE_SITE = 0x01, 1, 200
_TUNNELS = frozenset({"tun", "wireguard", "amneziawg", "ppp", "xfrm", "vti", "vti6", "ipip", "gre"})
"""Kinds of devices that a VPN leads through; its packets leave by another one below."""
_FAR = {4: (socket.AF_INET, "203.0.113.1"), 6: (socket.AF_INET6, "2001:db8:ffff::1")}
"""Documentation addresses (RFC 5737, RFC 3849): nothing is sent there."""


@dataclass(frozen=True)
class Device:
    """A device as it is: `mtu` in octets, `addresses` without their prefix lengths.

    Addresses that reach no further than the link (fe80::/10) are left out.  `kind` is the kernel's
    word for what is no hardware ("tun", "wireguard", "veth"), else "".
    """

    name: str
    up: bool
    mtu: int
    addresses: tuple[str, ...]
    kind: str = ""

    @property
    def leads_through_a_tunnel(self) -> bool:
        """Whether its packets are wrapped and leave by another device."""
        return self.kind in _TUNNELS


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
    up, mtu = bool(link["flags"] & _IFF_UP), link.get_attr("IFLA_MTU")
    return Device(
        name, up, mtu, addresses, link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    )


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


def way_to(route: Any, host: str) -> str | None:
    """The device by which a packet to one address would leave, None where there is no route."""
    try:
        (one,) = route.route("get", dst=host, family=_family_of(host))
        index = one.get_attr("RTA_OIF")
        return socket.if_indextoname(index) if one["type"] == _RTN_UNICAST and index else None
    except (OSError, NetlinkError):
        return None


def _family_of(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def ways_below(route: Any) -> dict[int, str]:
    """By IP version the device of the best default route, of any table, that is no tunnel's.

    It is where a VPN that is on sends its own packets, and where ours go when bound to it.
    """
    found = {}
    for version, (family, _) in _FAR.items():
        try:
            routes = list(route.get_routes(family=family))
        except (OSError, NetlinkError):  # this kernel has none of that family
            continue
        defaults = [one for one in routes if not one["dst_len"] and one["type"] == _RTN_UNICAST]
        for one in sorted(defaults, key=lambda one: one.get_attr("RTA_PRIORITY") or 0):
            if (name := _below(route, one)) is not None:
                found[version] = name
                break
    return found


def _below(route: Any, default: Any) -> str | None:
    """The name of a route's device, None when it is a tunnel's, or gone, or down."""
    several = default.get_attr("RTA_MULTIPATH")
    index = several[0]["oif"] if several else default.get_attr("RTA_OIF")
    try:
        there = device(route, socket.if_indextoname(index)) if index else None
    except OSError:
        return None
    usable = there is not None and there.up and not there.leads_through_a_tunnel
    return there.name if there is not None and usable else None
