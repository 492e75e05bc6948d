"""No false alarm: a line on which nobody restricts anything is never called restricted.

Every handshake is played in virtual time over the networks of `clean` and `lossy-clean`, and the
trials go through the real comparison as thirty blocks of ten runs.  Without a censor the inside is
one more way over the same links, with dice of its own.
"""

from collections.abc import Iterator
from functools import cache
from random import Random

import pytest

from circumtest.censor.load import policy
from circumtest.compare import compare
from circumtest.finding import (
    ArmState,
    Comparison,
    HandshakeOutline,
    Outline,
    TunnelOutline,
    VerdictKind,
)
from circumtest.handshakes.echo import Echo
from circumtest.model import Arm, Cell, Level, Record, Role, Success, Trial
from circumtest.registry import HANDSHAKES, load
from circumtest.script import Handshake
from circumtest.simulate import far_end, simulate
from tests.sim.test_teeth import ROWS

CLEAN = ("clean", "lossy-clean")
BLOCKS = 30
SEEDS = range(10)
PLAYED = 80
"""Plays of each handshake, out of which every run draws its sixty: six hundred would take minutes
and show the same, since one call in ten could die (below) and no run would see sixteen of thirty
do it by chance (less than one in 10^9)."""
FEW = 0.1
"""The share of calls that may die by chance alone."""
CALLS = [row for row, (kind, _) in ROWS.items() if kind]
TUNNEL = TunnelOutline("tunnel", "wireguard")


def handshake(row: str) -> Handshake:
    """A handshake of the teeth table, as quick as can be."""
    kind, options = ROWS[row]
    made: Handshake = load(HANDSHAKES, kind, "test", "")(**options, level=Level.QUICK)
    return made


def play(made: Handshake, name: str, seed: int) -> Record:
    """One trial over the links of a policy, with nobody in between."""
    target, services = far_end(made)
    network = policy(name).network
    return simulate(made.script(target, Random(seed)), services, network=network, seed=seed)


@cache
def played(row: str, name: str) -> tuple[Record, ...]:
    """Each play of a handshake; where the network has no chance, one says it for all."""
    seeds = range(PLAYED) if policy(name).network else range(2)
    return tuple(play(handshake(row), name, seed) for seed in seeds)


@cache
def controls(name: str) -> tuple[Record, ...]:
    """As many plays of the neutral control."""
    return tuple(play(Echo(level=Level.QUICK), name, seed) for seed in range(PLAYED))


def drawn(plays: tuple[Record, ...], rng: Random, n: int) -> list[Record]:
    """As many of them as asked for, none twice where there are enough."""
    return rng.sample(plays, n) if len(plays) >= n else rng.choices(plays, k=n)


def trials(row: str, name: str, seed: int) -> Iterator[Trial]:
    """The blocks of one run."""
    rng = Random(f"{row}/{name}/{seed}")
    records = drawn(played(row, name), rng, 2 * BLOCKS) + drawn(controls(name), rng, 2 * BLOCKS)
    arms = (Arm.OUTSIDE, Arm.INSIDE, Arm.OUTSIDE_CONTROL, Arm.INSIDE_CONTROL)
    cell = Cell(TUNNEL.name, row, "lab", name)
    for block in range(BLOCKS):
        for arm, record in zip(arms, records[block::BLOCKS], strict=True):
            yield Trial(cell, block, arm, 0.0, record)


def compared(name: str, seed: int) -> tuple[Comparison, ...]:
    """What one run of all handshakes allows one to say."""
    outlines = []
    for row in CALLS:
        made = handshake(row)
        role, transport = made.role, made.listen.transport
        outlines.append(HandshakeOutline(row, ROWS[row][0], role, transport, Level.QUICK))
    outline = Outline(
        name="clean",
        summary="",
        hash="0" * 64,
        seed=seed,
        blocks=BLOCKS,
        level=Level.QUICK,
        stop_early=False,
        targets=("lab",),
        policies=(name,),
        tunnels=(TUNNEL,),
        handshakes=tuple(outlines),
    )
    every = [trial for row in CALLS for trial in trials(row, name, seed)]
    return compare(outline, every).comparisons


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("row", CALLS)
def test_few_calls_die_of_a_bad_line_alone(row: str, name: str) -> None:
    """On a clean line none, at 5 % loss each way at most one in ten."""
    plays = played(row, name)
    dead = [record.outcome for record in plays if record.outcome != Success()]

    assert len(dead) <= (FEW * len(plays) if policy(name).network else 0), dead


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_called_restricted_where_nothing_is(name: str, seed: int) -> None:
    """Outside as inside every handshake works, and of every call it is said that none is needed."""
    for one in compared(name, seed):
        arms = (one.outside.state, one.inside.state)
        assert arms == (ArmState.WORKS, ArmState.WORKS), one.cell
        called = VerdictKind.NOT_NEEDED if one.role is Role.CALL else VerdictKind.CONTEXT
        assert one.verdict.kind is called, one.cell
        assert not one.leak


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_profile_has_no_rule(name: str) -> None:
    """Whatever is included."""
    assert policy(name).rules == ()


def test_the_bad_line_is_what_it_says() -> None:
    """80 ms there and back, 5 % lost each way, on the client's own link."""
    (link,) = policy("lossy-clean").network

    assert (link.link, 2 * link.delay, link.loss) == ("client", 0.08, 0.05)
