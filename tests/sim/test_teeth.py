"""Teeth: each policy breaks exactly the handshakes that it should, and every rule is needed."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from circumtest import configs
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.policy import Policy, Rule, Signature
from circumtest.censor.signatures import SIGNATURES
from circumtest.dtls import Shape
from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.model import (
    Address,
    Carrier,
    Failure,
    Level,
    Outcome,
    Success,
    Transport,
)
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.script import Handshake
from circumtest.simulate import far_end, simulate
from tests.sim.breaks import BREAKS
from tests.sim.flows import FLOWS

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in kinds(HANDSHAKES)},
    "whatsapp-message": ("whatsapp-message", {"root": TEST_ROOT}),
    "echo over TCP": ("echo", {"transport": Transport.TCP}),
    "stun-binding on 1400": ("stun-binding", {"port": 1400}),
    "turn over TCP": ("turn", {"transport": Carrier.TCP}),
    "turn over TLS": ("turn", {"transport": Carrier.TLS}),
    "sip over TCP": ("sip", {"transport": Carrier.TCP}),
    "sip over TLS": ("sip", {"transport": Carrier.TLS}),
    "webrtc as pion": ("webrtc", {"clienthello": Shape.PION}),
    "webrtc as chromium": ("webrtc", {"clienthello": Shape.CHROMIUM}),
    "meet-call as pion": ("meet-call", {"clienthello": Shape.PION}),
    **{name: ("", {}) for name in FLOWS},
}


def outcome(row: str, censor: Policy, seed: int = 1, version: int = 4) -> Outcome:
    """The outcome of a row behind a censor, without its words."""
    kind, options = ROWS[row]
    if kind:
        handshake: Handshake = load(HANDSHAKES, kind, "test", "")(**options, level=Level.QUICK)
        target, services = far_end(handshake, version)
        script = handshake.script(target, Random(seed))
    else:
        flow = FLOWS[row]
        place = Address(flow.host[version], flow.port)
        services = {(flow.transport, place): flow.answerer()}
        script = flow.script([place])
    network = censor.network
    record = simulate(script, services, Censor(censor, seed), network=network, seed=seed)
    ended = record.outcome
    return Failure(ended.stage, ended.cause) if isinstance(ended, Failure) else ended


def expected(row: str, name: str) -> Outcome:
    """What the table says."""
    return Failure(*BREAKS[name][row]) if row in BREAKS[name] else Success()


OTHERS = ("discord-discovery", "sip")
"""Protocols that few are about."""
RULES = [(name, rule.id) for name in configs.names("policies") for rule in policy(name).rules]


def test_the_table_has_every_shipped_policy() -> None:
    """A new policy needs a line in it."""
    assert set(BREAKS) == set(configs.names("policies"))


@pytest.mark.parametrize("name", configs.names("policies"))
@pytest.mark.parametrize("row", ROWS)
def test_a_policy_breaks_what_it_should_and_nothing_else(row: str, name: str) -> None:
    """Every handshake behind every policy, at the stage and by the cause of the table."""
    assert outcome(row, policy(name)) == expected(row, name)


@pytest.mark.parametrize("seed", range(2, 8))
@pytest.mark.parametrize(("name", "row"), [(n, r) for n in BREAKS for r in BREAKS[n]])
def test_what_is_broken_is_broken_whatever_the_dice_say(name: str, row: str, seed: int) -> None:
    """The same stage and cause for six other seeds: a loss of 0.6 leaves no call alive."""
    assert outcome(row, policy(name), seed) == expected(row, name)


@pytest.mark.parametrize(("name", "row"), [(n, r) for n in BREAKS for r in BREAKS[n]])
def test_the_censor_reads_ipv6_too(name: str, row: str) -> None:
    """The same stage and cause over IPv6."""
    assert outcome(row, policy(name), version=6) == expected(row, name)


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_switching_any_rule_off_is_noticed(name: str, rule: str) -> None:
    """Without the rule at least one row that it broke succeeds."""
    whole = policy(name)
    assert succeeding(name, replace(whole, rules=tuple(r for r in whole.rules if r.id != rule)))


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_a_rule_about_another_protocol_is_noticed(name: str, rule: str) -> None:
    """As if somebody had mistaken one signature for another."""
    whole = policy(name)
    mistaken = tuple(replace(r, match=(another(r),)) if r.id == rule else r for r in whole.rules)
    assert succeeding(name, replace(whole, rules=mistaken))


def another(rule: Rule) -> Signature:
    """A signature that the rule is not about."""
    return next(SIGNATURES[name] for name in OTHERS if SIGNATURES[name] not in rule.match)


def succeeding(name: str, weaker: Policy) -> list[str]:
    """The rows that the policy breaks and the weaker one lets pass."""
    return [row for row in BREAKS[name] if outcome(row, weaker) == Success()]
