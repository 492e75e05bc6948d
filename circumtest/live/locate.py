"""Names of endpoints to addresses, freshly, over a path: its own resolver's or the system's.

What the resolver said stays told apart: no such name, refused, empty, forged, late, silent are
failures at `resolve`, as a call's own would be.  It refuses to remember anything, to ask anybody
but those it is given, and to take what a censor says for an address that the service has.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from circumtest.live.service import Endpoint, Service
from circumtest.model import (
    Address,
    Cause,
    Failure,
    Invalid,
    Stage,
    Success,
    Transport,
    Unsupported,
)
from circumtest.path import Path
from circumtest.play import play
from circumtest.resolve import Over, Resolver, resolve
from circumtest.script import Script, enter
from circumtest.wire import dns

PATIENCE = 5.0
"""Seconds for one question; another resolver is asked after one."""
Trouble = Failure | Invalid | Unsupported
"""What a question came to that no address came of."""
AT_ONCE = 16
"""Names that are asked for side by side."""


@dataclass(frozen=True, slots=True)
class Located:
    """An endpoint and its addresses, in the order given; none where, and only where, `trouble` says
    why.

    A Failure at `resolve` is what the network or the resolver said, Invalid that nobody could be
    asked (no resolver is known, or the tunnel is at fault), Unsupported that the path does not
    carry its IP version.
    """

    endpoint: Endpoint
    addresses: tuple[Address, ...]
    trouble: Trouble | None = None

    def address(self, rng: Random) -> Address:
        """One of them, by chance.  Raises ValueError where there is none."""
        if not self.addresses:
            raise ValueError(f"{self.endpoint} has no address")
        return rng.choice(self.addresses)


async def resolved(
    asked: Service | Endpoint | Iterable[Endpoint],
    path: Path,
    resolvers: Sequence[str | Resolver],
    *,
    versions: Sequence[int] = (4,),
    seed: int = 0,
) -> tuple[Located, ...]:
    """The endpoints (of a service: all, its control's behind them) with fresh addresses.

    `resolvers` are addresses, asked over UDP, or TCP where the path has no UDP, one after another;
    or whole Resolvers.  `versions` are the IP versions that the path carries.  Each name is asked
    for once.  Never raises for what the network does.
    """
    endpoints = _endpoints(asked)
    names = sorted({one.host for one in endpoints if one.address is None})
    right = {one.host: frozenset(one.right) for one in endpoints}
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> tuple[tuple[str, ...], Trouble | None]:
        async with gate:
            rng = Random(f"{seed}/{name}")
            return await _ask(name, path, resolvers, versions, right[name], rng)

    answers = await asyncio.gather(*(ask(name) for name in names))
    told = dict(zip(names, answers, strict=True))
    return tuple(_located(one, told, versions) for one in endpoints)


def _endpoints(asked: Service | Endpoint | Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    if isinstance(asked, Service):
        return (*asked.endpoints, *asked.control)
    return (asked,) if isinstance(asked, Endpoint) else tuple(asked)


def _located(
    endpoint: Endpoint,
    told: dict[str, tuple[tuple[str, ...], Trouble | None]],
    versions: Sequence[int],
) -> Located:
    if (own := endpoint.address) is not None:
        if own.version in versions:
            return Located(endpoint, (own,))
        no = f"the path carries no IPv{own.version}"
        return Located(endpoint, (), Unsupported(no))
    hosts, trouble = told[endpoint.host]
    return Located(endpoint, tuple(Address(host, endpoint.port) for host in hosts), trouble)


async def _ask(
    name: str,
    path: Path,
    resolvers: Sequence[str | Resolver],
    versions: Sequence[int],
    right: frozenset[str],
    rng: Random,
) -> tuple[tuple[str, ...], Trouble | None]:
    """The addresses of one name; why there are none, where all the versions asked for have none."""
    whom = _whom(path, resolvers)
    if not whom:
        return (), Invalid("network-down", detail="no resolver is known to ask for names")
    found: list[str] = []
    troubles: list[Trouble] = []
    for version in versions:
        known = frozenset(one for one in right if (":" in one) == (version == 6))
        if right and not known:
            continue
        for resolver in whom:
            got: list[str] = []
            outcome = (await play(_asking(got, resolver, name, version, known, rng), path)).outcome
            if isinstance(outcome, Success):
                found += got
                break
            troubles.append(outcome)
            if not _is_silence(outcome):
                break
        if not found and troubles and _is_silence(troubles[-1]):
            break  # nobody is there to ask: asking for the other version takes as long again
    if found:
        return tuple(dict.fromkeys(found)), None
    if not troubles:
        return (), Unsupported("the path carries no IP version that the name has addresses of")
    return (), min(troubles, key=_is_empty)


def _asking(
    got: list[str],
    resolver: Resolver,
    name: str,
    version: int,
    right: frozenset[str],
    rng: Random,
) -> Script[None]:
    yield from enter(Stage.RESOLVE)
    got += yield from resolve(resolver, name, version, rng, patience=PATIENCE, right=right)


def _whom(path: Path, resolvers: Sequence[str | Resolver]) -> list[Resolver]:
    """Whom to ask: those given by address are one resolver to a script, tried in turn."""
    over = Over.UDP if Transport.UDP in path.transports else Over.TCP
    own = tuple(Address(one, dns.PORT) for one in resolvers if isinstance(one, str))
    whole = [one for one in resolvers if isinstance(one, Resolver)]
    able = [one for one in whole if one.over.transport in path.transports]
    return [*([Resolver(over, own)] if own else ()), *able]


def _is_silence(outcome: Trouble) -> bool:
    """Whether another resolver is worth asking: this one said nothing, or not what a name has."""
    return isinstance(outcome, Failure) and not str(outcome.cause).startswith("dns_")


def _is_empty(outcome: Trouble) -> bool:
    """An empty answer for one version explains less than what the other one's was."""
    return isinstance(outcome, Failure) and outcome.cause is Cause.DNS_EMPTY
