"""Links, addresses and routes of the namespace that the calling thread is in, by netlink.

pyroute2 keeps its netlink socket per thread and opens it in the namespace of the thread that first
uses it, so everything here runs on a `Netns`'s own thread, handed over by `Netns.configure`.  Only
this file and `seen` import pyroute2.  It refuses to know about more than one namespace at a time:
the others are file descriptors.
"""

import ctypes
import errno
import fcntl
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetlinkError, WireGuard

from circumtest.errors import EnvironmentUnfit
from circumtest.model import Address
from circumtest.netns import seen

_SIOCETHTOOL = 0x8946
# linux/ethtool.h: receive and send checksums, scatter-gather, and the three that merge packets
_OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
CABLE_ENDS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
"""Hardware addresses of a veth's own and its peer's end: each cable is a network of its own."""
_FIRST_CABLE = 1000
"""Cables made here are numbered from this on; their other ends are, as everything is, from 2 on."""
_IFA_F_NODAD, _RTN_LOCAL, _IFF_UP = 0x02, 2, 1
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}

_KIN = {"wireguard": "WireGuard", "amneziawg": "AmneziaWG"}

_here = threading.local()


@dataclass(frozen=True, slots=True)
class WireguardPeer:
    """One peer: base64 keys, `allowed_ips` with prefix lengths, `keepalive` in seconds or 0."""

    public_key: str
    allowed_ips: tuple[str, ...]
    endpoint: Address | None = None
    preshared_key: str = field(default="", repr=False)
    keepalive: int = 0


def netlink() -> "Links":
    """The Links of this thread, made on first use."""
    if not hasattr(_here, "links"):
        _here.links = Links()
    links: Links = _here.links
    return links


def end_netlink() -> None:
    """Close this thread's netlink socket."""
    if hasattr(_here, "links"):
        _here.links.close()
        del _here.links


