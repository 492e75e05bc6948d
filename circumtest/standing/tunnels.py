"""Tunnels of a lab that stays up: server, client and the room inside, or why there is none.

A tunnel that this censor does not let up costs nobody anything: it is told, and the lab stays.  It
refuses to know any of them by name: the plan of all tunnels says which server each has.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

from circumtest import registry
from circumtest.errors import ConfigError, EnvironmentUnfit, TunnelDown
from circumtest.gateway import Gateway, gateway
from circumtest.handshakes.echo import Echo
from circumtest.lab.topology import Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.plan import Plan
from circumtest.process import ProcessEnded
from circumtest.proof import prove
from circumtest.script import Script
from circumtest.standing.status import TunnelStatus

PLAN = "all-tunnels"
"""The plan that says which tunnels have which server."""
PATIENCE = 10.0
"""Seconds in which a tunnel that names no patience of its own must carry something."""
UDP_PATIENCE = 4.0
"""Seconds in which a tunnel that carries TCP must have carried a datagram."""
ROOM = "inside"


def known(plan: Plan) -> dict[str, str]:
    """The tunnels that have a server in the lab: kind by name."""
    return {one.name: one.kind for one in plan.outline.tunnels if one.server}


def chosen(plan: Plan, asked: Sequence[str]) -> tuple[str, ...]:
    """The names of the plan's tunnels that are meant by names or kinds, the first of each kind.

    Raises ConfigError for what is neither, or has no server in the lab.
    """
    names, found = known(plan), []
    for one in asked:
        name = one if one in names else next((n for n, kind in names.items() if kind == one), "")
        if not name:
            kinds = registry.kinds(registry.TUNNELS)
            problem = "has no server in the lab" if one in kinds else "there is no such tunnel"
            remedy = registry.suggest(one, names)
            raise ConfigError("lab", f"--tunnel {one}", problem, remedy)
        found.append(name)
    return tuple(dict.fromkeys(found))


def rooms(names: Sequence[str]) -> dict[str, str]:
    """What the rooms are called: `inside`, and from the second on `inside-NAME`."""
    return {name: f"{ROOM}-{name}" if number else ROOM for number, name in enumerate(names)}


@dataclass(frozen=True)
class Standing:
    """A tunnel that was asked for: the room inside and its path, or why there is none."""

    name: str
    kind: str
    room: str
    path: Path | None = None
    inside: Netns | None = None
    down: TunnelDown | None = None
    note: str = ""
    resolvers: tuple[str, ...] = ()
    made: Gateway | None = None

    def status(self) -> TunnelStatus:
        """What it is like just now: a daemon may have ended meanwhile."""
        down = self.path.fault() if self.path else self.down
        if down is None:
            late = self.made.fault() if self.made else None
            note = "; ".join(filter(None, (self.note, str(late or ""))))
            return TunnelStatus(self.name, self.kind, self.room, note=note)
        return TunnelStatus(
            self.name, self.kind, self.room, str(down.fault), down.detail, down.evidence
        )


async def bring_up(
    stack: AsyncExitStack, here: Lab, plan: Plan, name: str, room: str, echoes: "Echoes"
) -> Standing:
    """Server and tunnel, proved by an exchange with a far end; they end with the stack.

    Raises EnvironmentUnfit when a program is missing or the server does not start.
    """
    kind = known(plan)[name]
    own = AsyncExitStack()
    try:
        fields = await _server(stack, here, plan, name)
        try:
            tunnel = plan.tunnel(name, fields)
            path: Path = await own.enter_async_context(tunnel.up(here.client))
            note = await _prove(path, echoes, getattr(tunnel, "patience", PATIENCE))
            inside: Netns | None = getattr(path, "inside", None)
            made = None
            if inside is None:
                made = await own.enter_async_context(gateway(path, room))
                inside = made.netns
        except TunnelDown as down:
            return Standing(name, kind, room, down=down)
        stack.push_async_exit(own.pop_all())
        return Standing(name, kind, room, path, inside, None, note, path.dns, made)
    finally:
        await own.aclose()


@dataclass(frozen=True)
class Echoes:
    """Where neutral exchanges are answered, by transport, and the chance that they have."""

    places: Mapping[Transport, Sequence[Address]]
    rng: Random

    def exchange(self, transport: Transport) -> Script[None]:
        """The caller's half of one."""
        return Echo(transport).script(self.places[transport], self.rng)


async def _server(stack: AsyncExitStack, here: Lab, plan: Plan, name: str) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = await stack.enter_async_context(plan.server(name).serve(here))  # type: ignore[union-attr]
    except (ProcessEnded, TimeoutError) as error:
        problem = f"the lab's server of {name} did not start: {error}"
        raise EnvironmentUnfit(problem) from error
    return {**fields, **plan.exits(name, here.exit_addresses)}


async def _prove(path: Path, echoes: Echoes, patience: float) -> str:
    """Have something come back through the path; what it does not carry, in words.

    Raises TunnelDown when nothing does.
    """
    if Transport.TCP not in path.transports:
        await prove(path, lambda: echoes.exchange(Transport.UDP), patience)
        return "it carries no TCP"
    await prove(path, lambda: echoes.exchange(Transport.TCP), patience)
    if Transport.UDP not in path.transports:
        return "it carries no UDP"
    try:
        await prove(path, lambda: echoes.exchange(Transport.UDP), min(patience, UDP_PATIENCE))
    except TunnelDown as down:
        if down.fault is TunnelFault.BINARY:
            raise
        return "TCP passes, and no datagram came through"
    return ""
