"""What the middlebox is told: every policy comes back as it was, and nothing else comes in."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import configs
from circumtest.censor import load
from circumtest.censor.middlebox.briefing import Briefing, dumps, loads
from circumtest.censor.policy import (
    Action,
    Conditions,
    Confidence,
    Delay,
    Drop,
    Lose,
    Poison,
    Police,
    Policy,
    Reject,
    Reset,
    Rule,
    Scope,
    Way,
)
from circumtest.censor.signatures import ALL

FULL = Rule(
    "full",
    (ALL["stun"], ALL["any"]),
    Drop(),
    Scope.TRIPLE,
    after=3,
    seconds=1.5,
    direction=Way.DOWN,
    to=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
    ports=((53, 53), (1000, 2000)),
    names=("*.example",),
    ja4=("t13*",),
    unless=(ALL["sip"],),
    first=4,
    concurrent=2,
    chance=0.263,
    after_bytes=16384,
    hold=180.0,
)
ACTIONS = (Drop(), Lose(0.6), Reset(), Reject(True), Police(16250), Delay(0.1), Poison("192.0.2.9"))


def policy(rule: Rule) -> Policy:
    """A policy with this rule and a link that is not perfect."""
    network = (Conditions("backbone", delay=0.02, loss=0.01),)
    return Policy("made", "What it is.", ("a paper",), Confidence.REPORTED, (rule,), network)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_policy_comes_back_as_it_was(action: Action) -> None:
    """Every key of a rule, every action, on one line."""
    told = Briefing(policy(replace(FULL, action=action)), 1 << 63)
    line = dumps(told)

    assert b"\n" not in line
    assert loads(line) == told


@pytest.mark.parametrize("name", configs.names("policies"))
def test_every_shipped_policy_comes_back_as_it_was(name: str) -> None:
    """Whatever it says, the middlebox is told the same."""
    told = Briefing(load.policy(name), 1)

    assert loads(dumps(told)) == told


def test_a_signature_of_one_s_own_is_refused() -> None:
    """The other process has no such code; neither is one believed by its name alone."""
    for stranger in (replace(ALL["stun"], name="mine"), replace(ALL["stun"], shapes=())):
        with pytest.raises(ValueError, match="not among those that have a name"):
            dumps(Briefing(policy(replace(FULL, match=(stranger,))), 1))


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"policy": {}, "seed": 1, "inside": ""}'])
def test_what_is_no_briefing_is_refused(line: bytes) -> None:
    """Nothing is begun with half of one."""
    with pytest.raises(ValueError, match="no briefing"):
        loads(line)


@given(st.binary(max_size=60))
def test_garbage_is_refused(garbage: bytes) -> None:
    """With ValueError, whatever it is."""
    with pytest.raises(ValueError, match=r"."):
        loads(garbage)
