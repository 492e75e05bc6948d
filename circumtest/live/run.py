"""A plan carried out on a real network: one trial at a time, each on disk before the next begins.

First the network itself is looked at: where it is not as it should be nothing is tried, and every
cell is inconclusive(environment).  Then tunnels are brought up where this machine lets them, and
the schedule says what is played when.  It refuses to compare, and to hurry.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path as File

from msgspec.structs import replace

from circumtest import handoff, punctual, store
from circumtest.compare import decided, group
from circumtest.errors import EnvironmentUnfit, TunnelDown
from circumtest.live import neutral
from circumtest.live.advice import EnvironmentKind
from circumtest.live.at_mirror import Mirror
from circumtest.live.at_services import Services
from circumtest.live.environment import Environment, look
from circumtest.live.held import Held
from circumtest.live.places import Attempt, Place, slots
from circumtest.live.privacy import Keeper
from circumtest.live.schedule import Past, Schedule, Slot, Wait, froze
from circumtest.live.servers import servers_at
from circumtest.live.vpns import Vpn
from circumtest.live.world import World, world
from circumtest.mirror.token import Token
from circumtest.model import INSIDE, Arm, Cell, Invalid, Record, Trial, Unsupported
from circumtest.path import Path
from circumtest.path.direct import DirectPath
from circumtest.plan import Plan
from circumtest.play import invalid, lacking, play

INCONCLUSIVE, UNFIT = 3, 4
LOOK_AGAIN = 30.0
"""Seconds after which somebody who waits is told again what is waited for."""

Progress = Callable[[int, int, str], None]
"""Told how many trials are done, how many there are, and what goes on, in words."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What is wanted: the plan and its folder, and how far to go.

    `tunnels` and `texts`, their configurations, are read before the world is entered, which may
    hide the files.  `budget` is in seconds, None for to the end; `whom` are neutral places to look
    at the network by, `token` the mirror's.
    """

    plan: Plan
    folder: File
    keeper: Keeper
    tunnels: tuple[Vpn, ...] = ()
    texts: tuple[str, ...] = ()
    token: Token | None = None
    budget: float | None = None
    whom: neutral.Neutral | None = None


def tunnels(plan: Plan) -> tuple[Vpn, ...]:
    """The plan's tunnels, their files read.  Raises ConfigError."""
    return tuple(
        Vpn(one.name, one.kind, plan.tunnel(one.name, {}), plan.table(one.name))
        for one in plan.outline.tunnels
    )


def schedule(
    plan: Plan,
    done: Mapping[Cell, Mapping[int, Mapping[Arm, Record]]],
    past: Iterable[Trial] = (),
    host: str = "",
    now: float = math.inf,
) -> Schedule:
    """What of a plan is missing; `past` are the trials on disk, whose spacing is kept.

    `now` is Unix time: where the clock was set back since, nothing on disk ended later.
    """
    assert plan.live is not None
    every = slots(plan, host)
    lanes = [
        [slot for slot in lane if slot.arm not in done.get(slot.cell, {}).get(slot.block, {})]
        for lane in every
    ]
    made = Schedule(lanes, plan.outline.seed, plan.live.table.after_freeze)
    by_key = {(slot.cell, slot.block, slot.arm): slot for lane in every for slot in lane}
    for trial in past:
        slot = by_key.get((trial.cell, trial.block, trial.arm))
        if slot is not None and trial.record.seconds:
            frozen = froze(trial.record, plan.handshake(trial.cell.handshake).listen.transport)
            rest = made.rest(slot, frozen=frozen)
            ended = min(trial.started + trial.record.seconds, now)
            made.past.append(Past(slot.destinations, min(trial.started, now), ended, rest))
    return made


def carry_out(order: Order, progress: Progress, tell: Tell) -> int:
    """Play what is missing, inside `world.run_in_world`.

    Returns 0; 3 where the network is not as it should be, 4 where there is none or the machine
    cannot.  KeyboardInterrupt goes up, and what was finished is on disk.
    """
    return punctual.run(_carry_out(order, progress, tell))


