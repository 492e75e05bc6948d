"""A call that is held for twenty minutes, in virtual time: what only that shows."""

import tracemalloc
from random import Random

import pytest

from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.handshakes.discord_voice import DiscordVoice
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.handshakes.turn import Turn
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.ladders import PACES
from circumtest.media import HOLD, RATE, Heard
from circumtest.model import Cause, Failure, Level, Record, Stage, Success
from circumtest.script import Handshake
from circumtest.simulate import far_end, simulate
from circumtest.talker import LONGEST, QUIET, Talker

LISTED = 600
"""Seconds after which `ru-calls-2026-dest` drops what goes to and from a relay."""
CALLS = {"whatsapp-call": WhatsappCall, "telegram-call-udp": TelegramCallUdp}


def held(handshake: Handshake, censor: str = "") -> Record:
    """One call, at the level that it has."""
    target, services = far_end(handshake)
    judge = Censor(policy(censor), 1) if censor else None
    return simulate(handshake.script(target, Random(3)), services, judge)


@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD])
@pytest.mark.parametrize("call", CALLS)
def test_a_short_call_does_not_see_a_relay_being_listed(call: str, level: Level) -> None:
    """It is over when the list has the address."""
    record = held(CALLS[call](level=level), "ru-calls-2026-dest")

    assert isinstance(record.outcome, Success)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_is_held_dies_when_its_relay_is_listed(call: str) -> None:
    """What comes down falls silent at ten minutes, the report says when, and soon it is over."""
    record = held(CALLS[call](level=Level.SOAK), "ru-calls-2026-dest")
    [media] = record.media

    assert isinstance(record.outcome, Failure)
    assert (record.outcome.stage, record.outcome.cause) == (Stage.SUSTAIN, Cause.FROZEN)
    assert media.down.silent_at == pytest.approx(LISTED, abs=2)
    assert f"{media.down.silent_at:.1f} s" in record.outcome.detail
    assert record.seconds < LISTED + HOLD + 5


@pytest.mark.parametrize(
    "handshake",
    [
        WhatsappCall(level=Level.SOAK),
        TelegramCallUdp(level=Level.SOAK),
        DiscordVoice(level=Level.SOAK),
        Turn(level=Level.SOAK),
    ],
    ids=lambda one: type(one).__name__,
)
def test_nothing_of_our_own_ends_a_held_call(handshake: Handshake) -> None:
    """Allocations, permissions, channels and the far end's sound last twenty minutes."""
    record = held(handshake)
    [media] = record.media

    assert record.outcome == Success()
    assert media.seconds == PACES[Level.SOAK].media
    assert media.up.received == media.up.sent == PACES[Level.SOAK].media * RATE


def test_the_memory_of_an_end_does_not_grow_with_its_packets() -> None:
    """Of 60,000 packets a bit each is left, and the last times."""
    tracemalloc.start()
    try:
        talker = Talker(0.0)
        for number in range(60_000):
            talker.hear(Heard(number, number / RATE), number / RATE)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert talker.ear.received == 60_000
    assert kept < 200_000


def test_a_far_end_outlasts_the_longest_call_and_a_silent_caller() -> None:
    """Else its own end would look like a censor's."""
    longest = max(pace.media for pace in PACES.values())

    assert longest < LONGEST
    assert HOLD < QUIET
