"""Simulator and lab agree: what a policy breaks dies at the same stage, of the same cause, by the
same rule, in virtual time as in real namespaces, the real kernel and the real middlebox.

Of each policy are played: the rows of the simulator's table that it breaks (MANY of those that die
alike), the neutral echo, and one row that lives; and for each of its rules a witness, which lives
without it.  All are played once, side by side in labs of their own; the tests below read what was
seen.
"""

import asyncio
from collections.abc import Callable
from functools import cache

import pytest

from circumtest import configs
from circumtest.censor.load import policy
from circumtest.censor.policy import Rule
from circumtest.model import Failure, Success
from tests.lab.agreement import Case, Seen, played, simulated, spelled
from tests.sim.breaks import BREAKS

POLICIES = configs.names("policies")
MANY = 6
"""Rows of a policy that die at the same stage of the same cause: of more, every other one or so."""
ACKNOWLEDGED = {Case("sip over TCP", "l4-25"), Case("sip over TLS", "l4-25")}
"""A real stream has acknowledgements that the simulator's has not, and packets are counted: these
die here while they still signal.  Both worlds have to break them, not at the same stage."""


@cache
def alive(case: Case) -> bool:
    """Whether a row lives behind what is left of a policy, in virtual time."""
    return simulated(case).outcome == Success()


def witness(name: str, **change: str) -> Case:
    """The first of the rows that a policy breaks which misses a rule when it is off or changed."""
    cases = (Case(row, name, **change) for row in BREAKS[name])  # type: ignore[arg-type]
    return next(case for case in cases if alive(case))


def lives(name: str) -> str:
    """A row that the policy does not break, a call if possible."""
    rows = ("whatsapp-call", "signal-call", "telegram-call-tcp", "ssh", "tls to a listed name")
    return next(row for row in rows if row not in BREAKS[name])


def kind_of(rule: Rule) -> tuple[str, str, bool]:
    """What makes a rule another piece of code than the next: action, scope, who carries it out."""
    return type(rule.action).__name__, rule.scope, rule.simple


def broken(name: str) -> list[str]:
    """Rows that a policy breaks."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row, how in BREAKS[name].items():
        alike.setdefault(how, []).append(row)
    return [row for rows in alike.values() for row in rows[:: -(-len(rows) // MANY)]]


V4 = [
    Case(row, name)
    for name in POLICIES
    for row in dict.fromkeys([*broken(name), "echo", lives(name)])
]
RULES = [(name, rule) for name in POLICIES for rule in policy(name).rules]
LESS = [witness(name, less=rule.id) for name, rule in RULES]
MUTATED = [
    witness(name, mutated=rule.id)
    for name, rule in {kind_of(rule): (name, rule) for name, rule in RULES}.values()
]
V6 = list(dict.fromkeys(Case(case.row, case.policy, 6) for case in LESS))


@pytest.fixture(scope="module")
def seen() -> Callable[[Case], Seen]:
    """What became of a case in the lab; what kept it from being played is raised for it alone."""
    whole = [case.whole() for case in (*LESS, *MUTATED)]
    results = asyncio.run(played(dict.fromkeys([*V4, *V6, *whole, *LESS, *MUTATED])))

    def look(case: Case) -> Seen:
        result = results[case]
        if isinstance(result, BaseException):
            raise result
        return result

    return look


@pytest.mark.parametrize("case", dict.fromkeys([*V4, *V6]), ids=spelled)
def test_simulator_and_lab_agree(case: Case, seen: Callable[[Case], Seen]) -> None:
    """The same outcome, stage and cause, and the same rules that acted on something."""
    here, there = seen(case), simulated(case)
    if case in ACKNOWLEDGED:
        assert {type(here.outcome), type(there.outcome)} == {Failure}
        assert here.guilty
    else:
        assert here == there


@pytest.mark.parametrize("case", [*LESS, *MUTATED], ids=spelled)
def test_switching_a_rule_off_or_its_match_to_another_is_noticed(
    case: Case, seen: Callable[[Case], Seen]
) -> None:
    """With the rule as it is the witness fails, and by that rule; otherwise it succeeds."""
    whole = seen(case.whole())
    assert whole.outcome != Success()
    assert whole.guilty == {case.less or case.mutated}
    assert seen(case).outcome == Success()
