"""Whom a check asks beside the services: neutral places, in turn, and servers that tell addresses.

It refuses to ask anybody itself.
"""

from collections.abc import Iterable, Sequence

from circumtest.live.attempts import Places
from circumtest.live.neutral import Neutral
from circumtest.live.service import Endpoint, Service, in_turn
from circumtest.model import Address, Transport
from circumtest.path import Path
from circumtest.proof import Exchange

_STUN, _TLS = "stun-binding", "tls"


class Whom:
    """The services of a check and what stands beside them; `places` is where all of that is."""

    def __init__(self, services: Sequence[Service], neutral: Neutral | None) -> None:
        self._services, self._beside = services, neutral
        self.places: Places = {}

    def _neutral(self, transport: Transport) -> list[Endpoint]:
        found = {
            one: None
            for service in self._services
            for one in service.control
            if one.transport is transport and isinstance(self.places.get(one), Address)
        }
        return list(found)

    def exchange(self, path: Path) -> Exchange | None:
        """A neutral exchange, over UDP where the path says that it carries it.

        None where no neutral place has an address: names may not resolve.
        """
        udp = Transport.UDP in path.transports
        first = self._neutral(Transport.UDP) if udp else []
        places = first or self._neutral(Transport.TCP)
        return in_turn(places, self._at) if places else None

    def stream(self, path: Path) -> Exchange | None:
        """The same over TCP, None where the first is that already."""
        tcp = self._neutral(Transport.TCP)
        both = tcp and self._neutral(Transport.UDP) and Transport.UDP in path.transports
        return in_turn(tcp, self._at) if both else None

    def _at(self, endpoint: Endpoint) -> Address:
        place = self.places[endpoint]
        assert isinstance(place, Address)
        return place

    def stun(self) -> Iterable[Address]:
        """STUN servers of different hosts: the neutral ones, then those of the services."""
        neutral = self._beside
        found = {
            host: Address(host, one.port)
            for one in (neutral.stun if neutral else ())
            for host in one.addresses[:1]
        }
        for endpoint, place in self.places.items():
            if endpoint.kind == _STUN and isinstance(place, Address):
                found.setdefault(place.host, place)
        return found.values()

    def tls(self) -> Iterable[tuple[Address, str]]:
        for endpoint in self._neutral(Transport.TCP):
            if endpoint.kind == _TLS and endpoint.address is None:
                yield self._at(endpoint), endpoint.host

    def called(self) -> set[Endpoint]:
        """The services' own endpoints, without the neutral ones: those others call as well."""
        return {one for service in self._services for one in service.endpoints}
