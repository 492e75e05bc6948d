"""One tunnel of a live run: brought up, proved, watched, and brought up again in the next block.

It is up for the whole run, since bringing it up is itself something that a censor sees.  What is
wrong with it is told once, in words, with what to do.  It refuses to count a tunnel that does not
come up for a call that does not.
"""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from circumtest.errors import EnvironmentUnfit, TunnelDown
from circumtest.finding import NONE
from circumtest.live.advice import TroubleKind
from circumtest.live.diagnosis import Trouble, diagnose, of_down
from circumtest.live.places import Place
from circumtest.live.service import fresh
from circumtest.live.vpns import Vpn, bring_up, ground
from circumtest.live.watch import Leak, Watch, watching
from circumtest.live.world import World
from circumtest.model import Address, Cell, Transport, TunnelFault
from circumtest.path import Path
from circumtest.proof import prove

Tell = Callable[[str], None]
_FAULTS = {str(fault): fault for fault in TunnelFault}


class Held:
    """A tunnel that is held up; `control` is for one of the plan's, which nothing is asked of."""

    def __init__(
        self, vpn: Vpn, world: World, place: Place, outside: Path, tell: Tell, *, control: bool
    ) -> None:
        self._vpn, self._world, self._place, self._outside = vpn, world, place, outside
        self._tell, self._control = tell, control
        self._up: AsyncExitStack | None = None
        self._path: Path | None = None
        self._down: tuple[int, TunnelDown] | None = None
        self._proved: set[Transport] = set()
        self._refused: dict[Transport, tuple[int, TunnelDown]] = {}
        self._said: set[str] = set()
        self._servers: tuple[Address, ...] = ()
        self._watches: list[Watch] = []
        self._watching = AsyncExitStack()
        self._seen = 0
        self._hosts: frozenset[str] = frozenset()

    async def watch(self, servers: Iterable[Address] = ()) -> None:
        """Begin to watch, before anything goes outside: what that still sends later is no leak.

        `servers` are addresses of its own server, where that may be a target as well.
        """
        if self._vpn.kind == NONE:
            return  # it is the outside
        self._servers = tuple(servers)
        hosts = self._place.hosts - self._hosts
        self._hosts |= hosts
        within = (self._vpn.device,) if self._vpn.device else ()
        watch = await self._watching.enter_async_context(
            watching(
                ground(self._vpn, self._world),
                hosts,
                self._place.names,
                within=within,
                servers=self._servers,
            )
        )
        self._watches.append(watch)

    async def close(self) -> None:
        """Take it down."""
        await self._take_down()
        await self._watching.aclose()

    # -------------------------------------------------------------- up and down

    async def path(self, cell: Cell, block: int) -> Path | TunnelDown:
        """The way through it, which carries what the cell needs; or why there is none now.

        It is tried once in a block: what fails is left alone until the next one.
        """
        if self._path is not None and (gone := self._path.fault()) is not None:
            self._say(of_down(gone))
            await self._take_down()
        if self._path is None:
            if self._down is not None and self._down[0] == block:
                return self._down[1]
            try:
                await self._bring_up()
            except TunnelDown as down:
                await self._take_down()
                self._down = (block, down)
                return down
        return await self._proved_path(cell, block)

    async def _bring_up(self) -> None:
        """Raises TunnelDown."""
        self._up = AsyncExitStack()
        try:
            self._path = await self._begin(self._up)
        except EnvironmentUnfit as unfit:
            self._tell(f"{self._vpn.name} is left out: {unfit}")
            raise TunnelDown(TunnelFault.BINARY, str(unfit)) from None
        except TunnelDown as down:
            self._say(of_down(down))
            raise
        if self._control:
            return
        before = self._place.hosts
        await self._place.enter(self._path)
        if self._place.hosts != before:
            await self.watch(self._servers)

    async def _proved_path(self, cell: Cell, block: int) -> Path | TunnelDown:
        """The path, once something came through it by the transport that counts."""
        assert self._path is not None
        path, transport = self._path, self._place.transport(cell)
        if self._control or transport in self._proved or transport not in path.transports:
            return path  # what a path cannot carry is unsupported, and its trials say so
        refused = self._refused.get(transport)
        if refused is not None and refused[0] == block:
            return refused[1]
        try:
            await self._prove(path, cell)
        except TunnelDown as down:
            if not self._proved:
                await self._take_down()
                self._down = (block, down)
            else:
                self._refused[transport] = (block, down)
            return down
        self._proved.add(transport)
        return path

    async def _begin(self, stack: AsyncExitStack) -> Path:
        if self._vpn.kind == NONE:
            return self._outside
        path, note = await bring_up(stack, self._vpn, self._world)
        if note and note not in self._said:
            self._said.add(note)
            self._tell(f"{self._vpn.name}: {note}")
        return path

    async def _prove(self, path: Path, cell: Cell) -> None:
        exchange, stream = self._place.exchanges(cell)
        if exchange is None:
            return  # there is nobody to prove it with: the outside's controls say so
        far = self._place.far
        try:
            await prove(path, exchange, self._vpn.patience, stream)
        except TunnelDown as down:
            found = await diagnose(path, far, fresh(), outside=self._outside)
            raise self._told(found, down) from None
        if far.echo is not None and not self._proved:
            found = await diagnose(path, far, fresh(), outside=self._outside)
            # What it carries no datagrams for is shown by the cells that need them.
            found = tuple(one for one in found if one.kind is not TroubleKind.NO_UDP)
            if any(one.fatal and str(one.kind) in _FAULTS for one in found):
                raise self._told(found, None)
            for one in found:
                self._say(one)

    def _told(self, found: tuple[Trouble, ...], down: TunnelDown | None) -> TunnelDown:
        """Say what is wrong; the fault that the trials get."""
        for one in found or ((of_down(down),) if down else ()):
            self._say(one)
        for one in found:
            if one.fatal and str(one.kind) in _FAULTS:
                return TunnelDown(_FAULTS[str(one.kind)], one.sentence, one.seen)
        assert down is not None
        return down

    def _say(self, trouble: Trouble) -> None:
        text = f"{self._vpn.name}: {trouble.sentence} {trouble.remedy}".rstrip()
        if text not in self._said:
            self._said.add(text)
            self._tell(text)

    async def _take_down(self) -> None:
        stack, self._up, self._path = self._up, None, None
        self._proved.clear()
        self._refused.clear()
        if stack is not None:
            await stack.aclose()

    # -------------------------------------------------------------- leaks

    def heed(self, *, on: bool) -> None:
        """Whether an inside arm plays from now on."""
        for watch in self._watches:
            watch.heed(on)

    def leaks(self) -> tuple[Leak, ...]:
        """What went around it since the last time that this was asked."""
        found = tuple(leak for watch in self._watches for leak in watch.leaks())
        total = sum(leak.packets for leak in found)
        new, self._seen = total - self._seen, total
        return found if new else ()

    def unwatched(self) -> str:
        """Why nobody could watch, or ""."""
        faults = (watch.fault() for watch in self._watches)
        return next((one for one in faults if one), "")
