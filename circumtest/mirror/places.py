"""Where a mirror listens: this machine's addresses, the ports, and what could not be had.

It refuses to listen on any address at large: an answer must leave from where it was asked.
"""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from circumtest.lab.services import Services
from circumtest.mirror.front import Front
from circumtest.model import Address, Transport

_ASKED = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Documentation addresses: connecting a UDP socket asks for a route, and sends nothing."""
_WHY = {
    errno.EADDRINUSE: "something else listens there",
    errno.EACCES: "ports below {least} are root's here",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
}


def own_addresses() -> tuple[str, ...]:
    """The addresses by which this machine reaches the Internet, one of each version."""
    found: list[str] = []
    for family, remote in _ASKED.items():
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((remote, 9))
            host = str(asking.getsockname()[0])
            if host not in ("0.0.0.0", "::"):  # noqa: S104  # it means nowhere
                found.append(host)
    return tuple(found)


def least_port() -> int:
    """The first port that anybody may have."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read())
    except (OSError, ValueError):
        return 1024


@dataclass
class Places:
    """What was bound, and what was not: (transport, port) and why."""

    udp: list[int] = field(default_factory=list)
    tcp: list[int] = field(default_factory=list)
    missing: dict[tuple[Transport, int], str] = field(default_factory=dict)
    forbidden: bool = False

    @property
    def advice(self) -> str:
        """What to type where ports are root's, "" where none is missing for that."""
        if not self.forbidden:
            return ""
        return (
            "to have them too, start it as root (it gives root up once it listens), or type:\n"
            f"  sudo sysctl net.ipv4.ip_unprivileged_port_start=80\n"
            f"or let systemd give it the right: packaging/circumtest-mirror.service "
            f"(user {os.geteuid()} has none)"
        )


def listen(
    services: Services,
    front: Front,
    hosts: Sequence[str],
    ports: dict[Transport, tuple[int, ...]],
) -> Places:
    """Listen at every port of every host; a port counts when all hosts have it."""
    places = Places()
    for transport, numbers in ports.items():
        for port in numbers:
            why = ""
            for host in hosts:
                try:
                    services.add(transport, [Address(host, port)], front)
                except OSError as error:
                    places.forbidden |= error.errno == errno.EACCES
                    words = _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
                    why = words.format(least=least_port())
            if why:
                places.missing[transport, port] = why
            else:
                (places.udp if transport is Transport.UDP else places.tcp).append(port)
    return places
