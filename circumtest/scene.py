"""One cell played in a lab of its own: the arms of its blocks, in the plan's order.

A tunnel that does not come up costs its own cell only: its inside arms are INVALID, the outside
ones are played all the same.  It refuses to judge, and to know how many cells there are.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from circumtest import handoff
from circumtest.censor.enforce import Enforced, enforced
from circumtest.censor.load import policy
from circumtest.errors import EnvironmentUnfit, TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.lab import resolvers
from circumtest.lab.network import Network, conditions
from circumtest.lab.observer import Frames, Observer, observing
from circumtest.lab.topology import Lab, lab
from circumtest.ladders import PACES
from circumtest.model import (
    CONTROLS,
    INSIDE,
    Address,
    Arm,
    Cell,
    Failure,
    Invalid,
    Record,
    Success,
    Transport,
    Trial,
    TunnelFault,
    Unsupported,
)
from circumtest.named import Named, Naming, host_name
from circumtest.names import Zone
from circumtest.path import Path
from circumtest.plan import Plan
from circumtest.play import invalid, lacking, play
from circumtest.process import ProcessEnded
from circumtest.proof import prove
from circumtest.resolve import GRACE
from circumtest.script import Handshake, Script

PATIENCE = 10.0
"""Seconds in which a tunnel that names no patience of its own must carry something."""

HURRIED = 0.25
"""Seconds that a round trip may take in a lab.  The slowest tunnel, mKCP, needs 0.02."""

Save = Callable[[Trial], Awaitable[None]]
"""Puts a finished trial on disk; the next one begins when it is there."""

Tell = Callable[[Frames, bool], Awaitable[None]]
"""Told what an observer at the censor saw of the tunnel, and whether a trial was played in it."""


@dataclass(frozen=True)
class Ground:
    """Where a cell is played: the two paths, or why there is no inside, and the target."""

    censor: Enforced
    network: Network
    outside: Path
    inside: Path | TunnelDown
    target: Sequence[Address]
    provider: str = ""
    """The provider's resolver, where the target is called by name."""
    observer: Observer | None = None
    """Who watches the tunnel from its bring-up on."""


