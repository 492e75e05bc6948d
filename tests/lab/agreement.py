"""One trial behind one policy in both worlds: in virtual time, and in a lab of its own.

Rows are those of the simulator's table (tests/sim/test_teeth.py).  Minutes that a policy takes to
learn a place are seconds here, in both worlds.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import NamedTuple

from circumtest.censor.enforce import Enforced, enforced
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.policy import Policy
from circumtest.lab.network import conditions
from circumtest.lab.services import Services
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address, Failure, Invalid, Level, Outcome, Transport
from circumtest.play import play
from circumtest.registry import FARS, HANDSHAKES, load
from circumtest.scene import unless_overloaded, unless_uncensored
from circumtest.script import Answerer, Handshake, Script
from circumtest.simulate import far_end, simulate
from tests.sim.flows import EXIT, FLOWS, Talk
from tests.sim.test_teeth import ROWS, another

SIDE_BY_SIDE = 4
"""Labs at a time: their far halves share this process's clock, and sound that is late is lost."""
SEED = 1
TRIES = 3
FACTOR = 0.005
"""What minutes are multiplied by: ten of them are three seconds."""


class Case(NamedTuple):
    """A row behind a policy, over IPv4 or IPv6, less one rule, or with that rule's match changed to
    another protocol's."""

    row: str
    policy: str
    version: int = 4
    less: str = ""
    mutated: str = ""

    def whole(self) -> "Case":
        """The same behind the policy as it is."""
        return self._replace(less="", mutated="")

    def censor(self) -> Policy:
        whole = policy(self.policy)
        assert {self.less, self.mutated} - {""} <= {rule.id for rule in whole.rules}
        rules = [
            replace(rule, match=(another(rule),)) if rule.id == self.mutated else rule
            for rule in whole.rules
            if rule.id != self.less
        ]
        return replace(whole, rules=tuple(rules)).scaled(FACTOR if self._slow else 1.0)

    @property
    def _slow(self) -> bool:
        return self.row in FLOWS and FLOWS[self.row].pause > 0

    def talk(self) -> Talk:
        """The row, where it is a flow and no handshake."""
        talk = FLOWS[self.row]
        return replace(talk, pause=talk.pause * FACTOR)

    def handshake(self) -> Handshake:
        kind, options = ROWS[self.row]
        made: Handshake = load(HANDSHAKES, kind, "test", "")(**options, level=Level.QUICK)
        return made


class Seen(NamedTuple):
    """The outcome, without its words, and the rules that acted on anything."""

    outcome: Outcome
    guilty: frozenset[str]


def spelled(case: Case) -> str:
    """A case as a test's name."""
    return "-".join(str(word) for word in case if word)


# ------------------------------------------------------------------ in virtual time


def simulated(case: Case) -> Seen:
    """The outcome, and whom the judge says it was."""
    network = case.censor().network
    censor = Censor(case.censor(), SEED)
    if case.row in FLOWS:
        talk = case.talk()
        place = Address(talk.host[case.version], talk.port)
        talking: dict[tuple[Transport, Address], Answerer] = {
            (talk.transport, place): talk.answerer()
        }
        record = simulate(talk.script([place]), talking, censor, network=network, seed=SEED)
    else:
        handshake = case.handshake()
        target, services = far_end(handshake, case.version)
        script = handshake.script(target, Random(SEED))
        record = simulate(script, services, censor, network=network, seed=SEED)
    return Seen(plain(record.outcome), guilty(censor.hits))


def plain(outcome: Outcome) -> Outcome:
    """A failure is compared by stage and cause."""
    return Failure(outcome.stage, outcome.cause) if isinstance(outcome, Failure) else outcome


def guilty(hits: Mapping[str, int]) -> frozenset[str]:
    """The rules that acted on something."""
    return frozenset(rule for rule, packets in hits.items() if packets)


# ------------------------------------------------------------------ in labs


async def played(cases: Iterable[Case]) -> dict[Case, Seen | BaseException]:
    """All of them, so many labs at a time."""
    gate = asyncio.Semaphore(SIDE_BY_SIDE)
    every = list(cases)
    results = await asyncio.gather(*(_real(case, gate) for case in every), return_exceptions=True)
    return dict(zip(every, results, strict=True))


async def _real(case: Case, gate: asyncio.Semaphore) -> Seen:
    """In a lab of its own; again where player or middlebox were late: such a trial says nothing."""
    for _ in range(TRIES):
        async with (
            gate,
            lab() as it,
            enforced(it.censor, case.censor(), SEED) as censor,
            conditions(it, case.censor().network, SEED),
        ):
            seen = await _once(case, it, censor)
        if not isinstance(seen.outcome, Invalid):
            break
    return seen


async def _once(case: Case, it: Lab, censor: Enforced) -> Seen:
    """One trial and which rules it met."""
    transport = FLOWS[case.row].transport if case.row in FLOWS else Transport.UDP
    async with _script(case, it) as script:
        record = unless_overloaded(await play(script, it.outside), transport)
    outcome = unless_uncensored(record, censor, 0).outcome
    return Seen(plain(outcome), guilty(await censor.hits()))


@asynccontextmanager
async def _script(case: Case, it: Lab) -> AsyncIterator[Script[None]]:
    """The caller's half, while the far half is up: the real program where there is one."""
    if case.row in FLOWS:
        talk = case.talk()
        with Services(it.exit) as exits:
            place = await _listening(it, exits, talk, case.version)
            yield talk.script([place])
        return
    handshake = case.handshake()
    if not handshake.far:
        target = await it.serve(handshake, case.row, case.version)
        yield handshake.script(target, Random(SEED))
        return
    target = await it.place(handshake, case.row, case.version)
    async with load(FARS, handshake.far, "test", "")().serve(it, handshake, target):
        yield handshake.script(target, Random(SEED))


async def _listening(it: Lab, exits: Services, talk: Talk, version: int) -> Address:
    """Let a talk's other half listen where the talk says; its address."""
    place = Address(talk.host[version], talk.port)
    if place.host == EXIT[version]:
        exits.add(talk.transport, [place], talk.answerer())
        return place
    (given,) = await it.addresses(1, talk.port, version)
    assert given == place
    it.answer(talk.transport, [place], talk.answerer())
    return place
