"""Calls set up in a real tunnel and continued without it, past a censor in the kernel."""

import asyncio
from random import Random

import pytest

from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.censor.policy import Drop, Policy, Rule, Scope
from circumtest.censor.signatures import ALL
from circumtest.handoff import prepared
from circumtest.handshakes.discord_voice import DiscordVoice
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import lab
from circumtest.model import Failure, Record, Stage, Success
from circumtest.play import play
from circumtest.tunnels.wireguard import Wireguard

Call = WhatsappCall | DiscordVoice


PORTS = ((3478, 3478), (50004, 50004))
"""The calls', not the tunnel's."""


def dropping(signature: str) -> Policy:
    """Flows to the calls' ports in which that is seen are dropped."""
    rule = Rule("one", (ALL[signature],), Drop(), Scope.FLOW, ports=PORTS)
    return Policy("one", "", (), policy("open").confidence, (rule,))


def handed_off(call: Call, rules: Policy) -> tuple[Record, Record]:
    """Outside, and set up in WireGuard with the rest outside."""

    async def both() -> tuple[Record, Record]:
        async with lab() as here, enforced(here.censor, rules, 1):
            target = await here.serve(call, "call", 4)
            async with WireguardGo().serve(here) as fields:
                outside = await play(call.script(target, Random(1)), here.outside)
                async with Wireguard(**fields).up(here.client) as inside:
                    script, path = prepared(call, target, Random(2), inside, here.outside)
                    return outside, await play(script, path)

    return asyncio.run(both())


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (WhatsappCall(handoff=True), "turn-allocate"),
        (DiscordVoice(handoff=True), "discord-discovery"),
    ],
    ids=lambda one: str(one) if isinstance(one, str) else type(one).__name__,
)
def test_a_block_of_the_set_up_alone_is_left_behind(call: Call, signature: str) -> None:
    """Outside nothing is set up; set up inside the call goes on outside, both ways."""
    outside, moved = handed_off(call, dropping(signature))

    assert isinstance(outside.outcome, Failure)
    assert outside.outcome.stage in (Stage.ALLOCATE, Stage.BINDING)
    assert moved.outcome == Success()


@pytest.mark.parametrize("call", [WhatsappCall(handoff=True), DiscordVoice(handoff=True)])
def test_a_block_of_sound_too_is_not(call: Call) -> None:
    """The call is set up, which the tunnel saw to, and then it is silent."""
    _, moved = handed_off(call, dropping("udp"))

    assert isinstance(moved.outcome, Failure)
    assert moved.outcome.stage in (Stage.MEDIA_UP, Stage.MEDIA_DOWN)


def test_a_block_that_knows_pings_catches_a_call_that_moves() -> None:
    """`ru-calls-2025-09` recognises what WhatsApp's clients send all through a call."""
    outside, moved = handed_off(WhatsappCall(handoff=True), policy("ru-calls-2025-09"))

    assert isinstance(outside.outcome, Failure)
    assert isinstance(moved.outcome, Failure)
    assert outside.outcome.stage is Stage.ALLOCATE
    assert moved.outcome.stage in (Stage.MEDIA_UP, Stage.MEDIA_DOWN)
