"""What kind of network this is, before any verdict: asked in a few seconds, as an ordinary user.

Everything is asked at once, of several that are independent, a packet or two each.  It refuses to
judge (`sight` does), to change anything, and to decide by one server.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import TypeVar

from circumtest.live import nat, probes
from circumtest.live.asking import ask
from circumtest.live.neutral import Neutral, Page, Server, Stun, load
from circumtest.live.sight import Answer, Environment, Resolved, Sight, judge
from circumtest.model import Address, Cause, Failure, Invalid, Stage
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.path.direct import DirectPath
from circumtest.script import Script, now

__all__ = ["PATIENCE", "Environment", "look"]

PATIENCE = 4.5
"""Seconds that a look may take in all."""
_RESOLVERS = 3
"""As many as systems ask."""
_LOOPBACK = "lo"
_NO_NAME = "its name does not resolve"

T = TypeVar("T")


async def look(
    home: Netns,
    resolvers: Sequence[str],
    neutral: Neutral | None = None,
    *,
    device: str = "",
    patience: float = PATIENCE,
) -> Environment:
    """Look from `home`, by `device` where one is named; `resolvers` are the system's, by address.

    `neutral` is whom to ask, the shipped file by default (raises ConfigError like its loader).  All
    of it takes `patience` seconds at most, twice that where this machine itself was late.
    """
    neutral = neutral or load()
    ways = home.ways_out()
    up = tuple(
        name
        for name in await home.links()
        if name != _LOOPBACK and (found := home.device(name)) is not None and found.up
    )
    if device:
        ways = {version: device for version in (4, 6) if _has(home, device, version)}
    if not ways:
        return judge(Sight({}, up))
    path = DirectPath(home, "outside", frozenset(), device=device)
    whom = tuple(resolvers)[:_RESOLVERS]
    sight = await _Look(path, ways, up, whom, patience).at(neutral)
    if sight.late and not judge(sight).fine:  # a busy machine: once more
        sight = await _Look(path, ways, up, whom, patience).at(neutral)
    return judge(sight)


def _has(home: Netns, device: str, version: int) -> bool:
    found = home.device(device)
    return found is not None and any((":" in one) == (version == 6) for one in found.addresses)


@dataclass
class _Look:
    """One look: who is asked by what, and what has come of it."""

    path: Path
    ways: dict[int, str]
    up: tuple[str, ...]
    resolvers: tuple[str, ...]
    patience: float

    def __post_init__(self) -> None:
        self._names: list[Resolved] = []
        self._late = False
        self._rng: Random = SystemRandom()
        self._version = 4 if 4 in self.ways else 6
        self._end = asyncio.get_running_loop().time() + self.patience

    async def at(self, neutral: Neutral) -> Sight:
        invented = f"{self._rng.getrandbits(48):012x}.invalid"
        pages, servers, listed, stun, forged = await asyncio.gather(
            asyncio.gather(*(self._page(one) for one in neutral.pages)),
            asyncio.gather(*(self._server(one) for one in neutral.servers)),
            asyncio.gather(*(self._server(one) for one in neutral.listed)),
            self._stun(neutral.stun),
            asyncio.gather(*(self._ask(one, invented) for one in self.resolvers)),
        )
        return Sight(
            self.ways,
            self.up,
            tuple(self._names),
            forged,
            pages,
            [one for some in servers for one in some],
            [one for some in listed for one in some],
            *stun,
            late=self._late,
        )

    # -------------------------------------------------------------- names

    async def _ask(self, resolver: str, name: str) -> Resolved:
        at = Address(resolver, 53)
        heard = await self._heard(lambda: probes.name(at, name, self._version, self._rng))
        if isinstance(heard, Failure):
            return Resolved(resolver, name, (), heard.cause)
        return Resolved(resolver, name, heard)

    async def _resolve(self, name: str) -> str | None:
        """An address of `name` by the system's resolvers, all of them asked at once."""
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            pass
        asked = await asyncio.gather(*(self._ask(one, name) for one in self.resolvers))
        self._names += asked or [Resolved("", name, (), Cause.DNS_EMPTY)]
        return next((one.addresses[0] for one in asked if one.addresses), None)

    # -------------------------------------------------------------- servers

    async def _page(self, page: Page) -> Answer:
        host = await self._resolve(page.name)
        if host is None:
            return Answer(page.name, self._version, said=_NO_NAME)
        at = Address(host, page.port)
        left = self._left()
        heard = await self._heard(lambda: _until(left, lambda end: probes.page(at, page, end)))
        if isinstance(heard, Failure):
            spoke = heard.cause is Cause.MALFORMED
            return Answer(page.name, at.version, other=spoke, said=str(heard.cause))
        off = None if heard.offset is None else -heard.offset
        other = not heard.right
        return Answer(page.name, at.version, heard.right, other, off=off, said=heard.said)

    async def _server(self, server: Server) -> list[Answer]:
        """By its name, or by its addresses of every version there is a route for."""
        hosts = [one for one in server.addresses if Address(one, 0).version in self.ways]
        if hosts:
            return await asyncio.gather(*(self._greet(server, one, True) for one in hosts))
        host = await self._resolve(server.name)
        if host is None:
            return [Answer(server.name, self._version, said=_NO_NAME)]
        return [await self._greet(server, host, False)]

    async def _greet(self, server: Server, host: str, by_number: bool) -> Answer:
        at = Address(host, server.port)
        left = self._left()
        heard = await self._heard(
            lambda: _until(left, lambda end: probes.greeting(at, server.name, end))
        )
        if isinstance(heard, Failure):
            spoke = heard.cause in (Cause.MALFORMED, Cause.ERROR_REPLY)
            said = heard.detail if spoke else str(heard.cause)  # other details name addresses
            return Answer(server.name, at.version, False, spoke, by_number, said=said)
        said = "" if heard.right else "shows somebody else's certificate"
        if heard.right and heard.off:
            said = "its certificate is not valid at this machine's time"
        return Answer(
            server.name, at.version, heard.right, not heard.right, by_number, heard.off, said
        )

    async def _stun(self, servers: Sequence[Stun]) -> tuple[list[Answer], bool]:
        """All of them from one socket; and whether they saw different ports of it."""
        hosts = await asyncio.gather(*(self._host(one) for one in servers))
        places = {
            one: Address(host, one.port)
            for one, host in zip(servers, hosts, strict=True)
            if host is not None
        }
        if not places:
            silent = [Answer(one.name, self._version, said=_NO_NAME) for one in servers]
            return silent, False
        heard = await self._heard(
            lambda: nat.asked_at_once(tuple(places.values()), self._rng, self._left())
        )
        seen = {} if isinstance(heard, Failure) else heard
        answers = [
            Answer(
                one.name,
                self._version,
                ok=places.get(one) in seen,
                said=str(Cause.TIMEOUT) if one in places else _NO_NAME,
            )
            for one in servers
        ]
        return answers, nat.compared(seen).symmetric

    async def _host(self, server: Stun) -> str | None:
        fitting = [one for one in server.addresses if Address(one, 0).version == self._version]
        return fitting[0] if fitting else await self._resolve(server.name)

    # -------------------------------------------------------------- time

    def _left(self) -> float:
        return max(self._end - asyncio.get_running_loop().time(), 0.1)

    async def _heard(self, script: Callable[[], Script[T]]) -> T | Failure:
        """What a script gave, or how it failed; silence where the time is over."""
        try:
            async with asyncio.timeout(self._left() + 0.1):
                told = await ask(self.path, script())
        except TimeoutError:
            return Failure(Stage.CONNECTIVITY, Cause.TIMEOUT)
        if isinstance(told, Invalid):  # we were late ourselves: nobody's word
            self._late = True
            return Failure(Stage.CONNECTIVITY, Cause.TIMEOUT, told.detail)
        return told


def _until(left: float, script: Callable[[float], Script[T]]) -> Script[T]:
    """A script that is to end in `left` seconds from when it begins."""
    return (yield from script((yield from now()) + left))
