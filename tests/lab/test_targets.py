"""Target files on real sockets: strangers at coturn, and names asked for, lied to or not."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from random import Random
from typing import Any

import pytest

from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.handshakes.messenger_call import MessengerCall
from circumtest.handshakes.signal_call import SignalCall
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.lab import resolvers
from circumtest.lab.far.coturn import Coturn
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.tinyproxy import Tinyproxy
from circumtest.lab.topology import Lab, lab
from circumtest.live.control import Ntp, Tls
from circumtest.live.exchanged import exchanged
from circumtest.live.locate import PATIENCE
from circumtest.live.service import Endpoint
from circumtest.live.targets import Located, resolved
from circumtest.model import (
    Address,
    Carrier,
    Cause,
    Failure,
    Record,
    Stage,
    Success,
    Transport,
)
from circumtest.names import Mood, Zone
from circumtest.path import Path
from circumtest.play import play
from circumtest.resolve import Over, Resolver
from circumtest.script import Handshake
from circumtest.tunnels.http_connect import HttpConnect
from circumtest.tunnels.socks import Socks

TIMEOUT = 60.0
NAME = "called.example.org"
STRANGERS: dict[str, Handshake] = {
    "telegram-call-turn": TelegramCallTurn(),
    "messenger-call": MessengerCall(),
    "signal-call": SignalCall(),
    "signal-call over TCP": SignalCall(Carrier.TCP),
}


def in_lab(scene: Callable[[Lab], Awaitable[None]]) -> None:
    """Run a scene in a lab of its own, bounded."""

    async def whole() -> None:
        async with asyncio.timeout(TIMEOUT), lab() as town:
            await scene(town)

    asyncio.run(whole())


async def stranger(town: Lab, handshake: Any, version: int, path: Path | None = None) -> Record:
    """A stranger's trial at coturn."""
    target = await town.place(handshake, "stranger", version)
    async with Coturn().serve(town, handshake, target):
        asked = target[: handshake.listen.hosts]
        return await play(handshake.reach(asked, Random(3)), path or town.outside)


# ------------------------------------------------------------------ a real TURN server


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", STRANGERS)
def test_coturn_tells_a_stranger_its_realm_and_that_is_success(name: str, version: int) -> None:
    """Its 401, as it says it."""
    handshake = STRANGERS[name]

    async def scene(town: Lab) -> None:
        record = await stranger(town, handshake, version)
        assert record.outcome == Success()
        assert tuple(one.stage for one in record.stages) == exchanged(handshake)[0]

    in_lab(scene)


def test_coturns_certificate_is_nobodys_that_this_system_knows() -> None:
    """Over TLS a real server is known by name, and this one is not."""

    async def scene(town: Lab) -> None:
        record = await stranger(town, SignalCall(Carrier.TLS, host="turn.example.org"), 4)
        assert isinstance(record.outcome, Failure)
        assert (record.outcome.stage, record.outcome.cause) == (
            Stage.ALLOCATE,
            Cause.WRONG_IDENTITY,
        )

    in_lab(scene)


@pytest.mark.parametrize(
    ("name", "stage"),
    [("telegram-call-turn", Stage.BINDING), ("signal-call", None)],
)
def test_a_censor_stops_strangers_where_he_stops_calls(name: str, stage: Stage | None) -> None:
    """September 2025: Telegram's port, and nothing of Signal's."""

    async def scene(town: Lab) -> None:
        handshake: Any = STRANGERS[name]
        target = await town.place(handshake, "stranger", 4)
        async with (
            Coturn().serve(town, handshake, target),
            enforced(town.censor, policy("ru-calls-2025-09"), 1),
        ):
            asked = target[: handshake.listen.hosts]
            record = await play(handshake.reach(asked, Random(3)), town.outside)
        ended = record.outcome
        assert (ended.stage if isinstance(ended, Failure) else None) == stage

    in_lab(scene)


# ------------------------------------------------------------------ neutral places


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "control", [Ntp(), Tls("neutral.example.org", secret="shared")], ids=["ntp", "tls"]
)
def test_a_neutral_place_answers_on_real_sockets(control: Handshake, version: int) -> None:
    """Beside nothing else."""

    async def scene(town: Lab) -> None:
        target = await town.serve(control, "neutral", version)
        record = await play(control.script(target, Random(1)), town.outside)
        assert record.outcome == Success()

    in_lab(scene)


