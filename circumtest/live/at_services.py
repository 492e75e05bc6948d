"""Real services as the place of a run: what they answer to strangers, and their neutral controls.

All arms of a block ask the same endpoint, and endpoints take turns.  What a name is was asked for
outside; a tunnel that has resolvers of its own is asked again through it, as an app inside would
do.  It refuses to ask anybody who is not in the target files.
"""

from collections.abc import Sequence

from circumtest.errors import EnvironmentUnfit, HandshakeFailed
from circumtest.live.diagnosis import Far
from circumtest.live.locate import Located, resolved
from circumtest.live.places import Attempt
from circumtest.live.schedule import Slot
from circumtest.live.service import Endpoint, Service, fresh, in_turn
from circumtest.model import (
    CONTROLS,
    INSIDE,
    Address,
    Cause,
    Cell,
    Failure,
    Invalid,
    Outcome,
    Stage,
    Transport,
    Unsupported,
)
from circumtest.path import Path
from circumtest.plan import Plan
from circumtest.proof import Exchange
from circumtest.script import Script, enter


class Services:
    """The services of a plan."""

    def __init__(self, plan: Plan, versions: Sequence[int] = (4,)) -> None:
        assert plan.live is not None
        self._seed, self._versions = plan.outline.seed, tuple(versions)
        self._services: dict[str, Service] = dict(plan.live.services)
        self._outside: dict[Endpoint, Located] = {}
        self._inside: dict[int, dict[Endpoint, Located]] = {}

    @property
    def _endpoints(self) -> tuple[Endpoint, ...]:
        every = (
            one for each in self._services.values() for one in (*each.endpoints, *each.control)
        )
        return tuple(dict.fromkeys(every))

    @property
    def hosts(self) -> frozenset[str]:
        """All addresses that were told, outside and through any tunnel."""
        tables = (self._outside, *self._inside.values())
        return frozenset(
            address.host for table in tables for one in table.values() for address in one.addresses
        )

    @property
    def names(self) -> frozenset[str]:
        """The endpoints' names."""
        return frozenset(one.host for one in self._endpoints if one.address is None)

    @property
    def far(self) -> Far:
        """The plan's public STUN servers and its neutral TLS servers."""
        stun, tls = [], []
        for endpoint, located in self._outside.items():
            if not located.addresses:
                continue
            if endpoint.kind == "stun-binding" and endpoint.transport is Transport.UDP:
                stun.append(located.addresses[0])
            elif endpoint.kind == "tls":
                tls.append((located.addresses[0], endpoint.host))
        return Far(stun=tuple(stun), tls=tuple(tls))

    async def locate(self, outside: Path, resolvers: Sequence[str]) -> None:
        """Ask the system's resolvers for every name, freshly.

        Raises EnvironmentUnfit where there is nobody to ask for them.
        """
        if self.names and not resolvers:
            cure = "/etc/resolv.conf names none; or use a target file that has addresses only"
            raise EnvironmentUnfit("there is no resolver to ask for the services' names", cure)
        self._outside = await self._ask(outside, resolvers)

    async def enter(self, path: Path) -> None:
        """Ask the tunnel's own resolvers, where it names any."""
        if path.dns:
            self._inside[id(path)] = await self._ask(path, path.dns)

    async def _ask(self, path: Path, resolvers: Sequence[str]) -> dict[Endpoint, Located]:
        told = await resolved(self._endpoints, path, resolvers, versions=self._versions)
        return {one.endpoint: one for one in told}

    def transport(self, cell: Cell) -> Transport:
        """That of the service."""
        return self._services[cell.target].transport

    def exchanges(self, cell: Cell) -> tuple[Exchange | None, Exchange | None]:
        """The service's control; one over TCP beside it where its control goes over UDP."""
        service = self._services[cell.target]
        several = [one for one in service.control if self._outside[one].addresses]
        main = [one for one in several if one.transport is service.transport] or several
        streams = [
            one
            for one in self._endpoints
            if one.kind == "tls" and one.transport is Transport.TCP and self._outside[one].addresses
        ]
        if not main:
            return None, None
        first = in_turn(main, self._at)
        if main[0].transport is Transport.TCP:
            return first, None
        return first, in_turn(streams, self._at) if streams else None

    def _at(self, endpoint: Endpoint) -> Address:
        """Where one is that has an address outside."""
        return self._outside[endpoint].addresses[0]

    async def attempt(self, slot: Slot, path: Path, outside: Path) -> Attempt | Outcome:  # noqa: ARG002
        """The endpoint whose turn it is; where its name was forged, that is the arm's failure."""
        service = self._services[slot.cell.target]
        turn = service.neutral if slot.arm in CONTROLS else service.endpoint
        endpoint = turn(self._seed, slot.block)
        located = self._located(endpoint, path if slot.arm in INSIDE else None)
        match located.trouble:
            case Failure(cause=cause, detail=detail):
                return Attempt(lambda: _unresolved(cause, detail), path, (), str(endpoint))
            case Invalid() | Unsupported() as trouble:
                return trouble
        target: tuple[Address, ...] = located.addresses[:1]
        return Attempt(
            lambda: endpoint.reach(target, fresh()),
            path,
            (endpoint.transport,),
            str(endpoint),
        )

    def _located(self, endpoint: Endpoint, path: Path | None) -> Located:
        """As the tunnel's own resolvers have it, where it has any; else as the system's."""
        own = self._inside.get(id(path)) if path is not None else None
        return own[endpoint] if own else self._outside[endpoint]


def _unresolved(cause: Cause, detail: str) -> Script[None]:
    """A call that dies where its name does."""
    yield from enter(Stage.RESOLVE)
    raise HandshakeFailed(cause, detail)
