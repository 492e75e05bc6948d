"""The present connection looked at in about a minute: `circumtest check`'s work, without its words.

First the network itself, then a few services as things stand, then the same through each VPN, which
is proved, diagnosed and watched for leaks.  Everything that was found is kept as it comes, so that
whatever hangs costs its own part only.  It refuses to repeat: one try each is no statistics.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field

from circumtest import __version__
from circumtest.errors import EnvironmentUnfit, HandshakeFailed, TunnelDown
from circumtest.live import environment
from circumtest.live.attempts import Attempts
from circumtest.live.checked import Checked, Leaked, Said, Tried, Way, WayState, usable
from circumtest.live.diagnosis import Far, around, diagnose, of_down
from circumtest.live.locate import resolved
from circumtest.live.mirrored import Calls, Mirror, greeted
from circumtest.live.neutral import Neutral
from circumtest.live.service import Endpoint, Service, fresh
from circumtest.live.trouble import Trouble
from circumtest.live.vpns import Vpn, bring_up, ground
from circumtest.live.watch import Watch, watching
from circumtest.live.whom import Whom
from circumtest.live.world import World
from circumtest.mirror.token import Token
from circumtest.model import Address, Cause, Failure, Transport, TunnelFault
from circumtest.path import Path
from circumtest.path.direct import DirectPath
from circumtest.path.resolve import resolve
from circumtest.proof import prove

BUDGET = 60.0
"""Seconds after which nothing new is begun and what is under way is stopped."""
LEAST = 5.0
"""Seconds with which it is not worth beginning with another VPN."""
GRACE = 12.0
"""Seconds that tunnels then have to go down."""
NAMES = 6.0
"""Seconds for all look-ups together."""
PROOF = 8.0
"""Seconds in which a VPN that says it is up must carry something."""
DIAGNOSIS = 12.0
"""Seconds for finding out what is wrong with a VPN."""

_SEVERAL = 4
_STREAMS_PASS = (TunnelFault.NO_UDP, TunnelFault.WRONG_SOURCE)
"""Faults of datagrams only: what goes over TCP is tried all the same."""

_UNPROVED = "Whether it carries anything was not proved: no neutral place has an address here."

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is to be looked at."""

    services: tuple[Service, ...]
    vpns: tuple[Vpn, ...] = ()
    neutral: Neutral | None = None
    token: Token | None = None


@dataclass
class _Draft:
    """One way as it is found out."""

    name: str
    kind: str = ""
    state: WayState = "no-time"
    tried: dict[str, Tried] = field(default_factory=dict)
    troubles: list[Said] = field(default_factory=list)
    leaks: tuple[Leaked, ...] = ()
    unwatched: str = ""
    why: str = ""
    remedy: str = ""
    notes: list[str] = field(default_factory=list)

    def take(self, tried: Tried) -> None:
        self.tried[tried.service] = tried

    def value(self) -> Way:
        return Way(
            name=self.name,
            kind=self.kind,
            state=self.state,
            tried=tuple(self.tried.values()),
            troubles=tuple(self.troubles),
            leaks=self.leaks,
            unwatched=self.unwatched,
            why=self.why,
            remedy=self.remedy,
            notes=tuple(self.notes),
        )


