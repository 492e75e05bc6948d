"""The sound of a recording: packets in order, known by their ends, with a report where it fits."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.media import Report
from circumtest.model import Transport
from circumtest.recording import Frame, Kind, Place, Recording
from circumtest.recording.session import Score, Session, Variant
from circumtest.recording.sound import AHEAD, Sound, rate
from circumtest.recording.text import load

REPORT = Report(12, 14, 0.003, 0.08, None, 0.0123, 3)


def session(variant: Variant = Variant.AS_RECORDED) -> Session:
    """A play of the shipped call."""
    return Score(load("webrtc-call"), "secret", variant).draw(Random(1))


@pytest.mark.parametrize("variant", list(Variant))
def test_every_packet_is_known_again_also_when_the_sound_begins_anew(variant: Variant) -> None:
    """By number, in any order, once and twice."""
    here, there = (Sound(session(variant), client=True) for _ in range(2))
    for seq in (0, 5, 1, 1, 103, 104, 105, 700):
        heard = there.unpack(here.pack(seq, 9.0), 0, {})
        assert heard is not None
        assert heard.seq == seq
        assert heard.report is None


def test_a_report_comes_with_the_far_halfs_packets() -> None:
    """To the units of its fields; the echo is when we sent what it heard last."""
    far, near = (Sound(session(), client=False) for _ in range(2))
    heard = near.unpack(far.pack(3, 9.0, REPORT, latest=14), -1, {14: 99.5})

    assert heard is not None
    assert heard.report is not None
    assert heard.report[:2] == (12, 14)
    assert heard.report.echo == 99.5
    assert heard.report.held == pytest.approx(0.0123)
    assert heard.report.jitter == pytest.approx(0.003)
    assert heard.report.gap == pytest.approx(0.08)
    assert heard.report.late == 3


def test_before_anything_was_heard_the_report_says_so() -> None:
    """No highest number and no echo."""
    far, near = (Sound(session(), client=False) for _ in range(2))
    heard = near.unpack(far.pack(0, 9.0, Report(0, -1, 0, 0, None, 0)), -1, {0: 1.0})

    assert heard is not None
    assert heard.report is not None
    assert (heard.report.highest, heard.report.echo) == (-1, None)


def test_times_beyond_a_fields_reach_are_its_greatest() -> None:
    """They do not wrap."""
    far, near = (Sound(session(), client=False) for _ in range(2))
    heard = near.unpack(far.pack(0, 9.0, Report(1, 1, 1e9, 1e9, None, 1e9)), -1, {})

    assert heard is not None
    assert heard.report is not None
    assert heard.report.gap == pytest.approx(10.2)
    assert heard.report.held == pytest.approx(6.5535)


@given(st.binary(max_size=60))
def test_garbage_is_not_sound(data: bytes) -> None:
    """Of any size."""
    assert SOUND.unpack(data, -1, {}) is None


SOUND = Sound(session(), client=False)


@given(st.integers(0, 38), st.integers(0, 7))
def test_a_packet_with_one_bit_changed_is_none_but_where_the_report_is_hidden(
    at: int, bit: int
) -> None:
    """There it says something else, which only who sees the packet could bring about."""
    packet = bytearray(SOUND.pack(4, 9.0, REPORT))
    packet[at] ^= 1 << bit

    assert (SOUND.unpack(bytes(packet), -1, {}) is None) is not (20 <= at < 33)


def test_what_is_too_far_ahead_is_not_known_until_it_comes_near() -> None:
    """Memory is bounded by that."""
    far, near = (Sound(session(), client=False) for _ in range(2))
    packet = far.pack(AHEAD + 500, 9.0)

    assert near.unpack(packet, -1, {}) is None
    assert near.unpack(packet, 1500, {}) is not None


def test_packets_too_small_for_a_report_are_known_and_say_nothing() -> None:
    """Then nobody can tell what went up."""
    small = tuple(
        Frame(n / 50, n % 2 == 0, bytes(12), (Place(0, 12, Kind.RANDOM),)) for n in range(9)
    )
    recording = Recording(Transport.UDP, 9, small, media=2)
    far, near = (
        Sound(Score(recording, "s", Variant.AS_RECORDED).draw(Random(1)), client=False)
        for _ in range(2)
    )
    heard = near.unpack(far.pack(1, 9.0, REPORT), -1, {})

    assert heard is not None
    assert heard.report is None


def test_the_rate_is_the_recorded_one() -> None:
    """And one a second where there is no telling."""
    assert (
        rate(load("webrtc-call"), client=True) == 51 or rate(load("webrtc-call"), client=True) == 52
    )
    assert rate(load("turn"), client=True) == 1


def test_a_packet_says_when_it_really_left() -> None:
    """A sender that was held up does not look like a network that is slow."""
    far, near = (Sound(session(), client=True) for _ in range(2))
    times = (50.0, 50.02, 50.35, 50.36, 53.0)
    heard = [near.unpack(far.pack(seq, at), seq, {}) for seq, at in enumerate(times)]

    told = [one.sent_at for one in heard if one]
    assert [at - told[0] for at in told] == pytest.approx([at - 50 for at in times], abs=2e-3)
