"""One's own mirror as the place of a run: whole calls, and beside each call its variants.

Before every trial the mirror is said hello over the same path: it may send more than it got only
where it knows the address, and it tells by which address it was reached.  It refuses to take a
mirror that did not answer for a call that is blocked: such a trial is void.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from circumtest import handoff
from circumtest.errors import EnvironmentUnfit, HandshakeFailed, TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.live.diagnosis import Far
from circumtest.live.places import Attempt
from circumtest.live.schedule import Slot
from circumtest.live.service import fresh
from circumtest.masked import Mask, MaskedPath
from circumtest.mirror.client import PORTS, hello
from circumtest.mirror.fitted import fitted
from circumtest.mirror.inventory import NEUTRAL, Inventory
from circumtest.mirror.token import Token
from circumtest.model import CONTROLS, Address, Arm, Cell, Invalid, Outcome, Transport
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.path.resolve import resolve
from circumtest.plan import Plan
from circumtest.plan.live import Variant
from circumtest.play import invalid
from circumtest.proof import Exchange
from circumtest.script import Handshake

UNPROVEN = "unproven"
"""Why a trial is void before which the mirror did not answer: it would not answer that either."""
PATIENCE = 5.0
"""Seconds for the address of a mirror's name."""
_MASKS = {Variant.INVERTED: Mask.INVERTED, Variant.RANDOM: Mask.RANDOM}


