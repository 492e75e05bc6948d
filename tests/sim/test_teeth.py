"""Teeth: each policy breaks exactly the handshakes that it should, and every rule is needed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

import pytest

from circumtest import configs
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.policy import Policy
from circumtest.dtls import Shape
from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.ladders import exchange, steady
from circumtest.model import (
    Address,
    Carrier,
    Cause,
    Failure,
    Level,
    Outcome,
    Stage,
    Success,
    Transport,
)
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.script import Arrival, Emit, Flow, Handshake, Listen, Script, Send, enter, open_udp
from circumtest.simulate import far_end, simulate


@dataclass(frozen=True)
class WireguardInitiation:
    """Not a tunnel, only its first two packets: 148 bytes up, 92 down.

    The tunnel itself meets this rule in tests/lab/test_agreement.py.
    """

    level: Level = Level.QUICK
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, 51820)

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_udp(target[0])
        initiation = b"\x01\0\0\0" + rng.randbytes(144)

        def answered(arrival: Arrival) -> bool | None:
            return True if arrival.data == b"\x02\0\0\0" + initiation[4:92] else None

        def ask() -> Iterable[Send]:
            yield Send(channel, initiation, target[0])

        yield from exchange(ask, answered, steady(1.0, 3.0), 3.0)

    def answerer(self) -> "WireguardInitiation":
        return self

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if len(data) == 148 and data.startswith(b"\x01\0\0\0"):
            yield Emit(flow, b"\x02\0\0\0" + data[4:92])

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


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
    "wireguard-initiation": ("", {}),
}

SEPTEMBER = {
    "whatsapp-call": (Stage.ALLOCATE, Cause.TIMEOUT),
    "telegram-call-turn": (Stage.BINDING, Cause.TIMEOUT),
    "telegram-call-udp": (Stage.BINDING, Cause.TIMEOUT),
    "stun-binding on 1400": (Stage.BINDING, Cause.TIMEOUT),
}
BREAKS: dict[str, dict[str, tuple[Stage, Cause]]] = {
    "open": {},
    "ru-calls-2025-08": {
        "whatsapp-call": (Stage.MEDIA_UP, Cause.LOSSY),
        "telegram-call-udp": (Stage.MEDIA_UP, Cause.LOSSY),
    },
    "ru-calls-2025-09": SEPTEMBER,
    "calls-and-wireguard": {
        **SEPTEMBER,
        "wireguard-initiation": (Stage.CONNECTIVITY, Cause.TIMEOUT),
    },
    "uae-voip": {
        "discord-voice": (Stage.BINDING, Cause.TIMEOUT),
        "meet-call": (Stage.BINDING, Cause.TIMEOUT),
        "meet-call as pion": (Stage.BINDING, Cause.TIMEOUT),
        "messenger-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "recorded": (Stage.CONNECTIVITY, Cause.TIMEOUT),
        "signal-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "sip": (Stage.SIGNALLING, Cause.TIMEOUT),
        "sip over TCP": (Stage.SIGNALLING, Cause.TIMEOUT),
        "stun-binding": (Stage.BINDING, Cause.TIMEOUT),
        "stun-binding on 1400": (Stage.BINDING, Cause.TIMEOUT),
        "telegram-call-turn": (Stage.BINDING, Cause.TIMEOUT),
        "turn": (Stage.ALLOCATE, Cause.TIMEOUT),
        "turn over TCP": (Stage.ALLOCATE, Cause.TIMEOUT),
        "webrtc": (Stage.CONNECTIVITY, Cause.TIMEOUT),
        "webrtc as pion": (Stage.CONNECTIVITY, Cause.TIMEOUT),
        "webrtc as chromium": (Stage.CONNECTIVITY, Cause.TIMEOUT),
        "whatsapp-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "zoom-call": (Stage.BINDING, Cause.TIMEOUT),
    },
    "ru-dtls-pion-2026": {
        "meet-call as pion": (Stage.DTLS, Cause.TIMEOUT),
        "webrtc as pion": (Stage.DTLS, Cause.TIMEOUT),
    },
}
"""What each policy breaks, where and how.  What is not named here succeeds."""


def outcome(row: str, censor: Policy, seed: int = 1, version: int = 4) -> Outcome:
    """The outcome of a row behind a censor, without its words."""
    kind, options = ROWS[row]
    cls: type[Any] = load(HANDSHAKES, kind, "test", "") if kind else WireguardInitiation
    handshake: Handshake = cls(**options, level=Level.QUICK)
    target, services = far_end(handshake, version)
    script = handshake.script(target, Random(seed))
    ended = simulate(script, services, Censor(censor, seed)).outcome
    return Failure(ended.stage, ended.cause) if isinstance(ended, Failure) else ended


def expected(row: str, name: str) -> Outcome:
    """What the table says."""
    return Failure(*BREAKS[name][row]) if row in BREAKS[name] else Success()


def without(censor: Policy, rule: str) -> Policy:
    """The policy with one rule switched off."""
    return replace(censor, rules=tuple(r for r in censor.rules if r.id != rule))


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
    """Without the rule at least one row is no longer as the table says: it succeeds."""
    weaker = without(policy(name), rule)
    changed = [row for row in BREAKS[name] if outcome(row, weaker) != expected(row, name)]
    assert changed
    assert all(outcome(row, weaker) == Success() for row in changed)
