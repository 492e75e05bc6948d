"""The lab's five namespaces, cables, addresses and routes.

IPv4 and IPv6 throughout, from the ranges that are reserved for documentation; nothing here can
reach anything else, since no cable leaves.  Every service has addresses of its own, because
inspection engines remember verdicts by address.  It refuses to know policies and tunnels.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from circumtest.answer import Mux
from circumtest.lab.services import Services
from circumtest.model import Address, Transport
from circumtest.netns import CABLE_ENDS, Links, Netns
from circumtest.path.direct import DirectPath
from circumtest.script import Answerer, Handshake, Relayed

CLIENT = {4: "192.0.2.2", 6: "2001:db8:2::2"}
EXIT = {4: "198.51.100.2", 6: "2001:db8:100::2"}
RESOLVER = {4: "192.0.2.10", 6: "2001:db8:4::2"}
"""Where servers at the exit say that names are resolved: the services' own addresses."""
SERVICES = {4: "203.0.113.0/24", 6: "2001:db8:113::/64"}
_SERVICE = {4: "203.0.113.{}/32", 6: "2001:db8:113::{}/128"}
_FIRST, _LAST = 10, 254

_ROOMS = ("client", "censor", "backbone", "services", "exit")


@dataclass(frozen=True, slots=True)
class _Cable:
    """From a room to the next one on the way to the backbone; at each end the link's name is the
    other room's, and the addresses are `near` and `far`, IPv4 and IPv6."""

    room: str
    near: tuple[str, str]
    towards: str
    far: tuple[str, str]


_CABLES = (
    _Cable(
        "client",
        ("192.0.2.2/30", "2001:db8:2::2/64"),
        "censor",
        ("192.0.2.1/30", "2001:db8:2::1/64"),
    ),
    _Cable(
        "censor",
        ("192.0.2.6/30", "2001:db8:3::2/64"),
        "backbone",
        ("192.0.2.5/30", "2001:db8:3::1/64"),
    ),
    _Cable(
        "services",
        ("192.0.2.10/30", "2001:db8:4::2/64"),
        "backbone",
        ("192.0.2.9/30", "2001:db8:4::1/64"),
    ),
    _Cable(
        "exit",
        ("198.51.100.2/30", "2001:db8:100::2/64"),
        "backbone",
        ("198.51.100.1/30", "2001:db8:100::1/64"),
    ),
)
# What lies behind a neighbour, where the default route does not lead there.
_BEYOND = {
    "backbone": (
        ("192.0.2.0/30", "192.0.2.6"),
        ("2001:db8:2::/64", "2001:db8:3::2"),
        (SERVICES[4], "192.0.2.10"),
        (SERVICES[6], "2001:db8:4::2"),
    )
}


@dataclass(frozen=True)
class Lab:
    """A lab that is up.  `outside` is the client's path without a tunnel."""

    client: Netns
    censor: Netns
    backbone: Netns
    services: Netns
    exit: Netns
    outside: DirectPath
    served: dict[str, tuple[Address, ...]]
    """Where each service is, by the name that it was given."""
    _answering: Services
    _numbers: dict[int, "count[int]"] = field(
        default_factory=lambda: {4: count(_FIRST), 6: count(_FIRST)}
    )

    @property
    def client_addresses(self) -> frozenset[str]:
        return frozenset(CLIENT.values())

    @property
    def exit_addresses(self) -> frozenset[str]:
        return frozenset(EXIT.values())

    @property
    def rooms(self) -> dict[str, Netns]:
        """The namespaces by name."""
        return {name: getattr(self, name) for name in _ROOMS}

    async def serve(
        self, handshake: Handshake, name: str, version: int = 4, beside: Iterable[Answerer] = ()
    ) -> tuple[Address, ...]:
        """Let `handshake` be answered at addresses of its own; they are its target.

        `beside` are answerers that listen at the same place.  Raises OSError when addresses or
        ports run out.
        """
        target = await self.place(handshake, name, version)
        answerer = Mux([handshake.answerer(), *beside])
        for place in (handshake.listen, *handshake.also):
            at = [Address(host, place.port) for host, _ in target[: handshake.listen.hosts]]
            self._answering.add(place.transport, at, answerer)
        return target

    async def place(self, handshake: Handshake, name: str, version: int = 4) -> tuple[Address, ...]:
        """Addresses for the far half of `handshake`, at which nobody answers yet but its callee.

        Raises OSError when addresses or ports run out.
        """
        listen = handshake.listen
        target = await self.addresses(listen.hosts, listen.port, version)
        if isinstance(handshake, Relayed):
            place = handshake.callee_listen
            target += await self.addresses(1, place.port, version)
            self._answering.add(place.transport, target[-1:], handshake.callee())
        self.served[name] = target
        return target

    def answer(self, transport: Transport, at: Sequence[Address], answerer: Answerer) -> None:
        """Let `answerer` answer at addresses that are the services'.  Raises OSError."""
        self._answering.add(transport, at, answerer)

    async def addresses(self, hosts: int, port: int, version: int) -> tuple[Address, ...]:
        """Addresses of the services' that nobody else has.  Raises OSError when they run out."""
        numbers = [next(self._numbers[version]) for _ in range(hosts)]
        if max(numbers) > _LAST:
            raise OSError(f"the lab has no IPv{version} addresses left for services")
        new = [_SERVICE[version].format(number) for number in numbers]

        def give(links: Links) -> None:
            for address in new:
                links.address("lo", address)

        await self.services.configure(give)
        return tuple(Address(address.partition("/")[0], port) for address in new)


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """Build the lab, and take it down on exit.  No policy is in force: the censor passes all.

    Raises EnvironmentUnfit when this process may not make namespaces.
    """
    async with AsyncExitStack() as stack:
        rooms = {name: await stack.enter_async_context(Netns.new(name)) for name in _ROOMS}
        await asyncio.gather(
            *(
                rooms[cable.room].veth(cable.towards, rooms[cable.towards], cable.room)
                for cable in _CABLES
            )
        )
        await asyncio.gather(
            *(netns.configure(partial(_furnish, name)) for name, netns in rooms.items())
        )
        answering = stack.enter_context(Services(rooms["services"]))
        outside = DirectPath(rooms["client"], "outside", frozenset(CLIENT.values()))
        yield Lab(
            rooms["client"],
            rooms["censor"],
            rooms["backbone"],
            rooms["services"],
            rooms["exit"],
            outside,
            {},
            answering,
        )


def _furnish(room: str, links: Links) -> None:
    # Otherwise only some refusals would be told (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
    links.sysctl("net.ipv4.icmp_ratelimit", 0)
    links.sysctl("net.ipv6.icmp.ratelimit", 0)
    if room in ("censor", "backbone"):
        links.forward()
    for cable in _CABLES:
        if cable.room == room:
            _plug(links, cable.towards, cable.near, cable.far, CABLE_ENDS[1])
        elif cable.towards == room:
            _plug(links, cable.room, cable.far, cable.near, CABLE_ENDS[0])
    for cable in _CABLES:
        if cable.room == room:
            for gateway in cable.far:
                links.route("default", via=gateway.partition("/")[0])
    for destination, gateway in _BEYOND.get(room, ()):
        links.route(destination, via=gateway)


def _plug(
    links: Links, link: str, own: Iterable[str], others: Iterable[str], hardware: str
) -> None:
    links.offloads_off(link)
    for address in own:
        links.address(link, address)
    # Known beforehand: the kernel begins to listen for solicitations at its leisure, and one that
    # is lost costs a second, which a trial must not read as a censor's doing.
    for address in others:
        links.neighbour(link, address.partition("/")[0], hardware)