@dataclass(frozen=True)
class Scene:
    """A cell of a plan, and which of its trials are on disk already."""

    plan: Plan
    cell: Cell
    done: Collection[tuple[int, Arm]]
    tell: Tell | None = None
    """Where somebody is to watch the bring-up and the first trial inside."""

    async def play(
        self, blocks: Sequence[int], gate: asyncio.Semaphore, save: Save, enough: Callable[[], bool]
    ) -> None:
        """Play what is missing of `blocks` until there is `enough`, in a lab of its own.

        `gate` bounds how many labs are built at the same time.  Raises EnvironmentUnfit when the
        lab itself cannot be built here.
        """
        if all((block, arm) in self.done for block in blocks for arm in Arm):
            return
        async with self._ground(gate, blocks) as ground:
            observer = ground.observer
            for block in blocks:
                if enough():
                    return
                for arm in self.plan.order(self.cell, block):
                    if (block, arm) not in self.done:
                        if observer:
                            observer.heed(arm in INSIDE)
                        started = time.time()
                        record = await self._try(ground, block, arm)
                        await save(Trial(self.cell, block, arm, started, record))
                        if observer and self.tell and arm is Arm.INSIDE:
                            played = isinstance(record.outcome, Success | Failure)
                            await self.tell(observer.end(), played)
                            observer = None

    async def _try(self, ground: Ground, block: int, arm: Arm) -> Record:
        lost, dropped = ground.censor.counters().lost, ground.network.lost()
        record = await self._once(ground, block, arm)
        record = unless_cut_off(record, ground.network, dropped)
        return unless_uncensored(record, ground.censor, lost)

    async def _once(self, ground: Ground, block: int, arm: Arm) -> Record:
        handshake, target = self._handshake, ground.target
        path = ground.inside if arm in INSIDE else ground.outside
        if isinstance(path, TunnelDown):
            return Record(invalid(path), 0.0)
        if arm in CONTROLS:
            handshake = self.plan.control(self.cell)
            target = _beside(handshake, target)
        elif naming := self.plan.naming(self.cell.handshake):
            handshake = self._named(naming, path, ground.provider)
        transport = handshake.listen.transport
        needed = (transport, *(place.transport for place in handshake.also))
        if missing := lacking(path, needed):
            return Record(Unsupported(missing), 0.0)
        rng = self.plan.rng(self.cell, block, arm)
        if arm is Arm.INSIDE:
            script, path = handoff.prepared(handshake, target, rng, path, ground.outside)
        else:
            script = handshake.script(target, rng)
        return unless_overloaded(await play(script, path), transport, ground.network.trip)

    @property
    def _handshake(self) -> Handshake:
        return self.plan.handshake(self.cell.handshake)

    def _named(self, naming: Naming, path: Path, provider: str) -> Handshake:
        """The handshake by name, resolved as a system behind `path` does it."""
        version = self.plan.version(self.cell.target)
        name = host_name(self.cell.handshake, version)
        resolver = resolvers.asked(path, naming.over, provider, version)
        return Named(self._handshake, name, resolver, self.plan.outline.level)

    @asynccontextmanager
    async def _ground(
        self, gate: asyncio.Semaphore, blocks: Sequence[int]
    ) -> AsyncIterator[Ground]:
        async with AsyncExitStack() as stack:
            async with gate:
                here = await stack.enter_async_context(lab())
                seed = self.plan.seed(self.cell, blocks[0])
                rules = policy(self.cell.policy)
                censor = await stack.enter_async_context(enforced(here.censor, rules, seed))
                links = conditions(here, rules.network, seed)
                network = await stack.enter_async_context(links)
                target = await self._serve(stack, here)
                provider = await self._resolve(here, target)
                fields = await self._server(stack, here)
            observer = stack.enter_context(observing(here.censor)) if self.tell else None
            inside = await self._bring_up(stack, here, fields, target)
            yield Ground(censor, network, here.outside, inside, target, provider, observer)

    async def _serve(self, stack: AsyncExitStack, here: Lab) -> tuple[Address, ...]:
        """Start the far half and the neutral control's; where the handshake goes."""
        handshake, control = self._handshake, self.plan.control(self.cell)
        name, version = self.cell.handshake, self.plan.version(self.cell.target)
        far = self.plan.far(name)
        if far is None:
            return await here.serve(handshake, name, version, beside=[control.answerer()])
        target = await here.place(handshake, name, version)
        here.answer(control.listen.transport, _beside(control, target), control.answerer())
        try:
            await stack.enter_async_context(far.serve(here, handshake, target))
        except (ProcessEnded, TimeoutError) as error:
            # Without it there is nobody to call, which must not look like a blocked call.
            raise EnvironmentUnfit(f"the far end of {name} did not start: {error}") from error
        return target

    async def _resolve(self, here: Lab, target: Sequence[Address]) -> str:
        """Start the resolvers that know the service's name; the provider's address, or ""."""
        naming = self.plan.naming(self.cell.handshake)
        if naming is None:
            return ""
        version = self.plan.version(self.cell.target)
        service = target[: self._handshake.listen.hosts]
        names = {host_name(self.cell.handshake, version): tuple(one.host for one in service)}
        late = PACES[self.plan.outline.level].patience + GRACE / 3
        return await resolvers.serve(here, Zone(names, naming.outside, late), version)

    async def _server(self, stack: AsyncExitStack, here: Lab) -> dict[str, Any] | TunnelDown:
        """Start what stands at the exit; the fields that it gives to the client's tunnel."""
        server = self.plan.server(self.cell.tunnel)
        if server is None:
            # Nobody knows how what people bring is seen; the outside again is seen as the client.
            control = self.plan.is_control(self.cell.tunnel)
            return self.plan.exits(self.cell.tunnel, here.client_addresses) if control else {}
        try:
            fields: dict[str, Any] = await stack.enter_async_context(server.serve(here))
        except (EnvironmentUnfit, ProcessEnded, TimeoutError) as error:
            return TunnelDown(TunnelFault.BINARY, f"the lab's server did not start: {error}")
        return {**fields, **self.plan.exits(self.cell.tunnel, here.exit_addresses)}

    async def _bring_up(
        self,
        stack: AsyncExitStack,
        here: Lab,
        fields: dict[str, Any] | TunnelDown,
        target: Sequence[Address],
    ) -> Path | TunnelDown:
        """The path inside, proved by a neutral exchange with the target; or why there is none."""
        if isinstance(fields, TunnelDown):
            return fields
        tunnel = self.plan.tunnel(self.cell.tunnel, fields)
        try:
            path: Path = await stack.enter_async_context(tunnel.up(here.client))
            if not self.plan.is_control(self.cell.tunnel):
                await self._prove(here, path, target, getattr(tunnel, "patience", PATIENCE))
        except TunnelDown as down:
            return down
        except EnvironmentUnfit as unfit:
            return TunnelDown(TunnelFault.BINARY, str(unfit))
        return path

    async def _prove(
        self, here: Lab, path: Path, target: Sequence[Address], patience: float
    ) -> None:
        control = self.plan.control(self.cell)
        if control.listen.transport not in path.transports:
            return  # its trials are unsupported, and say so
        chance = self.plan.chance(self.cell)
        there = _beside(control, target)
        stream = None
        if control.listen.transport is Transport.UDP and Transport.TCP in path.transports:
            other = Echo(Transport.TCP)
            place = await here.serve(other, "proof", self.plan.version(self.cell.target))

            def stream() -> Script[None]:
                return other.script(place, chance)

        await prove(path, lambda: control.script(there, chance), patience, stream)


