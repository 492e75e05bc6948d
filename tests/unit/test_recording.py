"""The values of a recording: turns, sound, strides, and the control of random bytes."""

from circumtest.model import Transport
from circumtest.recording import Frame, Kind, Place, Recording, Turn
from circumtest.recording.text import load


def frame(at: float, way: str, *places: Place, size: int = 20) -> Frame:
    """One of zeros."""
    return Frame(at, way == "client", bytes(size), places)


def test_a_turn_is_what_the_caller_says_and_its_answers() -> None:
    """The last one may have none."""
    ways = ("client", "client", "server", "client", "server", "server", "client")
    recording = Recording(Transport.UDP, 9, tuple(frame(0, way) for way in ways))

    assert recording.turns == (Turn((0, 1), (2,)), Turn((3,), (4, 5)), Turn((6,), ()))


def test_sound_is_no_part_of_the_turns() -> None:
    """And only packets that end with drawn bytes are sound."""
    end = Place(4, 16, Kind.RANDOM)
    named = Place(4, 16, Kind.RANDOM, "s")
    frames = (
        frame(0, "client"),
        frame(0, "server"),
        frame(1, "client", end),
        frame(1, "server", end),
        frame(1, "client", named),
        frame(1, "server", Place(4, 7, Kind.RANDOM)),
        frame(1, "client"),
    )
    recording = Recording(Transport.UDP, 9, frames, media=2)

    assert recording.turns == (Turn((0,), (1,)),)
    assert (recording.sound(client=True), recording.sound(client=False)) == ((2,), (3,))


def test_what_recurs_counts_on_by_its_own_step() -> None:
    """From the last number to the first of the next round."""
    frames = (
        frame(0, "client"),
        frame(0, "server"),
        *(frame(1, "client", Place(0, 4, Kind.COUNTER, "z", 960 * n)) for n in range(5)),
    )

    assert Recording(Transport.UDP, 9, frames, media=2).strides == {"z": 960 * 5}


def test_two_recordings_that_differ_in_a_bit_have_different_digests() -> None:
    """Whatever it is that differs."""
    one = Recording(Transport.UDP, 9, (frame(0, "client"), frame(0, "server")))
    digests = {
        one.digest,
        Recording(Transport.TCP, 9, one.frames).digest,
        Recording(Transport.UDP, 9, one.frames, key="k").digest,
        Recording(Transport.UDP, 9, one.frames[::-1]).digest,
        Recording(Transport.UDP, 9, (frame(0, "client", size=21), one.frames[1])).digest,
    }

    assert len(digests) == 5


def test_the_random_control_has_sizes_and_times_only() -> None:
    """Nothing of what was said."""
    call = load("webrtc-call")
    random = call.scrambled()

    assert [len(one.data) for one in random.frames] == [len(one.data) for one in call.frames]
    assert [one.at for one in random.frames] == [one.at for one in call.frames]
    assert not any(any(one.data) for one in random.frames)
    assert random.media == call.media
