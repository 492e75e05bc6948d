"""Sound in real namespaces: the kernel's five bad networks are told apart as the simulator's are.

Every call that has sound, with our own answerers; all are played once, side by side in labs of
their own, and the tests below read what was seen.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import pytest

from circumtest.censor.enforce import apply
from circumtest.censor.policy import Confidence, Policy
from circumtest.lab.topology import Lab, lab
from circumtest.model import Invalid, Level, Media, Record, Success, Transport
from circumtest.play import play
from circumtest.scene import unless_overloaded
from tests.sim.impaired import (
    CALLS,
    ENDINGS,
    MARGIN,
    NETWORKS,
    SEED,
    STRAYS,
    behind,
    ending,
    handshake,
    is_dead,
    level,
    policy,
    watched,
)

SIDE_BY_SIDE = 12
"""Labs at a time: more, and this one process would make the sound late by itself."""
TRIES = 4
GOOD = "a good one"
OPEN = Policy("open", "", (), Confidence.MEASURED, ())


class Case(NamedTuple):
    """A call behind a network."""

    kind: str
    network: str


CASES = [Case(kind, network) for network in (*NETWORKS[::-1], GOOD) for kind in CALLS]
"""The long ones first, so that the short ones fill the gaps."""


async def real(case: Case, gate: asyncio.Semaphore) -> Record:
    """In a lab of its own; again where the player was late, for such a trial says nothing."""
    async with gate:
        for _ in range(TRIES):
            async with lab() as it:
                record = await once(case, it)
            if not isinstance(record.outcome, Invalid):
                break
    return record


async def once(case: Case, it: Lab) -> Record:
    """One call."""
    long = Level.QUICK if case.network == GOOD else level(case.network)
    await apply(it.censor, OPEN if case.network == GOOD else policy(*case))
    made = handshake(case.kind, long)
    target = await it.serve(made, case.kind)
    record = await play(made.script(target, Random(SEED)), it.outside)
    return unless_overloaded(record, watched(case.kind).transport)


@pytest.fixture(scope="module")
def seen() -> Callable[[str, str], Record]:
    """What became of a case; what kept it from being played is raised for it alone."""

    async def all_of_them() -> list[Record | BaseException]:
        gate = asyncio.Semaphore(SIDE_BY_SIDE)
        return await asyncio.gather(*(real(case, gate) for case in CASES), return_exceptions=True)

    played = dict(zip(CASES, asyncio.run(all_of_them()), strict=True))

    def look(kind: str, network: str) -> Record:
        result = played[Case(kind, network)]
        if isinstance(result, BaseException):
            raise result
        return result

    return look


Seen = Callable[[str, str], Record]


def sound(record: Record) -> Media:
    """The one report of a call."""
    assert record.media, record
    (media,) = record.media
    return media


@pytest.mark.parametrize("kind", CALLS)
def test_a_good_network_carries_good_sound(kind: str, seen: Seen) -> None:
    """Everything arrives both ways, nothing too late to be played."""
    record = seen(kind, GOOD)
    media = sound(record)

    assert record.outcome == Success()
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert media.mos is not None
    assert media.mos > 4.3


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", CALLS)
def test_a_bad_network_is_told_as_in_virtual_time(kind: str, network: str, seen: Seen) -> None:
    """By the same stage and cause; only the two directions of a stream die together."""
    real_, simulated = seen(kind, network), behind(kind, network)

    if network.startswith("nothing") and watched(kind).transport is Transport.TCP:
        assert ending(real_) == ending(simulated) == ENDINGS["25 packets"]
    elif network.startswith("nothing"):
        assert is_dead(real_, network), real_
        assert is_dead(simulated, network)
    else:
        assert ending(real_) == ending(simulated) == ENDINGS[network]


DATAGRAMS = [kind for kind in CALLS if kind != "telegram-call-tcp"]


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_the_numbers_are_those_of_virtual_time(kind: str, seen: Seen) -> None:
    """Shares of loss within chance, counts within the set-up's packets, times within a second.

    How many packets that was is the machine's business: one that is busy sends fewer a second.
    """
    lossy, simulated = (
        [1 - (way.received or 0) / way.sent for way in (media.up, media.down)]
        for media in (sound(seen(kind, "30 % is lost")), sound(behind(kind, "30 % is lost")))
    )
    assert lossy == pytest.approx(simulated, abs=0.1)

    ours, theirs = (sound(one(kind, "25 packets")).down for one in (seen, behind))
    assert ours.silent_after == pytest.approx(theirs.silent_after, abs=2 * MARGIN)
    ours, theirs = (sound(one(kind, "22 seconds")).down for one in (seen, behind))
    assert ours.silent_at == pytest.approx(theirs.silent_at, abs=1.0)


@pytest.mark.parametrize("network", ["nothing comes down", "nothing goes up"])
@pytest.mark.parametrize("kind", DATAGRAMS)
def test_the_direction_that_lives_carries_everything(kind: str, network: str, seen: Seen) -> None:
    """While the other one has a stray packet at most."""
    media = sound(seen(kind, network))
    dead, alive = (
        (media.down, media.up) if network == "nothing comes down" else (media.up, media.down)
    )
    assert (dead.received or 0) <= STRAYS
    assert alive.received is None or (alive.lost or 0) <= STRAYS
