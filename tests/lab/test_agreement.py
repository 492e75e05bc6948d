"""Simulator and lab agree: every handshake behind every policy dies at the same stage, of the same
cause, by the same rule, or lives, in virtual time as in real namespaces and the real kernel.

All are played once, side by side in labs of their own; the tests below read what was seen.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import pytest

from circumtest import configs
from circumtest.censor.enforce import apply, hits
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.policy import Policy
from circumtest.dtls import Shape
from circumtest.errors import TunnelDown
from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import Lab, lab
from circumtest.model import (
    Address,
    Carrier,
    Failure,
    Invalid,
    Level,
    Outcome,
    Success,
    Transport,
    TunnelFault,
)
from circumtest.play import play
from circumtest.registry import FARS, HANDSHAKES, kinds, load
from circumtest.scene import unless_overloaded
from circumtest.script import Handshake
from circumtest.simulate import far_end, simulate
from circumtest.tunnels.wireguard import Wireguard

SIDE_BY_SIDE = 4
"""Labs at a time: their far halves share this process's clock, and sound that is late is lost."""
SEED = 1
TRIES = 3
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in kinds(HANDSHAKES)},
    "whatsapp-message": ("whatsapp-message", {"root": TEST_ROOT}),
    "echo over TCP": ("echo", {"transport": Transport.TCP}),
    "stun-binding on 1400": ("stun-binding", {"port": 1400}),
    "turn over TCP": ("turn", {"transport": Carrier.TCP}),
    "sip over TCP": ("sip", {"transport": Carrier.TCP}),
    "webrtc as pion": ("webrtc", {"clienthello": Shape.PION}),
}
POLICIES = configs.names("policies")
WITNESSES = {
    "whatsapp-call": "whatsapp-call",
    "whatsapp-call-loss": "whatsapp-call",
    "telegram-turn": "stun-binding on 1400",
    "telegram-reflector": "telegram-call-udp",
    "telegram-call-loss": "telegram-call-udp",
    "stun": "stun-binding",
    "stun-tcp": "turn over TCP",
    "zoom-stun": "zoom-call",
    "discord-discovery": "discord-voice",
    "sip": "sip",
    "dtls-pion": "webrtc as pion",
}
"""The handshake that misses a rule when it is switched off."""
TUNNEL = "wireguard"


class Case(NamedTuple):
    """A handshake (or the tunnel) behind a policy, over IPv4 or IPv6, perhaps less one rule."""

    row: str
    policy: str
    version: int = 4
    less: str = ""

    def censor(self) -> Policy:
        whole = policy(self.policy)
        assert not self.less or self.less in {rule.id for rule in whole.rules}
        return replace(whole, rules=tuple(r for r in whole.rules if r.id != self.less))

    def handshake(self) -> Handshake:
        kind, options = ROWS[self.row]
        made: Handshake = load(HANDSHAKES, kind, "test", "")(**options, level=Level.QUICK)
        return made


class Seen(NamedTuple):
    """The outcome, without its words, and the rules that dropped anything."""

    outcome: Outcome | TunnelFault
    guilty: frozenset[str]


V4 = [Case(row, name) for row in ROWS for name in POLICIES]
V6 = [Case(row, name, 6) for row in WITNESSES.values() for name in POLICIES]
RULES = [(name, rule.id) for name in POLICIES for rule in policy(name).rules]
LESS = [Case(WITNESSES.get(rule, TUNNEL), name, less=rule) for name, rule in RULES]
TUNNELS = [Case(TUNNEL, name) for name in POLICIES]


def simulated(case: Case) -> Seen:
    """In virtual time."""
    handshake, censor = case.handshake(), Censor(case.censor(), SEED)
    target, services = far_end(handshake, case.version)
    record = simulate(handshake.script(target, Random(SEED)), services, censor)
    return Seen(plain(record.outcome), guilty(censor.hits))


