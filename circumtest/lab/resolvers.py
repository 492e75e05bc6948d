"""The lab's resolvers: the provider's, which may lie, and the one that tunnels name.

Both know where the called service is.  They refuse to know any other name.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from circumtest.lab.topology import RESOLVER, Lab
from circumtest.model import Address, Transport
from circumtest.names import Mood, Names, Zone, https
from circumtest.path import Path
from circumtest.resolve import Over, Resolver

NAME = "resolver.call.test"
"""What both are called over HTTPS."""
SECRET = "circumtest lab"


async def serve(lab: Lab, zone: Zone, version: int) -> str:
    """Let the provider's resolver tell the zone in its mood; its address, which nobody else has.

    The tunnels' resolver, at the services' own addresses, tells it honestly.  Both do so over UDP,
    TCP and HTTPS.  Raises OSError when addresses run out.
    """
    (provider,) = await lab.addresses(1, Over.UDP.port, version)
    _answer(lab, provider.host, zone)
    for host in RESOLVER.values():
        _answer(lab, host, replace(zone, mood=Mood.HONEST))
    return provider.host


def _answer(lab: Lab, host: str, zone: Zone) -> None:
    plain = Names(zone, SECRET)
    lab.answer(Transport.UDP, [Address(host, Over.UDP.port)], plain)
    lab.answer(Transport.TCP, [Address(host, Over.TCP.port)], plain)
    lab.answer(Transport.TCP, [Address(host, Over.DOH.port)], https(zone, SECRET, NAME))


def asked(path: Path, over: Over, provider: str, version: int) -> Resolver:
    """Whom a system asks that is behind `path`, and how.

    The resolvers that the path names, of the IP version that is called if there is one; where it
    names none, the provider's.  A browser's DoH resolver is its own, wherever it is.  Where the
    path carries no UDP, TCP takes its place.
    """
    if over is Over.UDP and Transport.UDP not in path.transports:
        over = Over.TCP
    named = () if over is Over.DOH else path.dns
    hosts = _fitting(named, version) or named or (provider,)
    return Resolver(over, tuple(Address(host, over.port) for host in hosts), NAME, SECRET)


def _fitting(hosts: Sequence[str], version: int) -> tuple[str, ...]:
    return tuple(host for host in hosts if ipaddress.ip_address(host).version == version)