# ------------------------------------------------------------------ names


def endpoint(host: str = NAME, right: tuple[str, ...] = ()) -> Endpoint:
    """A control at a name."""
    stages, reach = exchanged(Ntp())
    return Endpoint(
        host=host,
        port=123,
        kind="ntp",
        transport=Transport.UDP,
        stages=stages,
        date=date(2026, 11, 25),
        source="a test",
        reach=reach,
        right=right,
    )


async def asked(town: Lab, mood: Mood, path: Path, *, right: bool = True) -> Located:
    """The endpoint's name as a resolver in that mood tells it."""
    (there,) = await town.addresses(1, 123, 4)
    zone = Zone({NAME: (there.host,)}, mood, PATIENCE + 1)
    provider = await resolvers.serve(town, zone, 4)
    one = endpoint(right=(there.host,) if right else ())
    # With the secret, without which the lab's resolver says little over UDP to whoever asks.
    whom = Resolver(Over.UDP, (Address(provider, Over.UDP.port),), secret=resolvers.SECRET)
    (found,) = await resolved([one], path, (whom,))
    if found.addresses:
        assert found.addresses == (Address(there.host, 123),)
    return found


@pytest.mark.parametrize(
    ("mood", "cause"),
    [
        (Mood.HONEST, None),
        (Mood.EMPTY, Cause.DNS_EMPTY),
        (Mood.REFUSE, Cause.DNS_REFUSED),
        (Mood.NXDOMAIN, Cause.DNS_NXDOMAIN),
        (Mood.POISON, Cause.DNS_POISONED),
        (Mood.BOGON, Cause.DNS_BOGON),
        (Mood.INJECT, Cause.DNS_POISONED),
        (Mood.LATE, Cause.DNS_LATE),
        (Mood.SILENT, Cause.TIMEOUT),
    ],
)
def test_what_a_resolver_says_of_a_name_is_told_apart(mood: Mood, cause: Cause | None) -> None:
    """No such name, refused, empty, forged, late, silent."""

    async def scene(town: Lab) -> None:
        found = await asked(town, mood, town.outside)
        trouble = found.trouble
        assert (trouble.cause if isinstance(trouble, Failure) else trouble) == cause
        assert bool(found.addresses) is (cause is None)
        if isinstance(trouble, Failure):
            assert trouble.stage is Stage.RESOLVE

    in_lab(scene)


def test_an_address_that_nobody_public_has_is_no_answer() -> None:
    """Where a file does not say which addresses are right, as none of the shipped ones does."""

    async def scene(town: Lab) -> None:
        found = await asked(town, Mood.HONEST, town.outside, right=False)
        assert isinstance(found.trouble, Failure)
        assert found.trouble.cause is Cause.DNS_BOGON

    in_lab(scene)


def test_names_are_asked_for_through_the_path_that_is_tried() -> None:
    """Through SOCKS over UDP, through an HTTP proxy over TCP: there the provider cannot lie."""

    async def scene(town: Lab) -> None:
        async with (
            Dante().serve(town) as socks,
            Socks(**socks).up(town.client) as datagrams,
            Tinyproxy().serve(town) as proxy,
            HttpConnect(**proxy).up(town.client) as streams,
        ):
            (there,) = await town.addresses(1, 123, 4)
            zone = Zone({NAME: (there.host,)})
            provider = await resolvers.serve(town, zone, 4)
            one = endpoint(right=(there.host,))
            for path in (datagrams, streams):
                (found,) = await resolved([one], path, (provider,))
                assert found.addresses == (Address(there.host, 123),)

    in_lab(scene)


def test_a_silent_resolver_is_followed_by_the_next() -> None:
    """By address in one question, as a system does it; and by a whole one behind it."""

    async def scene(town: Lab) -> None:
        (there, nobody) = await town.addresses(2, 123, 4)
        provider = await resolvers.serve(town, Zone({NAME: (there.host,)}), 4)
        one = endpoint(right=(there.host,))
        whole = Resolver(
            Over.DOH,
            (Address(provider, Over.DOH.port),),
            resolvers.NAME,
            resolvers.SECRET,
        )
        for told in ((nobody.host, provider), (nobody.host, whole)):
            (found,) = await resolved([one], town.outside, told)
            assert found.addresses == (Address(there.host, 123),)

    in_lab(scene)
