"""The far end's sound: by its own clock, with what it heard, and not for ever."""

from circumtest.media import Heard
from circumtest.talker import LONGEST, QUIET, Talker


def test_it_speaks_every_20_ms_whatever_comes_in() -> None:
    """And not before it is due."""
    talker = Talker(100.0)
    first = talker.speak(100.0)
    early, second = talker.speak(100.01), talker.speak(100.02)

    assert first is not None
    assert second is not None
    assert early is None
    assert (first.seq, second.seq) == (0, 1)
    assert first.highest == -1
    assert first.echo is None


def test_a_late_frame_shifts_the_schedule() -> None:
    """No burst makes up for the delay."""
    talker = Talker(100.0)
    assert talker.speak(101.0) is not None
    assert talker.due == 101.0
    assert talker.speak(101.0) is not None
    assert talker.due is not None
    assert talker.due > 101.0


def test_frames_say_what_was_heard() -> None:
    """How many, the latest, and how long ago."""
    talker = Talker(100.0)
    talker.hear(Heard(0, 99.9), 100.0)
    talker.hear(Heard(4, 99.98), 100.05)
    frame = talker.speak(100.06)

    assert frame is not None
    assert (frame.received, frame.highest, frame.echo) == (2, 4, 99.98)
    assert round(frame.held, 6) == 0.01


def test_it_stops_when_nobody_is_heard_for_long() -> None:
    """For good."""
    talker = Talker(100.0)
    talker.touch(110.0)
    assert talker.speak(110.0 + QUIET) is not None
    assert talker.speak(110.1 + QUIET) is None
    assert talker.due is None


def test_it_stops_in_any_case_in_the_end() -> None:
    """However much is heard."""
    talker = Talker(100.0)
    talker.touch(100.1 + LONGEST)
    assert talker.speak(100.1 + LONGEST) is None