class Links:
    """Operations on this thread's namespace; each raises OSError with the kernel's errno."""

    def __init__(self) -> None:
        self._route = IPRoute()
        self._fresh: list[tuple[str, str]] = []
        self._cables = count(_FIRST_CABLE)

    def close(self) -> None:
        self._route.close()

    def prepare(self) -> None:
        """What every new namespace gets: `lo` up, IPv6 addresses usable at once, no chatter."""
        self.sysctl("net.ipv6.conf.default.addr_gen_mode", 1)  # none: see `plug`
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.accept_ra", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.router_solicitations", 0)
        self.up("lo")

    def veth(self, name: str, peer: int, peer_name: str) -> None:
        """A cable from `name` here to `peer_name` in the namespace of descriptor `peer`."""
        own, other = CABLE_ENDS
        ends = {"ifname": peer_name, "net_ns_fd": peer, "address": other}
        # Were both ends' numbers the same, the kernel would take neither for a cable's, and tell
        # of their carriers up to a second late (net/core/link_watch.c): a change that daemons see.
        with _named(f"add veth {name}"):
            self._route.link(
                "add",
                index=next(self._cables),
                ifname=name,
                kind="veth",
                address=own,
                peer=ends,
            )

    def plug(self, link: str, number: int) -> None:
        """Bring a cable's end up and give it the link-local address fe80::`number`.

        The kernel's own comes when it has noticed the carrier, up to a second late, and until then
        a router cannot ask for its neighbours (RFC 4861 7.2.2).
        """
        self.up(link)
        self.address(link, f"fe80::{number}/64")

    def operating(self, link: str) -> bool:
        """Has the kernel taken notice of the link's carrier (RFC 2863, ifOperStatus up)?"""
        (found,) = self._route.get_links(socket.if_nametoindex(link))
        return bool(found.get_attr("IFLA_OPERSTATE") == "UP")

    def neighbour(self, link: str, address: str, hardware: str) -> None:
        """Who has `address` on `link`, so that nobody has to ask: no ARP, no solicitation."""
        with _named(f"add neighbour {address} on {link}"):
            self._route.neigh(
                "add",
                dst=address,
                lladdr=hardware,
                ifindex=socket.if_nametoindex(link),
                state="permanent",
            )

    def address(self, link: str, address: str) -> None:
        """Add "192.0.2.1/24" or "2001:db8::1/64"; IPv6 without duplicate address detection."""
        interface = ipaddress.ip_interface(address)
        extra = {} if interface.version == 4 else {"flags": _IFA_F_NODAD}
        with _named(f"add address {address} to {link}"):
            self._route.addr(
                "add",
                index=socket.if_nametoindex(link),
                address=str(interface.ip),
                prefixlen=interface.network.prefixlen,
                **extra,
            )
        if interface.version == 6:
            self._fresh.append((link, str(interface.ip)))

    def settled(self) -> bool:
        """Does the kernel answer for every IPv6 address by now?  It takes them on at its leisure.

        An address on a link that is down is not waited for, one whose link is gone is forgotten.
        """
        if not self._fresh:
            return True
        here = set(self.names())
        self._fresh = [
            (link, address)
            for link, address in self._fresh
            if link in here and not self._is_local(link, address)
        ]
        return not any(self._is_up(link) for link, _ in self._fresh)

    def _is_local(self, link: str, address: str) -> bool:
        oif = {"oif": socket.if_nametoindex(link)} if address.startswith("fe80:") else {}
        try:
            (route,) = self._route.route("get", dst=address, family=socket.AF_INET6, **oif)
        except NetlinkError:
            return False
        return bool(route["type"] == _RTN_LOCAL)

    def _is_up(self, link: str) -> bool:
        (found,) = self._route.get_links(socket.if_nametoindex(link))
        return bool(found["flags"] & _IFF_UP)

    def up(self, link: str) -> None:
        self._set(link, state="up")

    def mtu(self, link: str, octets: int) -> None:
        self._set(link, mtu=octets)

    def move(self, link: str, to: int) -> None:
        """Move a device to the namespace of descriptor `to`."""
        self._set(link, net_ns_fd=to)

    def delete(self, link: str) -> None:
        """Delete a device (and the other end of a veth)."""
        with _named(f"delete link {link}"):
            self._route.link("del", index=socket.if_nametoindex(link))

    def route(
        self,
        destination: str,
        *,
        via: str | None = None,
        dev: str | None = None,
        version: int | None = None,
        own: str | None = None,
    ) -> None:
        """Add a route to a prefix or "default", through a gateway, a device, or both.

        With `own` everything that goes there is taken in here (`ip route add local`), and what is
        sent there comes from that address.
        """
        if destination == "default":
            family = version or (ipaddress.ip_address(via).version if via else 4)
            network = ipaddress.ip_network(_DEFAULT[family])
        else:
            network = ipaddress.ip_network(destination)
        fields: dict[str, Any] = {"dst": str(network), "family": _family(network.version)}
        if via:
            fields["gateway"] = via
        if dev:
            fields["oif"] = socket.if_nametoindex(dev)
        if own:
            fields |= {"type": "local", "scope": "host", "prefsrc": own}
        with _named(f"add route {destination} via {via} dev {dev}"):
            self._route.route("add", **fields)

    def forward(self) -> None:
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)

    def sysctl(self, key: str, value: str | int) -> None:
        """Write a value under /proc/sys; a dot in an interface's name is written as a slash."""
        name = key.translate(str.maketrans("./", "/."))
        Path("/proc/sys", name).write_text(str(value))

    def names(self) -> tuple[str, ...]:
        return tuple(name for _, name in socket.if_nameindex())

    def device(self, name: str) -> seen.Device | None:
        """What a device is like just now, None when there is none of that name."""
        return seen.device(self._route, name)

    def ways_out(self) -> dict[int, str]:
        """By IP version the device by which packets leave for far away."""
        return seen.ways_out(self._route)

    def way_to(self, host: str) -> str | None:
        """The device by which a packet to one address would leave."""
        return seen.way_to(self._route, host)

    def ways_below(self) -> dict[int, str]:
        """By IP version the device below whatever tunnel leads out."""
        return seen.ways_below(self._route)

    def offloads_off(self, link: str) -> None:
        """One packet in is one packet out, with real checksums: what a censor would see."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for command in _OFFLOADS:
                value = bytearray(struct.pack("=II", command, 0))
                try:
                    _ethtool(any_socket, link, value)
                except OSError as error:
                    if error.errno != errno.EOPNOTSUPP:  # then there is nothing to turn off
                        raise

    # -------------------------------------------------------------- WireGuard

    def wireguard(self, name: str, kind: str = "wireguard") -> None:
        """Create a WireGuard device, or one of its kin.

        Raises EnvironmentUnfit when the kernel knows none.
        """
        try:
            with _named(f"add {kind} {name}"):
                self._route.link("add", ifname=name, kind=kind)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENODEV):
                raise
            missing = f"this kernel has no {_KIN[kind]}"
            raise EnvironmentUnfit(missing, f"modprobe {kind} (as root)") from None

    def set_wireguard(
        self,
        name: str,
        private_key: str,
        peers: tuple[WireguardPeer, ...],
        listen_port: int | None,
    ) -> None:
        """Key and port first, then one message a peer.  No mark is set: namespaces route."""
        with WireGuard() as device, _named(f"configure wireguard {name}"):
            device.set(name, private_key=private_key, listen_port=listen_port)
            for peer in peers:
                device.set(name, peer=_peer_fields(peer))

    def last_handshakes(self, name: str) -> dict[str, float]:
        """Per public key the Unix time of the last handshake, 0.0 for never."""
        with WireGuard() as device, _named(f"ask wireguard {name}"):
            answers = list(device.info(name))
        found: dict[str, float] = {}
        for answer in answers:
            for peer in answer.get_attr("WGDEVICE_A_PEERS") or ():
                key = peer.get_attr("WGPEER_A_PUBLIC_KEY")
                at = peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME") or {}
                text = key.decode() if isinstance(key, bytes) else str(key)
                found[text] = at.get("tv_sec", 0) + at.get("tv_nsec", 0) / 1e9
        return found

    def wireguard_counters(self, name: str) -> tuple[float, int, int]:
        """All peers summed up: last handshake (Unix time, 0.0 for never), bytes in, bytes out."""
        with WireGuard() as device, _named(f"ask wireguard {name}"):
            answers = list(device.info(name))
        latest, received, sent = 0.0, 0, 0
        for answer in answers:
            for peer in answer.get_attr("WGDEVICE_A_PEERS") or ():
                at = peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME") or {}
                latest = max(latest, at.get("tv_sec", 0) + at.get("tv_nsec", 0) / 1e9)
                received += peer.get_attr("WGPEER_A_RX_BYTES") or 0
                sent += peer.get_attr("WGPEER_A_TX_BYTES") or 0
        return latest, received, sent

    def _set(self, link: str, **fields: Any) -> None:
        with _named(f"set {link} {fields}"):
            self._route.link("set", index=socket.if_nametoindex(link), **fields)


def _peer_fields(peer: WireguardPeer) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "public_key": peer.public_key,
        "allowed_ips": list(peer.allowed_ips),
        "replace_allowed_ips": True,
    }
    if peer.endpoint:
        fields["endpoint_addr"], fields["endpoint_port"] = peer.endpoint
    if peer.preshared_key:
        fields["preshared_key"] = peer.preshared_key
    if peer.keepalive:
        fields["persistent_keepalive"] = peer.keepalive
    return fields


def _family(version: int) -> int:
    return socket.AF_INET6 if version == 6 else socket.AF_INET


def _ethtool(any_socket: socket.socket, link: str, value: bytearray) -> None:
    holder = (ctypes.c_char * len(value)).from_buffer(value)
    request = struct.pack("16sP16x", link.encode(), ctypes.addressof(holder))
    fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


@contextmanager
def _named(operation: str) -> Iterator[None]:
    """Say which operation failed, as an OSError: nobody above knows pyroute2's exceptions."""
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, f"{os.strerror(error.code)} ({operation})") from None
