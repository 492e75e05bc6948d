"""Sound in virtual time: five bad networks, told apart in every call that has sound."""

import pytest

from circumtest.model import Media, Record, Stage, Success, Transport
from circumtest.registry import HANDSHAKES, kinds
from tests.sim.impaired import (
    CALLS,
    ENDINGS,
    NETWORKS,
    SILENT,
    STRAYS,
    behind,
    call,
    ending,
    handshake,
    is_dead,
    level,
    watched,
)


def sound(record: Record) -> Media:
    """The one report of a call."""
    (media,) = record.media
    return media


def test_every_handshake_with_sound_is_among_the_calls() -> None:
    """By its stages."""
    loud = {
        kind
        for kind in kinds(HANDSHAKES)
        if Stage.MEDIA_UP in handshake(kind, level("25 packets")).stages
    }
    assert loud == set(CALLS) == set(kinds(HANDSHAKES)) - SILENT


@pytest.mark.parametrize("kind", CALLS)
def test_a_good_network_carries_good_sound(kind: str) -> None:
    """Both directions whole, and an opinion as good as the codec allows."""
    record = call(kind, level("25 packets"))
    media = sound(record)

    assert record.outcome == Success()
    for way in (media.up, media.down):
        assert (way.lost, way.late or 0, way.burst or 0, way.burst_ratio or 1.0) == (0, 0, 0, 1.0)
    assert media.mos is not None
    assert media.mos > 4.3


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", CALLS)
def test_a_bad_network_is_told_from_the_others(kind: str, network: str, version: int) -> None:
    """By stage and cause; only the two directions of a stream die together."""
    record = behind(kind, network, version)
    if network.startswith("nothing"):
        stream = watched(kind).transport is Transport.TCP
        assert ending(record) == ENDINGS["25 packets"] if stream else is_dead(record, network)
    else:
        assert ending(record) == ENDINGS[network]


DATAGRAMS = [kind for kind in CALLS if kind != "telegram-call-tcp"]


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_the_numbers_say_which_way_is_dead(kind: str) -> None:
    """The dead direction has nothing, the living one everything; an uplink may be unknown."""
    down = sound(behind(kind, "nothing comes down"))
    up = sound(behind(kind, "nothing goes up"))

    assert down.down.received is not None
    assert down.down.received <= STRAYS
    assert down.down.mos is not None
    assert down.down.mos < 1.3
    assert up.up.received is not None
    assert up.up.received <= STRAYS
    assert up.mos is not None
    assert up.mos < 1.3
    assert up.down.lost == 0


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_random_loss_is_loss_in_short_bursts(kind: str) -> None:
    """Three tenths of each way, or of both ways one after the other where both ends are here.

    The ratio is near 1, as G.107 has it for chance.
    """
    media = sound(behind(kind, "30 % is lost"))
    for way in (media.up, media.down):
        assert way.received is not None
        assert 0.24 < 1 - way.received / way.sent < 0.56
        assert way.burst is None or 2 < way.burst < 20
        assert way.burst_ratio is None or 0.8 < way.burst_ratio < 1.25
        assert way.silent_after is None
    assert media.mos is not None
    assert media.mos < 2.6


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_a_count_and_a_clock_are_told_by_when_silence_began(kind: str) -> None:
    """A few packets into the sound, or 22 s after the flow's first packet."""
    by_count, by_clock = sound(behind(kind, "25 packets")), sound(behind(kind, "22 seconds"))
    for way in (by_count.up, by_count.down):
        if way.silent_after is not None:
            assert way.silent_after < 50
            assert way.silent_at is not None
            assert way.silent_at < 1
    silent = [w.silent_at for w in (by_clock.up, by_clock.down) if w.silent_at is not None]
    assert silent
    assert all(20 < at < 22.1 for at in silent)
