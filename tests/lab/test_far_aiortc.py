"""A call to a real WebRTC peer: aiortc's ICE, DTLS and SRTP, in the lab, outside and in tunnels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
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
    Signature,
    Way,
    octets,
)
from circumtest.censor.policy import Shape as Form
from circumtest.dtls import Shape
from circumtest.handshakes.webrtc import Webrtc
from circumtest.lab.far.aiortc import Aiortc
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import CLIENT, EXIT, Lab, lab
from circumtest.model import Cause, Failure, Record, Stage, Success, Transport
from circumtest.path import Path
from circumtest.play import play
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard

TIMEOUT = 60.0


@asynccontextmanager
async def path_of(tunnel: str, town: Lab) -> AsyncIterator[Path]:
    """The client's own network, or a tunnel out of it."""
    if tunnel == "none":
        yield town.outside
        return
    server: Any
    client: Any
    server, client = {"wireguard": (WireguardGo(), Wireguard), "socks": (Dante(), Socks)}[tunnel]
    async with (
        server.serve(town) as fields,
        client(**fields, exits=tuple(town.exit_addresses)).up(town.client) as path,
    ):
        yield path


async def called(handshake: Webrtc, version: int, tunnel: str, calls: int = 1) -> list[Record]:
    """What became of calls at once to one aiortc."""
    async with asyncio.timeout(TIMEOUT), lab() as town:
        target = await town.place(handshake, "webrtc", version)
        async with Aiortc().serve(town, handshake, target), path_of(tunnel, town) as path:
            scripts = [handshake.script(target, Random(seed)) for seed in range(calls)]
            return list(await asyncio.gather(*(play(script, path) for script in scripts)))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tunnel", ["none", "wireguard", "socks"])
def test_a_call_is_connected_and_carries_sound_both_ways(tunnel: str, version: int) -> None:
    """The far end sees the exit, and counts every packet that we sent."""
    (record,) = asyncio.run(called(Webrtc(), version, tunnel))
    (media,) = record.media

    assert record.outcome == Success()
    assert [stage.stage for stage in record.stages] == list(Webrtc.stages)
    assert record.exit is not None
    assert record.exit.host == (CLIENT if tunnel == "none" else EXIT)[version]
    for direction in (media.up, media.down):
        assert direction.lost is not None
        assert direction.lost <= 4
        assert direction.rtt is not None


@pytest.mark.parametrize("version", [4, 6])
def test_a_caller_that_does_not_choose_is_chosen_for(version: int) -> None:
    """Both begin controlled; the far end, whose number is larger, takes the other part."""
    (record,) = asyncio.run(called(Webrtc(controlling=False), version, "none"))

    assert record.outcome == Success()


async def answered(shape: Shape, version: int, censor: Policy | None = None) -> Record:
    """What became of a call to our own far half, which speaks DTLS 1.3 with who offers it."""
    handshake = Webrtc(clienthello=shape)
    async with asyncio.timeout(TIMEOUT), lab() as town, AsyncExitStack() as stack:
        if censor is not None:
            await stack.enter_async_context(enforced(town.censor, censor))
        target = await town.serve(handshake, "webrtc", version)
        return await play(handshake.script(target, Random(1)), town.outside)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("shape", [Shape.OPENSSL, Shape.CHROMIUM])
def test_our_own_far_half_is_as_good_a_peer(shape: Shape, version: int) -> None:
    """On real sockets, its signalling too: what the mirror serves."""
    assert asyncio.run(answered(shape, version)).outcome == Success()


