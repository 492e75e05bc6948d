"""The far end's sound: by its own clock, with what it heard, and not for ever."""

from circumtest.media import Heard
from circumtest.talker import LONGEST, QUIET, Talker, Turns


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


def test_a_late_frame_keeps_to_the_grid() -> None:
    """No burst makes up for the delay, and who was late goes on when he would have."""
    talker = Talker(100.0)
    assert talker.speak(101.003) is not None
    assert talker.due is not None
    assert round(talker.due, 6) == 101.02
    assert talker.speak(101.01) is None


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


def test_frames_say_how_losses_were_spread() -> None:
    """Two runs, the longer one of three, and one packet that came too late to be played."""
    talker = Talker(100.0)
    for seq, delay in ((0, 0.0), (2, 0.0), (6, 0.0), (1, 0.5)):
        talker.hear(Heard(seq, 100 + seq / 50), 100 + seq / 50 + delay)
    frame = talker.speak(101.0)

    assert frame is not None
    assert (frame.received, frame.late, frame.burst, frame.bursts) == (4, 1, 3, 2)


# ------------------------------------------------------------------ many of them


def test_everybody_speaks_in_turn() -> None:
    """Each every 20 ms from when he began, and nobody before he is due."""
    turns: Turns[str] = Turns()
    for number, name in enumerate("abc"):
        turns.add(name, Talker(100 + number / 200))

    assert turns.timer() == 100.0
    assert [name for name, _ in turns.speak(100.0)] == ["a"]
    assert [name for name, _ in turns.speak(100.012)] == ["b", "c"]
    spoken = [(name, frame.seq) for name, frame in turns.speak(100.021)]
    assert spoken == [("a", 1)]


def test_who_left_or_began_anew_is_not_waited_for() -> None:
    """His old turn is nobody's."""
    turns: Turns[str] = Turns()
    turns.add("a", Talker(100.0))
    turns.add("a", Talker(105.0))
    turns.add("b", Talker(101.0))
    turns.discard("b")

    assert turns.timer() == 105.0
    assert list(turns.speak(104.0)) == []
    assert [name for name, _ in turns.speak(105.0)] == ["a"]


def test_who_stopped_is_forgotten_by_the_timer() -> None:
    """And is still there to be touched."""
    turns: Turns[str] = Turns()
    turns.add("a", Talker(100.0))
    assert list(turns.speak(100.1 + QUIET)) == []
    assert turns.timer() is None
    assert turns.get("a") is not None