class Check:
    """One check: `carry_out` finds out, `found` says what is known at any time."""

    def __init__(self, asked: Asked, world: World, tell: Tell) -> None:
        self._asked, self._world, self._tell = asked, world, tell
        self._began = time.monotonic()
        self._end = self._began + BUDGET
        self._environment: Said | None = None
        self._behind = self._bound_to = ""
        self._outside = _Draft("outside")
        self._vpns = [_Draft(vpn.name, vpn.kind) for vpn in asked.vpns]
        self._cut = False
        self._whom = Whom(asked.services, asked.neutral)
        self._hosts: set[str] = set()
        self._mirror_host = ""
        self._mirrors: dict[str, Mirror] = {}

    def found(self, *, whole: bool) -> Checked:
        """What is known by now."""
        return Checked(
            version=__version__,
            seconds=round(time.monotonic() - self._began, 1),
            environment=self._environment,
            behind=self._behind,
            bound_to=self._bound_to,
            left_out=self._world.left_out,
            outside=self._outside.value(),
            vpns=tuple(draft.value() for draft in self._vpns),
            mirror=self._asked.token is not None,
            whole=whole and not self._cut,
        )

    async def carry_out(self) -> None:
        """Everything, one after another; who cancels it finds the rest in `found`."""
        self._look_behind()
        self._tell("the network")
        device = self._bound_to
        seen = await environment.look(
            self._world.home, self._world.resolvers, self._asked.neutral, device=device
        )
        self._environment = Said(str(seen.kind), "environment", seen.sentence, seen.remedy)
        self._outside.troubles += [said(one) for one in seen.notes]
        if not usable(self._environment):
            return
        outside = DirectPath(self._world.home, "outside", frozenset(), device=self._bound_to)
        await self._locate(outside)
        async with AsyncExitStack() as stack:
            # Watched from before the outside is tried: what that still sends later is no leak.
            watches = [
                await stack.enter_async_context(self._watch(one)) for one in self._asked.vpns
            ]
            await self._ways(outside, watches)

    async def _ways(self, outside: Path, watches: Sequence[Watch]) -> None:
        self._outside.state = "up"
        self._tell(f"{len(self._asked.services)} services as you are")
        with self._share(self._outside, 1 + len(self._vpns)) as seconds:
            async with asyncio.timeout(seconds):
                await self._services(outside, self._outside)
        each = zip(self._asked.vpns, self._vpns, watches, strict=True)
        for number, (vpn, draft, watch) in enumerate(each):
            if self._end - time.monotonic() < LEAST:
                self._cut = True
                return
            self._tell(f"the same with {vpn.name}")
            with self._share(draft, len(self._vpns) - number) as seconds:
                async with asyncio.timeout(seconds):
                    await self._try(vpn, draft, outside, watch)

    def _watch(self, vpn: Vpn) -> AbstractAsyncContextManager[Watch]:
        names = {one.host for one in self._whom.called() if one.address is None}
        within = (vpn.device,) if vpn.device else ()
        return watching(ground(vpn, self._world), self._hosts, names, within=within)

    # -------------------------------------------------------------- before

    def _look_behind(self) -> None:
        """Is a VPN on already, and which device is below it?"""
        home = self._world.home
        ways = home.ways_out()
        for name in dict.fromkeys(ways[version] for version in sorted(ways)):
            device = home.device(name)
            if device is not None and device.leads_through_a_tunnel:
                self._behind = name
                break
        if self._behind and any(vpn.device for vpn in self._asked.vpns):
            below = home.ways_below()
            self._bound_to = below[min(below)] if below else ""

    async def _locate(self, path: Path) -> None:
        """Addresses of everything that is called, asked for once."""
        endpoints = [
            one
            for service in self._asked.services
            for one in (*service.endpoints, *service.control)
        ]
        versions = sorted(self._world.home.ways_out()) or [4]
        places: dict[Endpoint, Address | Cause] = {}
        try:
            async with asyncio.timeout(NAMES):
                located = await resolved(endpoints, path, self._world.resolvers, versions=versions)
        except TimeoutError:
            located = ()
        called = self._whom.called()
        for one in located:
            self._hosts |= {address.host for address in one.addresses if one.endpoint in called}
            if one.addresses:
                places[one.endpoint] = one.addresses[0]
            elif isinstance(one.trouble, Failure):
                places[one.endpoint] = one.trouble.cause
        for endpoint in endpoints:
            places.setdefault(endpoint, endpoint.address or Cause.TIMEOUT)
        self._whom.places = places

    @contextmanager
    def _share(self, draft: _Draft, ways: int) -> Iterator[float]:
        """The seconds that one of `ways` more may take; what is not done then is left so."""
        seconds = (self._end - time.monotonic()) / ways
        try:
            yield seconds
        except TimeoutError:
            self._cut = True
            if draft.state == "no-time":
                draft.why = f"it did not come up within {seconds:.0f} seconds"
                draft.state = "down"

    # -------------------------------------------------------------- one VPN

    async def _try(self, vpn: Vpn, draft: _Draft, outside: Path, watch: Watch) -> None:
        draft.notes += vpn.notes()
        carried = frozenset(Transport)
        async with AsyncExitStack() as stack:
            try:
                path, note = await bring_up(stack, vpn, self._world)
                draft.notes += [note] if note else []
                if exchange := self._whom.exchange(path):
                    await prove(path, exchange, PROOF, self._whom.stream(path))
                else:
                    draft.notes.append(_UNPROVED)
            except EnvironmentUnfit as unfit:
                draft.state, draft.why, draft.remedy = "left-out", unfit.missing, unfit.remedy
                return
            except TunnelDown as down:
                draft.troubles.append(said(of_down(down)))
                draft.why, draft.remedy = draft.troubles[0].sentence, draft.troubles[0].remedy
                draft.state = "down"
                if down.fault not in _STREAMS_PASS:
                    return
                carried -= {Transport.UDP}
            draft.state = "up"
            await self._inside(path, carried, draft, watch)
            await self._diagnose(vpn, path, draft, outside)

    async def _inside(
        self, path: Path, carried: frozenset[Transport], draft: _Draft, watch: Watch
    ) -> None:
        watch.heed(True)
        try:
            await self._services(path, draft, carried)
        finally:
            watch.heed(False)
            draft.leaks = tuple(
                Leaked(str(one.kind), one.packets, str(one.transport)) for one in watch.leaks()
            )
            draft.unwatched = watch.fault() or ""

    async def _services(
        self, path: Path, draft: _Draft, carried: frozenset[Transport] = frozenset(Transport)
    ) -> None:
        """The services, and the calls to the mirror beside them: they are other places."""
        tried = Attempts(path, self._whom.places, draft.take, carried)
        await asyncio.gather(
            tried.services(self._asked.services), self._calls(path, draft, carried)
        )

    async def _calls(self, path: Path, draft: _Draft, carried: frozenset[Transport]) -> None:
        token = self._asked.token
        if token is None:
            return
        try:
            mirror = await greeted(path, token, await self._mirror_at(token))
        except (HandshakeFailed, TunnelDown, OSError) as error:
            draft.notes.append(f"Your mirror did not answer here ({error}).")
            return
        self._mirrors[draft.name] = mirror
        await Calls(mirror, path, draft.take, carried).all()

    async def _mirror_at(self, token: Token) -> str:
        if not self._mirror_host:
            found = await resolve(self._world.home, token.host, 0, NAMES)
            self._mirror_host = found.host
        return self._mirror_host

    async def _diagnose(self, vpn: Vpn, path: Path, draft: _Draft, outside: Path) -> None:
        mirror = self._mirrors.get(draft.name)
        far = Far(
            echo=mirror.echo if mirror else None,
            secret=mirror.token.secret if mirror else "",
            stun=tuple(self._whom.stun())[:_SEVERAL],
            tls=tuple(self._whom.tls())[:_SEVERAL],
        )
        found: list[Trouble] = []
        try:
            async with asyncio.timeout(DIAGNOSIS):
                if vpn.device:
                    beside = await around(self._world.home, vpn.device, self._world.resolvers)
                    found += [beside] if beside else []
                if far.stun or far.echo:
                    found += await diagnose(path, far, fresh(), outside=outside)
        except TimeoutError:
            draft.notes.append("What else may be wrong with it was not found out in time.")
            return
        known = {one.kind for one in draft.troubles}
        draft.troubles += [said(one) for one in found if str(one.kind) not in known]


def said(one: Trouble) -> Said:
    """A trouble as it is told."""
    return Said(str(one.kind), str(one.attribution), one.sentence, one.remedy, one.fatal)


async def check(asked: Asked, world: World, tell: Tell) -> tuple[Checked, bool]:
    """Carry a check out within BUDGET and GRACE seconds, whatever hangs.

    The second value says that something still hangs: the process is then to be ended, not wound up.
    """
    one = Check(asked, world, tell)
    task = asyncio.create_task(one.carry_out())
    await asyncio.wait({task}, timeout=BUDGET)
    whole = task.done()
    if not whole:
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
    if task.done() and not task.cancelled():
        task.result()  # a bug goes up
    return one.found(whole=whole), not task.done()