@pytest.mark.parametrize("shape", [Shape.LIBWEBRTC, Shape.CHROMIUM])
def test_a_censor_of_dtls_1_3_meets_only_who_offers_it(shape: Shape) -> None:
    """By the unified header of sealed records (RFC 9147 4), which DTLS 1.2 has not."""
    unified = Form(Transport.UDP, (Bits(0, 3, 1, 1),))
    signature = Signature("unified", (unified,), "a test", Confidence.GUESSED)
    rule = Rule("unified", (signature,), Drop(), Scope.PACKET)
    censor = Policy("unified", "", (), Confidence.GUESSED, (rule,))

    outcome = asyncio.run(answered(shape, 4, censor)).outcome

    if shape is Shape.LIBWEBRTC:
        assert outcome == Success()
    else:
        assert isinstance(outcome, Failure)
        assert (outcome.stage, outcome.cause) == (Stage.DTLS, Cause.TIMEOUT)


@pytest.mark.parametrize("version", [4, 6])
def test_dtls_1_3_passes_where_pions_hello_does_not(version: int) -> None:
    """As was seen in the field in 2026."""
    censor = policy("ru-dtls-pion-2026")
    pion = asyncio.run(answered(Shape.PION, version, censor)).outcome

    assert isinstance(pion, Failure)
    assert (pion.stage, pion.cause) == (Stage.DTLS, Cause.TIMEOUT)
    assert asyncio.run(answered(Shape.CHROMIUM, version, censor)).outcome == Success()


@pytest.mark.parametrize("shape", list(Shape))
def test_every_shape_of_hello_ends_in_sound(shape: Shape) -> None:
    """Whatever the ClientHello looks like, aiortc's OpenSSL agrees on keys with it."""
    (record,) = asyncio.run(called(Webrtc(clienthello=shape), 4, "none"))

    assert record.outcome == Success()


def test_many_calls_at_once_are_calls_of_their_own() -> None:
    """Each with its own passwords, keys and counts."""
    records = asyncio.run(called(Webrtc(), 4, "none", calls=5))

    assert [record.outcome for record in records] == [Success()] * 5
    assert all(record.media[0].up.received for record in records)


def test_an_answer_that_the_secret_did_not_make_is_somebody_elses() -> None:
    """A middlebox that speaks WHIP is told from the far end."""

    async def scene() -> Record:
        handshake = Webrtc()
        async with asyncio.timeout(TIMEOUT), lab() as town:
            target = await town.place(handshake, "webrtc")
            async with Aiortc().serve(town, replace(handshake, secret="another"), target):
                return await play(handshake.script(target, Random(1)), town.outside)

    outcome = asyncio.run(scene()).outcome

    assert isinstance(outcome, Failure)
    assert (outcome.stage, outcome.cause) == (Stage.SIGNALLING, Cause.WRONG_IDENTITY)


@pytest.mark.parametrize(
    ("form", "way", "end"),
    [
        (octets(0, "0001"), Way.BOTH, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (octets(0, "0101"), Way.DOWN, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (octets(0, "16fe"), Way.BOTH, (Stage.DTLS, Cause.TIMEOUT)),
        (Bits(0, 2, 2, 2), Way.UP, (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (Bits(0, 2, 2, 2), Way.DOWN, (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
    ],
)
def test_a_censor_of_one_step_is_found_at_that_step(
    form: Bits, way: Way, end: tuple[Stage, Cause]
) -> None:
    """Checks, hellos, sound (by the first two bits): where what is dropped is needed."""
    shape = Form(Transport.UDP, (form,))
    signature = Signature("one", (shape,), "a test", Confidence.GUESSED)
    rule = Rule("one", (signature,), Drop(), Scope.PACKET, direction=way)

    async def scene() -> Record:
        handshake = Webrtc()
        censor = Policy("one", "", (), Confidence.GUESSED, (rule,))
        async with asyncio.timeout(TIMEOUT), lab() as town, enforced(town.censor, censor):
            target = await town.place(handshake, "webrtc")
            async with Aiortc().serve(town, handshake, target):
                return await play(handshake.script(target, Random(1)), town.outside)

    outcome = asyncio.run(scene()).outcome

    assert isinstance(outcome, Failure)
    assert (outcome.stage, outcome.cause) == end
