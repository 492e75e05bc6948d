"""Services tried once over one path: side by side, a few endpoints each, one at a time each place.

It stops where the first endpoint answers, since more would only make more noise, and asks a neutral
place over the same path at the same time.  It refuses to compare one path with another.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from circumtest.live.checked import QUORUM, About, Tried
from circumtest.live.service import Endpoint, Service, fresh
from circumtest.model import (
    Address,
    Cause,
    Failure,
    Invalid,
    Outcome,
    Role,
    Stage,
    Success,
    Transport,
    Unsupported,
)
from circumtest.path import Path
from circumtest.play import play
from circumtest.script import Script

PATIENCE = 5.0
"""Seconds that one endpoint gets: half of what an app gives it, and this has to end in a minute."""

Places = Mapping[Endpoint, Address | Cause]
"""Where each endpoint is, or why its name gave no address."""

_ABOUT = {Role.CALL: About.CALLS, Role.MESSAGING: About.MESSAGES, Role.CONTROL: About.OTHER}


class Attempts:
    """Everything tried over one path: it knows which places are being asked just now."""

    def __init__(
        self,
        path: Path,
        places: Places,
        tell: Callable[[Tried], None],
        carried: frozenset[Transport] = frozenset(Transport),
    ) -> None:
        """`tell` is given what is known of a service whenever that has changed.

        `carried` are the transports that the path was not seen to drop.
        """
        self._path, self._places, self._tell = path, places, tell
        self._carried = path.transports & carried
        self._busy: dict[str, asyncio.Lock] = {}
        self._neutral: dict[Endpoint, asyncio.Task[Outcome]] = {}

    async def services(self, services: Sequence[Service]) -> None:
        """Try them all, side by side."""
        try:
            async with asyncio.TaskGroup() as group:
                for service in services:
                    group.create_task(self._service(service))
        finally:
            for task in self._neutral.values():
                task.cancel()
            await asyncio.gather(*self._neutral.values(), return_exceptions=True)

    async def _service(self, service: Service) -> None:
        """One endpoint, and where it does not answer the others, side by side."""
        tried = blank(service)
        self._tell(tried)
        able = [one for one in service.endpoints if one.transport in self._carried]
        for endpoint in service.endpoints:
            if endpoint not in able:
                cannot = f"it carries no {endpoint.transport.upper()}"
                tried = _with(tried, Unsupported(cannot))
        for together in filter(None, (able[:1], able[1:])):
            for outcome, control in await asyncio.gather(
                *(self._beside(service, endpoint) for endpoint in together)
            ):
                tried = _with(tried, outcome, control=control)
            self._tell(tried)
            if tried.worked or tried.void:
                break
        self._tell(tried)

    async def _beside(self, service: Service, endpoint: Endpoint) -> tuple[Outcome, bool]:
        return await asyncio.gather(self._at(endpoint), self._control(service, endpoint.transport))

    async def _at(self, endpoint: Endpoint) -> Outcome:
        """One exchange with one endpoint; others wait that would ask the same host."""
        place = self._places.get(endpoint, Cause.DNS_EMPTY)
        if isinstance(place, Cause):
            return Failure(Stage.RESOLVE, place)
        async with self._busy.setdefault(place.host, asyncio.Lock()):
            return await self._exchange(endpoint, place)

    async def _exchange(self, endpoint: Endpoint, place: Address) -> Outcome:
        return await once(self._path, endpoint.reach((place,), fresh()), endpoint.stages[0])

    async def _control(self, service: Service, transport: Transport) -> bool:
        """Whether one of the neutral places answered: one that is down decides nothing."""
        same = [one for one in service.control if one.transport is transport]
        for endpoint in (same or list(service.control))[:QUORUM]:
            if endpoint.transport not in self._carried:
                continue
            if endpoint not in self._neutral:
                self._neutral[endpoint] = asyncio.create_task(self._at(endpoint))
            if isinstance(await asyncio.shield(self._neutral[endpoint]), Success):
                return True
        return False


def blank(service: Service) -> Tried:
    """A service of which nothing is known yet."""
    return Tried(
        service=service.name,
        app=service.app.removesuffix("-call").removesuffix("-voice"),
        about=_ABOUT[service.role],
        shows=service.shows,
        does_not_show=service.does_not_show,
    )


def chosen(service: Service) -> Service:
    """The service with QUORUM of its endpoints, and of its control's of each transport.

    They are drawn anew for each check, of different hosts, those that somebody checked first.
    """
    neutral = [
        endpoint
        for transport in Transport
        for endpoint in _drawn([one for one in service.control if one.transport is transport])
    ]
    return dataclasses.replace(service, endpoints=_drawn(service.endpoints), control=tuple(neutral))


def _drawn(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    several = list(endpoints)
    fresh().shuffle(several)
    several.sort(key=lambda one: one.reported)
    first = list({one.host: one for one in reversed(several)}.values())[::-1]
    return tuple([*first, *(one for one in several if one not in first)][:QUORUM])


async def once(
    path: Path, script: Script[None], stage: Stage, patience: float = PATIENCE
) -> Outcome:
    """Play a script for `patience` seconds; one that is not over then died at `stage`."""
    try:
        async with asyncio.timeout(patience):
            return (await play(script, path)).outcome
    except TimeoutError:
        return Failure(stage, Cause.TIMEOUT, f"no answer in {patience:g} s")


def _with(tried: Tried, outcome: Outcome, *, control: bool | None = None) -> Tried:
    """A service with one more endpoint tried."""
    control = bool(tried.control or control) if control is not None else tried.control
    match outcome:
        case Success():
            attempts, worked = tried.attempts + 1, tried.worked + 1
            return replace(tried, attempts=attempts, worked=worked, control=control, cannot="")
        case Failure(stage, cause):
            died = f"{stage}: {cause}"
            return replace(
                tried, attempts=tried.attempts + 1, died=died, control=control, cannot=""
            )
        case Invalid():
            return replace(tried, void=tried.void + 1, control=control)
        case Unsupported(reason):
            return replace(tried, cannot=reason)
