"""What a server pushes, and what a file says of routes, as what a device gets.

The same meaning as OpenVPN's own (its manual, "VPN Network Options"), in a namespace whose only way
out is the device: `net_gateway` is then no gateway, but what is not routed.  It refuses to resolve
names of networks.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from circumtest.inside import Settings

DEFAULT_MTU = 1500
"""OpenVPN's tun-mtu when nobody says another."""

Option = tuple[str, ...]
"""A directive and its words."""
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_OUTSIDE = frozenset({"net_gateway", "net_gateway_ipv6"})
_NOT_PULLED = frozenset(
    ("route", "route-ipv6", "redirect-gateway", "redirect-private", "dhcp-option", "dns")
) | {"block-outside-dns", "block-ipv6"}
"""What `route-nopull` does not accept."""


class Filter(NamedTuple):
    """A `pull-filter`: accept, ignore or reject what begins with `text`."""

    action: str
    text: str


def pushed(message: str) -> list[Option]:
    """The options of a PUSH_REPLY as the log has it.  What is quoted there is split at blanks."""
    parts = message.strip().split(",")
    return [tuple(part.split()) for part in parts if part.strip() and part != "PUSH_REPLY"]


def accepted(
    options: Iterable[Option], filters: Sequence[Filter], *, nopull: bool
) -> Iterator[Option]:
    """What of the pushed options is taken: the first filter that fits decides."""
    for option in options:
        text = " ".join(option)
        action = next((one.action for one in filters if text.startswith(one.text)), "accept")
        if action == "accept" and not (nopull and option[0] in _NOT_PULLED):
            yield option


def settings(options: Iterable[Option]) -> Settings:
    """What the device gets, from all options in order; the later one wins where there is one value.

    Raises ValueError, without anything of a person's in it, for what cannot be right: a server may
    push anything.
    """
    last: dict[str, Option] = {}
    many: list[Option] = []
    for option in options:
        last[option[0]] = option
        many.append(option)
    addresses, peers = _addresses(last)
    if "block-ipv6" in last:
        addresses = [one for one in addresses if ":" not in one]
    inside, outside = _networks(many)
    routes: list[_Network] = []
    for network in (*peers, *inside):
        routes += _without(network, outside)
    mtu = _number(last["tun-mtu"][1:2], 576, 65535) if "tun-mtu" in last else DEFAULT_MTU
    names = tuple(dict.fromkeys(_resolvers(many)))
    return Settings(tuple(addresses), tuple(dict.fromkeys(map(str, routes))), mtu, names)


def check(option: Option) -> None:
    """One directive of a file.  Raises ValueError that says what would be right."""
    name = option[0]
    if name == "topology":
        if option[1:2] not in (("subnet",), ("net30",), ("p2p",)):
            raise ValueError("is subnet, net30 or p2p")
    elif name in ("ifconfig", "ifconfig-ipv6", "tun-mtu"):
        settings([("topology", "subnet"), option] if name == "ifconfig" else [option])
    elif name in ("route", "route-ipv6", "redirect-gateway"):
        _networks([option])
    elif name in ("dhcp-option", "dns"):
        list(_resolvers([option]))


def _addresses(last: dict[str, Option]) -> tuple[list[str], list[_Network]]:
    """Addresses with their prefix, and the networks of peers that a host's address leaves out."""
    addresses: list[str] = []
    peers: list[_Network] = []
    if "ifconfig" in last:
        own, other = (_words(last["ifconfig"], 2, "an address and a netmask or peer"))[:2]
        if last.get("topology", ())[1:2] == ("subnet",):
            addresses.append(str(_interface(f"{own}/{other}")))
        else:
            addresses.append(str(_interface(f"{own}/32")))
            peers.append(_network(f"{other}/32"))
    if "ifconfig-ipv6" in last:
        (own,) = _words(last["ifconfig-ipv6"], 1, "an address/bits and a peer")[:1]
        addresses.append(str(_interface(own if "/" in own else f"{own}/64")))
    return addresses, peers


def _networks(options: Iterable[Option]) -> tuple[list[_Network], list[_Network]]:
    """The networks that are routed into the device, and those that are routed around it."""
    inside: list[_Network] = []
    outside: list[_Network] = []
    for option in options:
        match option:
            case ("redirect-gateway", *flags):
                if "!ipv4" not in flags:
                    inside.append(_network("0.0.0.0/0"))
                if "ipv6" in flags:
                    inside.append(_network("::/0"))
            case ("route", network, *more):
                mask = more[0] if more and more[0] != "default" else "255.255.255.255"
                around = more[1:2] and more[1] in _OUTSIDE
                (outside if around else inside).append(_route4(network, mask))
            case ("route-ipv6", network, *more):
                around = more[:1] and more[0] in _OUTSIDE
                (outside if around else inside).append(_network(network))
            case ("route" | "route-ipv6",):
                raise ValueError("needs a network")
    return inside, outside


def _route4(network: str, mask: str) -> _Network:
    if network in ("vpn_gateway", "net_gateway", "remote_host"):
        raise ValueError(f"{network} is no network here: write it as an address")
    return _network(f"{network}/{mask}")


def _without(network: _Network, others: Iterable[_Network]) -> list[_Network]:
    """What is left of `network` without the others."""
    left = [network]
    for other in others:
        kept: list[_Network] = []
        for one in left:
            if one.version != other.version or not one.overlaps(other):
                kept.append(one)
            elif other != one and other.subnet_of(one):  # type: ignore[arg-type]
                kept += one.address_exclude(other)  # type: ignore[arg-type]
            # One that lies within the other is gone altogether.
        left = kept
    return left


def _resolvers(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        match option:
            case ("dhcp-option", "DNS" | "DNS6", host, *_):
                yield str(_interface(host).ip)
            case ("dns", "server", _, "address", *hosts):
                for host in hosts:
                    if re.fullmatch(r"[0-9a-fA-F.:]+", host):  # with a port it is none for us
                        yield str(_interface(host).ip)


def _words(option: Option, count: int, what: str) -> Option:
    if len(option) <= count:
        raise ValueError(f"needs {what}")
    return option[1:]


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("is not an IP address with what belongs behind it") from None


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is not an IP network: names of networks are not resolved") from None


def _number(words: Sequence[str], low: int, high: int) -> int:
    text = words[0] if words else ""
    if not (text.isascii() and text.isdecimal()) or not low <= int(text[:9]) <= high:
        raise ValueError(f"is not a number from {low} to {high}")
    return int(text)
