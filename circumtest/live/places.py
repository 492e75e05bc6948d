"""Where the trials of a live run go: who is asked, what is exchanged there, and by which path.

Real services and one's own mirror differ in nothing else.  It refuses to play, and to judge.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from circumtest.live.diagnosis import Far
from circumtest.live.schedule import SPACING, Slot
from circumtest.model import CONTROLS, Address, Arm, Cell, Outcome, Transport
from circumtest.path import Path
from circumtest.plan import Plan
from circumtest.proof import Exchange
from circumtest.script import Script


@dataclass(frozen=True)
class Attempt:
    """What is played: a script, made anew for each time, and the path that it takes.

    `transports` are all that it needs.  `endpoint` is the public one that is asked, by its name in
    the target's file, and `exit` the address that the far end saw just before.
    """

    script: Callable[[], Script[None]]
    path: Path
    transports: tuple[Transport, ...]
    endpoint: str = ""
    exit: Address | None = None


class Place(Protocol):
    """A mirror or services: `located` by the outside before anything is played."""

    @property
    def hosts(self) -> frozenset[str]:
        """The addresses that an inside arm must not reach by another way than its tunnel."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """The names that nobody may ask for meanwhile by another way."""
        ...

    @property
    def far(self) -> Far:
        """Who answers a diagnosis."""
        ...

    async def locate(self, outside: Path, resolvers: Sequence[str]) -> None:
        """Find out where everybody is.  Raises EnvironmentUnfit where nothing can be asked."""
        ...

    async def enter(self, path: Path) -> None:
        """Get ready to be asked through a tunnel that has come up."""
        ...

    def transport(self, cell: Cell) -> Transport:
        """What a cell is played over, and its tunnel proved by."""
        ...

    def exchanges(self, cell: Cell) -> tuple[Exchange | None, Exchange | None]:
        """What proves that a tunnel carries something, and the same over TCP; None for nobody."""
        ...

    async def attempt(self, slot: Slot, path: Path, outside: Path) -> Attempt | Outcome:
        """What is to be played over `path`; an Outcome where that is known without.

        `outside` is the way without the tunnel, for what begins inside and goes on outside.
        """
        ...


def slots(plan: Plan, mirror: str = "") -> tuple[tuple[Slot, ...], ...]:
    """All trials of a plan for a real network: a lane a cell, in the order of its blocks.

    `mirror` is the host of the mirror, for a plan that asks one.
    """
    return tuple(
        tuple(
            Slot(cell, block, arm, *_where(plan, cell, block, arm, mirror))
            for block in range(plan.outline.blocks)
            for arm in plan.order(cell, block)
        )
        for cell in plan.outline.cells()
    )


def _where(
    plan: Plan, cell: Cell, block: int, arm: Arm, mirror: str
) -> tuple[tuple[str, ...], float]:
    """The names of a trial's place, and its spacing."""
    assert plan.live is not None
    given = plan.live.table.spacing
    if plan.live.mirror:
        return (f"your mirror {mirror}".strip(),), SPACING if given is None else given
    service = plan.live.services[cell.target]
    spacing = service.spacing if given is None else given
    seed = plan.outline.seed
    if arm in CONTROLS:
        return (service.neutral(seed, block).host,), spacing
    return (f"service {cell.target}", service.endpoint(seed, block).host), spacing
