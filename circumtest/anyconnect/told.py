"""What the server told openconnect about the inside, as its script hears it.

The script is ours, and does nothing but hand on what it was told.  It refuses to believe it: all of
it came from the network.
"""

import ipaddress
import shlex
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from circumtest.inside import EVERYTHING, Settings

_MOST = 4096
"""Networks that a server may name."""


def told(environment: bytes) -> Mapping[str, str]:
    """What openconnect's script was told: NUL-separated `NAME=value`, as `env -0` writes it."""
    pairs = environment.decode(errors="replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def script(place: Path) -> str:
    """A script for openconnect that does nothing but tell what it was told.

    It leaves it in a file of `place` that is named by the reason, and says the reason aloud.
    """
    folder = shlex.quote(str(place))
    return f"""\
#!/bin/sh
cd {folder} && env -0 >settings.part && mv settings.part "settings.$reason" &&
    echo "script: $reason" >&2
"""


def settings(environment: Mapping[str, str]) -> Settings:
    """The device's settings from the variables of vpnc-script(8).  Raises ValueError.

    Networks that are routed elsewhere (split excludes) have no route at all.
    """
    addresses, routes = [], []
    if v4 := environment.get("INTERNAL_IP4_ADDRESS"):
        addresses.append(f"{ipaddress.IPv4Address(v4)}/32")
        routes += _networks(environment, "CISCO_", "0.0.0.0/0")
        if routes != [EVERYTHING[0]] and (net := environment.get("INTERNAL_IP4_NETADDR")):
            routes.append(_network(net, environment.get("INTERNAL_IP4_NETMASKLEN", "32")))
    v6 = environment.get("INTERNAL_IP6_NETMASK") or environment.get("INTERNAL_IP6_ADDRESS")
    if v6:
        addresses.append(ipaddress.IPv6Interface(v6).with_prefixlen)
        routes += _networks(environment, "CISCO_IPV6_", "::/0")
    if not addresses:
        raise ValueError("no address")
    mtu = int(environment.get("INTERNAL_IP4_MTU") or 0)
    if mtu and not 68 <= mtu <= 65535:  # RFC 791
        raise ValueError("an impossible MTU")
    names = environment.get("INTERNAL_IP4_DNS", "") + " " + environment.get("INTERNAL_IP6_DNS", "")
    dns = (str(ipaddress.ip_address(one)) for one in names.split())
    return Settings(
        tuple(addresses), tuple(dict.fromkeys(routes)), mtu or None, tuple(dict.fromkeys(dns))
    )


def _networks(environment: Mapping[str, str], prefix: str, everything: str) -> list[str]:
    """What goes through the tunnel: the included networks, or all, less the excluded ones."""
    whole = tuple(_listed(environment, f"{prefix}SPLIT_INC")) or (everything,)
    left = [ipaddress.ip_network(one) for one in whole]
    for one in _listed(environment, f"{prefix}SPLIT_EXC"):
        hole = ipaddress.ip_network(one)
        left = list(chain.from_iterable(_without(network, hole) for network in left))
        if len(left) > _MOST:
            raise ValueError("too many networks")
    return [str(network) for network in left]


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _without(network: _Network, hole: _Network) -> Iterable[_Network]:
    if not network.overlaps(hole):
        return (network,)
    if network.prefixlen >= hole.prefixlen:
        return ()
    return network.address_exclude(hole)  # type: ignore[arg-type]  # both of one family


def _listed(environment: Mapping[str, str], name: str) -> Iterator[str]:
    count = int(environment.get(name) or 0)
    if count > _MOST:
        raise ValueError("too many networks")
    for number in range(count):
        one = f"{name}_{number}"
        yield _network(environment.get(f"{one}_ADDR", ""), environment.get(f"{one}_MASKLEN", ""))


def _network(address: str, length: str) -> str:
    """`address` may have a length of its own, as in the IPv6 variables of old versions."""
    return str(ipaddress.ip_network(f"{address.partition('/')[0]}/{length}", strict=False))