class Mirror:
    """The mirror of a token, as a plan asks it from `home`."""

    def __init__(self, plan: Plan, token: Token, home: Netns) -> None:
        self._plan, self._token, self._home = plan, token, home
        self._host = ""
        self._known: Inventory | None = None
        self._way: dict[str, Transport] = {}
        """Over which transport each path's last hello was answered, by the path's name."""

    @property
    def hosts(self) -> frozenset[str]:
        """The mirror's addresses."""
        told = self._known.addresses if self._known else ()
        return frozenset({self._host, *told} - {""})

    @property
    def names(self) -> frozenset[str]:
        """The mirror's name, where the token has one."""
        return frozenset({self._token.host} - self.hosts)

    @property
    def far(self) -> Far:
        """The mirror's echo, and further ports of it."""
        port = self._neutral(Transport.UDP, 0)
        more = self._others(Transport.UDP, (port,))[:2]
        at = Address(self._host, port)
        return Far(at, self._token.secret, name=self._token.host, ports=more)

    async def locate(self, outside: Path, resolvers: Sequence[str]) -> None:  # noqa: ARG002
        """Find its address, and ask it what it offers; one that does not answer is asked inside.

        Raises EnvironmentUnfit for a name that has no address.
        """
        try:
            found = await resolve(self._home, self._token.host, 0, PATIENCE)
        except (OSError, TimeoutError):
            cure = "give the token with its address in place of the name"
            raise EnvironmentUnfit("the mirror's name does not resolve here", cure) from None
        self._host = found.host
        await self.enter(outside)

    async def enter(self, path: Path) -> None:
        """Ask it through `path` what it offers, unless that is known."""
        if self._known is None:
            await self._hello(path, Transport.UDP)

    async def _hello(self, path: Path, first: Transport) -> Address | Invalid:
        """Where it sees us, over the transport that counts or else the other; or why it is void.

        What was answered last is tried first: where one of them is dropped, each trial would cost
        its patience.
        """
        said = ""
        first = self._way.get(path.name, first)
        for transport in sorted(Transport, key=lambda one: one is not first):
            if transport not in path.transports:
                continue
            try:
                known = await hello(path, self._token, transport, PORTS[transport], self._host)
            except HandshakeFailed as error:
                said = said or f"{transport}: {error}"
            except TunnelDown as down:
                if said:
                    break  # this transport was the second choice: what it lacks was not needed
                return invalid(down)
            else:
                self._known = known
                self._way[path.name] = transport
                return known.exit
        if (down_now := path.fault()) is not None:
            return invalid(down_now)
        return Invalid(UNPROVEN, detail=f"the mirror did not answer hello ({said})")

    # -------------------------------------------------------------- what is exchanged

    def transport(self, cell: Cell) -> Transport:
        """That of the handshake."""
        return self._plan.handshake(cell.handshake).listen.transport

    def exchanges(self, cell: Cell) -> tuple[Exchange | None, Exchange | None]:
        """The block's control, and an echo over TCP."""
        control, target = self._control(cell, 0)
        port = self._neutral(Transport.TCP, 0)
        stream = Echo(Transport.TCP, port, secret=self._token.secret)
        at = (Address(self._host, port),)
        over_tcp = None if control.listen.transport is Transport.TCP else stream
        return (
            lambda: control.script(target, fresh()),
            (lambda: over_tcp.script(at, fresh())) if over_tcp else None,
        )

    async def attempt(self, slot: Slot, path: Path, outside: Path) -> Attempt | Outcome:
        """A control at a neutral port; or, once the mirror knows the path, the call itself."""
        if slot.arm in CONTROLS:
            if self._known is None:
                await self._hello(path, self.transport(slot.cell))
            control, target = self._control(slot.cell, slot.block)
            return self._attempt(control, target, path, None)
        handshake, target = fitted(
            self._plan.handshake(slot.cell.handshake), (self._host,), self._token.secret
        )
        transport = handshake.listen.transport
        if transport not in path.transports:
            return self._attempt(handshake, target, path, None)
        seen = await self._hello(path, transport)
        if isinstance(seen, Invalid):
            return seen
        variant = self._plan.variant(slot.cell.handshake)
        if variant is Variant.PORT:
            moved = self._moved(target, transport, slot.block)
            if moved is None:
                return Invalid("unproven", detail="the mirror has no other port")
            target = moved
        elif variant is not None:
            path = MaskedPath(path, _MASKS[variant], self._token.secret)
        elif slot.arm is Arm.INSIDE and handoff.wanted(handshake):
            # The call comes from outside in the end: the mirror has to know that address, too.
            beyond = await self._hello(outside, transport)
            if isinstance(beyond, Invalid):
                return beyond
            script, path = handoff.prepared(handshake, target, fresh(), path, outside)
            return replace(self._attempt(handshake, target, path, seen), script=lambda: script)
        return self._attempt(handshake, target, path, seen)

    def _attempt(
        self, handshake: Handshake, target: Sequence[Address], path: Path, seen: Address | None
    ) -> Attempt:
        needed = (handshake.listen.transport, *(one.transport for one in handshake.also))
        return Attempt(
            lambda: handshake.script(target, fresh()),
            path,
            tuple(dict.fromkeys(needed)),
            exit=seen,
        )

    # -------------------------------------------------------------- ports

    def _control(self, cell: Cell, block: int) -> tuple[Handshake, tuple[Address, ...]]:
        """The neutral exchange of the handshake's transport and size, at a port that is not its.

        So a port that is blocked is found out by the call's own trials and not taken for a dead
        line.
        """
        control = self._plan.control(cell)
        transport = control.listen.transport
        port = self._neutral(transport, block, beside=control.listen.port)
        made = replace(control, port=port, secret=self._token.secret)  # type: ignore[type-var]
        return made, (Address(self._host, port),)

    def _neutral(self, transport: Transport, block: int, beside: int = 0) -> int:
        others = self._others(transport, (beside,))
        return others[block % len(others)] if others else PORTS[transport]

    def _moved(
        self, target: Sequence[Address], transport: Transport, block: int
    ) -> tuple[Address, ...] | None:
        """The target at another port of the mirror, at another one in each block."""
        others = self._others(transport, tuple(one.port for one in target))
        if not others:
            return None
        port = others[block % len(others)]
        return tuple(one._replace(port=port) for one in target)

    def _others(self, transport: Transport, ports: Sequence[int]) -> tuple[int, ...]:
        """The mirror's ports of a transport that are none of `ports`, in an order of this run.

        Only those that no call is known by, where it has them: who closes the port of one call
        has a list of them, and a control that died with the call would be taken for a dead line.
        """
        known = self._known.ports(transport) if self._known else ()
        free = set(known) - set(ports)
        several = sorted(free & set(NEUTRAL[transport]) or free)
        Random(self._plan.outline.seed).shuffle(several)
        return tuple(several)