async def real(case: Case, gate: asyncio.Semaphore) -> Seen:
    """In a lab of its own; again where the player was late, for such a trial says nothing."""
    for _ in range(TRIES):
        seen = await once(case, gate)
        if not (isinstance(seen.outcome, Invalid) and seen.outcome.reason == "overloaded"):
            break
    return seen


async def once(case: Case, gate: asyncio.Semaphore) -> Seen:
    """One trial and which rules it met."""
    async with gate, lab() as it:
        await apply(it.censor, case.censor())
        if case.row == TUNNEL:
            outcome: Outcome | TunnelFault = Success()
            async with WireguardGo().serve(it) as server:
                try:
                    async with Wireguard(**server, patience=3.0).up(it.client):
                        pass
                except TunnelDown as down:
                    outcome = down.fault
        else:
            handshake = case.handshake()
            async with answered(it, handshake, case) as target:
                record = await play(handshake.script(target, Random(SEED)), it.outside)
            outcome = plain(unless_overloaded(record).outcome)
        return Seen(outcome, guilty(await hits(it.censor)))


@asynccontextmanager
async def answered(it: Lab, handshake: Handshake, case: Case) -> AsyncIterator[tuple[Address, ...]]:
    """The far half is up: the real program where there is one, as in a run."""
    if not handshake.far:
        yield await it.serve(handshake, case.row, case.version)
        return
    target = await it.place(handshake, case.row, case.version)
    async with load(FARS, handshake.far, "test", "")().serve(it, handshake, target):
        yield target


def plain(outcome: Outcome) -> Outcome:
    """A failure is compared by stage and cause."""
    return Failure(outcome.stage, outcome.cause) if isinstance(outcome, Failure) else outcome


def guilty(dropped: Mapping[str, int]) -> frozenset[str]:
    """The rules that dropped something."""
    return frozenset(rule for rule, packets in dropped.items() if packets)


@pytest.fixture(scope="module")
def seen() -> Callable[[Case], Seen]:
    """What became of a case in the lab; what kept it from being played is raised for it alone."""

    async def all_of_them() -> dict[Case, Seen | BaseException]:
        cases = list(dict.fromkeys([*V4, *V6, *LESS, *TUNNELS]))
        gate = asyncio.Semaphore(SIDE_BY_SIDE)
        results = await asyncio.gather(
            *(real(case, gate) for case in cases), return_exceptions=True
        )
        return dict(zip(cases, results, strict=True))

    played = asyncio.run(all_of_them())

    def look(case: Case) -> Seen:
        result = played[case]
        if isinstance(result, BaseException):
            raise result
        return result

    return look


def spelled(case: Case) -> str:
    """A case as a test's name."""
    return "-".join(str(word) for word in case if word)


@pytest.mark.parametrize("case", dict.fromkeys([*V4, *V6]), ids=spelled)
def test_simulator_and_lab_agree(case: Case, seen: Callable[[Case], Seen]) -> None:
    """The same outcome, stage and cause, and the same rules that dropped something."""
    assert seen(case) == simulated(case)


@pytest.mark.parametrize("name", POLICIES)
def test_a_new_tunnel_meets_the_rule_about_initiations_only(
    name: str, seen: Callable[[Case], Seen]
) -> None:
    """WireGuard comes up behind every policy but calls-and-wireguard."""
    blocked = Seen(TunnelFault.HANDSHAKE, frozenset({"wireguard-initiation"}))
    free = Seen(Success(), frozenset())
    assert seen(Case(TUNNEL, name)) == (blocked if name == "calls-and-wireguard" else free)


@pytest.mark.parametrize("case", LESS, ids=spelled)
def test_switching_a_rule_off_in_the_kernel_is_noticed(
    case: Case, seen: Callable[[Case], Seen]
) -> None:
    """With all rules the witness fails, and by that rule; without it, it succeeds."""
    whole = seen(case._replace(less=""))
    assert whole.outcome != Success()
    assert whole.guilty == {case.less}
    assert seen(case).outcome == Success()
