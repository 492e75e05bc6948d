"""An outsider makes the same call: Chromium's WebRTC, through the same lab, censor and tunnel.

Whatever policy is in force, the browser's connection ends as our handshake says that it must.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.censor.policy import (
    Bits,
    Confidence,
    Drop,
    Policy,
    Rule,
    Scope,
    Shape,
    Signature,
    octets,
)
from circumtest.handshakes.webrtc import Webrtc
from circumtest.lab.far.aiortc import Aiortc
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address, Failure, Level, Outcome, Stage, Success, Transport
from circumtest.netns import Netns
from circumtest.path import Path as PathProtocol
from circumtest.play import play
from circumtest.process import run
from circumtest.tunnels.wireguard import Wireguard

CALLER = Path(__file__).with_name("chromium.py")
ENOUGH = 60
"""Packets of sound that come down in a call that works; the frozen one has 40 of all kinds."""
TIMEOUT = 90.0


def drops(name: str, *shapes: Shape, after: int = 0) -> Policy:
    """A policy of one rule, which drops flows of these shapes."""
    signature = Signature(name, shapes, "this test", Confidence.GUESSED)
    rule = Rule(name, (signature,), Drop(), Scope.FLOW, after)
    return Policy(name, "", (), Confidence.GUESSED, (rule,))


STUN = Shape(Transport.UDP, (Bits(0, 2, 0, 0), octets(4, "2112a442")))
POLICIES = {
    "open": policy("open"),
    "ru-calls-2025-09": policy("ru-calls-2025-09"),
    "stun": drops("stun", STUN),
    "dtls": drops("dtls", Shape(Transport.UDP, (octets(0, "16fe"),))),
    "frozen": drops("frozen", STUN, after=40),
}


@asynccontextmanager
async def way(tunnel: str, town: Lab) -> AsyncIterator[tuple[PathProtocol, Netns]]:
    """The client's own network, or WireGuard out of it, and the namespace where it begins."""
    if tunnel == "none":
        yield town.outside, town.client
        return
    async with (
        WireguardGo().serve(town) as fields,
        Wireguard(**fields, exits=tuple(town.exit_addresses)).up(town.client) as path,
    ):
        yield path, path.inside


async def browse(netns: Netns, target: Address) -> dict[str, Any]:
    """How the browser's call stands after some seconds."""
    url = f"http://{target.host}:8080/whip"
    said = await run(netns, [sys.executable, str(CALLER), url, "5"], timeout=60.0)
    told: dict[str, Any] = json.loads(said)
    return told


async def both(tunnel: str, censor: Policy) -> tuple[Outcome, dict[str, Any]]:
    """Our call and then the browser's, through one tunnel and one censor."""
    async with asyncio.timeout(TIMEOUT), lab() as town, enforced(town.censor, censor):
        handshake = Webrtc(level=Level.QUICK)
        target = await town.place(handshake, "webrtc")
        async with (
            Aiortc().serve(town, handshake, target),
            way(tunnel, town) as (path, netns),
        ):
            ours = (await play(handshake.script(target, Random(1)), path)).outcome
            return ours, await browse(netns, target[0])


def where(told: dict[str, Any]) -> Stage | None:
    """The stage at which the browser's call stands, None where it works."""
    if told["state"] == "signalling":
        return Stage.SIGNALLING
    if told["ice"] not in ("connected", "completed") and told.get("dtls") != "connected":
        return Stage.CONNECTIVITY
    if told.get("dtls") != "connected":
        return Stage.DTLS
    return None if told["received"] >= ENOUGH else Stage.MEDIA_DOWN


def ours_at(outcome: Outcome) -> Stage | None:
    """The same of our call; sound that goes no way or freezes is one thing to a browser."""
    if isinstance(outcome, Success):
        return None
    assert isinstance(outcome, Failure), outcome
    sound = (Stage.MEDIA_UP, Stage.MEDIA_DOWN, Stage.SUSTAIN)
    return Stage.MEDIA_DOWN if outcome.stage in sound else outcome.stage


@pytest.mark.parametrize("tunnel", ["none", "wireguard"])
@pytest.mark.parametrize("name", POLICIES)
def test_the_browsers_call_ends_where_ours_does(name: str, tunnel: str) -> None:
    """Outside at the stage that the policy attacks, and nowhere inside."""
    ours, told = asyncio.run(both(tunnel, POLICIES[name]))
    expected = {
        "stun": Stage.CONNECTIVITY,
        "dtls": Stage.DTLS,
        "frozen": Stage.MEDIA_DOWN,
    }.get(name)
    if tunnel != "none":
        expected = None

    assert (ours_at(ours), where(told)) == (expected, expected), told