def _beside(control: Handshake, target: Sequence[Address]) -> tuple[Address, ...]:
    """Where a handshake's neutral control is answered."""
    return (target[0]._replace(port=control.listen.port),)


def unless_overloaded(
    record: Record, transport: Transport = Transport.UDP, trip: float = 0.0
) -> Record:
    """The record; INVALID where packets were later than a lab's can be, and it matters.

    It does where the call failed, or where sound that came too late spoils what a listener says of
    it.  A lab has no delay but `trip`, what a round trip may take by the policy's network: HURRIED
    beyond it, it is this machine that has too much to do, and what is lost then was lost to full
    queues of its own programs.  Of a stream that says nothing: there a censor who loses segments
    makes the others late.
    """
    if transport is Transport.TCP:
        return record
    trips = [one.rtt for media in record.media for one in (media.up, media.down) if one.rtt]
    late = any(way.late for media in record.media for way in (media.up, media.down))
    matters = isinstance(record.outcome, Failure) or (isinstance(record.outcome, Success) and late)
    if not matters or max(trips, default=0.0) <= HURRIED + trip:
        return record
    delay = f"with {trip:.2f} s of delay" if trip else "without delay"
    detail = f"a round trip took {max(trips):.2f} s in a lab {delay}"
    return msgspec.structs.replace(record, outcome=Invalid("overloaded", detail=detail))


def unless_cut_off(record: Record, network: Network, lost: int) -> Record:
    """The record; INVALID where the links were not what the policy says, whatever came of it.

    `lost` is how many packets the network's emulator had been too slow for when the trial began.
    """
    more = network.lost() - lost
    return _unless_broken(record, "network-down", network.fault(), "network's emulator", more)


def unless_uncensored(record: Record, censor: Enforced, lost: int) -> Record:
    """The record; INVALID where the censor did not do what its policy says, whatever came of it.

    `lost` is how many packets the middlebox had had no room for when the trial began.
    """
    more = censor.counters().lost - lost
    return _unless_broken(record, "censor-down", censor.fault(), "middlebox", more)


def _unless_broken(record: Record, reason: str, fault: str | None, who: str, lost: int) -> Record:
    """The record; INVALID for `reason` where there is a fault, or where `who` lost packets."""
    if fault:
        return msgspec.structs.replace(record, outcome=Invalid(reason, detail=fault))
    if lost:
        detail = f"the {who} had no time for {lost} packets"
        return msgspec.structs.replace(record, outcome=Invalid("overloaded", detail=detail))
    return record