async def _carry_out(order: Order, progress: Progress, tell: Tell) -> int:
    async with world() as here:
        for sentence in here.left_out:
            tell(sentence)
        environment = await look(here.home, here.resolvers, order.whom)
        if not environment.fine:
            return _stay(order, environment, tell)
        store.say_environment(order.folder, "")
        for note in environment.notes:
            tell(f"{note.sentence} {note.remedy}".rstrip())
        run = Run(order, here, progress, tell)
        try:
            return await run.play()
        except EnvironmentUnfit as unfit:
            tell(str(unfit))
            return UNFIT


def _stay(order: Order, environment: Environment, tell: Tell) -> int:
    """Keep why nothing was tried, and say it."""
    said = order.keeper.text(environment.sentence)
    store.say_environment(order.folder, said)
    tell(f"nothing is tried: {environment.sentence}  {environment.remedy}".rstrip())
    return UNFIT if environment.kind is EnvironmentKind.NO_NETWORK else INCONCLUSIVE


class Run:
    """One carrying out where the network is as it should be: place, tunnels, what is on disk."""

    def __init__(self, order: Order, here: World, progress: Progress, tell: Tell) -> None:
        self._order, self._here, self._progress, self._tell = order, here, progress, tell
        plan = order.plan
        self._place: Place = Mirror(plan, order.token, here.home) if order.token else Services(plan)
        self._outside = outside(here, tell)
        self._held: dict[str, Held] = {}
        trials, _ = store.read(order.folder)
        self._done = group(trials)
        host = order.token.host if order.token else ""
        self._epoch = time.time() - time.monotonic()
        self._schedule = schedule(plan, self._done, trials, host, self._now())
        self._total = sum(len(lane) for lane in slots(plan))
        self._unwatched: set[str] = set()

    def _now(self) -> float:
        """Unix time that does not jump, whoever sets the clock."""
        return self._epoch + time.monotonic()

    async def play(self) -> int:
        """All that is missing, within the budget."""
        self._progress(self._total - self._schedule.left, self._total, "asking for names")
        await self._place.locate(self._outside, self._here.resolvers)
        writer = store.Writer(self._order.folder)
        try:
            writer.mend()
            async with AsyncExitStack() as stack:
                await self._stand_by(stack)
                whole = await self._slots(writer)
        finally:
            writer.close()
        if whole:
            store.finish(self._order.folder)
        return 0

    async def _stand_by(self, stack: AsyncExitStack) -> None:
        """Watch for every tunnel from before the outside is tried; bring none up yet."""
        plan = self._order.plan
        carries = servers_at(self._order.texts, self._place.hosts | self._place.names)
        for vpn in self._order.tunnels or tunnels(plan):
            held = Held(
                vpn,
                self._here,
                self._place,
                self._outside,
                self._tell,
                control=plan.is_control(vpn.name),
            )
            stack.push_async_callback(held.close)
            await held.watch(carries)
            self._held[vpn.name] = held

    async def _slots(self, writer: store.Writer) -> bool:
        """One trial after another; False when the budget is spent before the end."""
        budget = self._order.budget
        end = None if budget is None else time.monotonic() + budget
        while (what := self._schedule.next(self._now())) is not None:
            if end is not None and time.monotonic() >= end:
                return False
            if isinstance(what, Wait):
                await self._wait(what, end)
                continue
            self._progress(self._total - self._schedule.left, self._total, str(what.cell))
            trial = await self._one(what)
            writer.append(self._order.keeper.trial(trial))
            self._keep(trial)
        self._progress(self._total, self._total, "done")
        return True

    async def _wait(self, what: Wait, end: float | None) -> None:
        """Some of the time until something may be sent again; never beyond the budget."""
        left = max(what.until - self._now(), 0.0)
        if end is not None:
            left = min(left, max(end - time.monotonic(), 0.0))
        words = f"waiting {left:.0f} s so that trials to {what.destination} stay apart"
        self._progress(self._total - self._schedule.left, self._total, words)
        await asyncio.sleep(min(left, LOOK_AGAIN))

    def _keep(self, trial: Trial) -> None:
        blocks = self._done.setdefault(trial.cell, {})
        blocks.setdefault(trial.block, {})[trial.arm] = trial.record
        if decided(self._order.plan.outline, trial.cell, blocks):
            self._schedule.skip(trial.cell)

    # -------------------------------------------------------------- one trial

    async def _one(self, slot: Slot) -> Trial:
        started, record = await self._record(slot)
        if not record.seconds:
            self._schedule.void(slot)
            return Trial(slot.cell, slot.block, slot.arm, started, record)
        transport = self._order.plan.handshake(slot.cell.handshake).listen.transport
        frozen = froze(record, transport)
        why = self._schedule.played(slot, started, started + record.seconds, frozen=frozen)
        if why and not isinstance(record.outcome, Invalid):
            record = replace(record, outcome=Invalid("contaminated", detail=why))
        return Trial(slot.cell, slot.block, slot.arm, started, record)

    async def _record(self, slot: Slot) -> tuple[float, Record]:
        """When the trial began, and what came of it."""
        if slot.arm not in INSIDE:
            return await self._through(slot, self._outside)
        held = self._held[slot.cell.tunnel]
        path = await held.path(slot.cell, slot.block)
        if isinstance(path, TunnelDown):
            return self._now(), Record(invalid(path), 0.0)
        held.heed(on=not self._leaves(slot))
        try:
            started, record = await self._through(slot, path)
        finally:
            held.heed(on=False)
        self._say_unwatched(slot.cell.tunnel, held.unwatched())
        if leaks := held.leaks():
            detail = "; ".join(str(one) for one in leaks)
            self._tell(f"LEAK through {slot.cell.tunnel}: {detail}")
            record = replace(record, outcome=Invalid("leak", detail=detail))
        return started, record

    def _leaves(self, slot: Slot) -> bool:
        """Whether the call is to go on outside: what the watch would see then is no leak."""
        handshake = self._order.plan.handshake(slot.cell.handshake)
        varied = self._order.plan.variant(slot.cell.handshake) is not None
        return slot.arm is Arm.INSIDE and not varied and handoff.wanted(handshake)

    async def _through(self, slot: Slot, path: Path) -> tuple[float, Record]:
        attempt = await self._place.attempt(slot, path, self._outside)
        started = self._now()
        if not isinstance(attempt, Attempt):
            return started, Record(attempt, 0.0)
        if missing := lacking(path, attempt.transports):
            return started, Record(Unsupported(missing), 0.0, endpoint=attempt.endpoint)
        record = await play(attempt.script(), attempt.path)
        seen = record.exit or attempt.exit
        return started, replace(record, exit=seen, endpoint=attempt.endpoint)

    def _say_unwatched(self, tunnel: str, why: str) -> None:
        if why and tunnel not in self._unwatched:
            self._unwatched.add(tunnel)
            self._tell(f"{tunnel}: {why}")


def outside(here: World, tell: Tell) -> DirectPath:
    """The way without any tunnel: below a VPN that is on already, where there is one."""
    ways, below = here.home.ways_out(), here.home.ways_below()
    behind = {ways[version] for version in ways if below.get(version) != ways[version]}
    if not behind:
        return DirectPath(here.home, "outside", frozenset())
    if not below:
        on = ", ".join(sorted(behind))
        raise EnvironmentUnfit(
            f"a VPN is on ({on}), and no way without it was found", "switch it off, and try again"
        )
    device = below[min(below)]
    tell(f"a VPN is on ({', '.join(sorted(behind))}): outside means by {device}, without it")
    return DirectPath(here.home, "outside", frozenset(), device=device)
