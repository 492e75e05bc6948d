"""The far half: bounded, deaf to what it cannot authenticate, and never louder than it may be."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.model import Address, Transport
from circumtest.recording import Frame, Kind, Place, Recording
from circumtest.recording import far as room
from circumtest.recording.far import FarHalf
from circumtest.recording.session import Score, Variant
from circumtest.recording.text import load
from circumtest.script import Emit, Flow
from circumtest.talker import QUIET

SCORE = Score(load("webrtc-call"), "secret", Variant.AS_RECORDED)
SERVER = Address("203.0.113.10", 43972)


def flow(port: int = 40000, transport: Transport = Transport.UDP) -> Flow:
    """From one of the caller's ports."""
    return Flow(transport, SERVER, Address("192.0.2.2", port))


def heard(far: FarHalf, data: bytes, now: float, where: Flow | None = None) -> list[Emit]:
    """What is said at once, and until everything due is said."""
    said = [*far.receive(where or flow(), data, now)]
    for _ in range(30):
        due = far.timer()
        if due is None or due > now + 0.5:
            break
        said += far.tick(due)
    return said


@settings(max_examples=100)
@given(st.lists(st.tuples(st.binary(max_size=100), st.booleans()), max_size=8))
def test_garbage_is_never_answered(said: list[tuple[bytes, bool]]) -> None:
    """Over either transport, in any pieces."""
    far = FarHalf(SCORE, 1.0)
    for data, stream in said:
        where = flow(transport=Transport.TCP if stream else Transport.UDP)
        assert not [*far.receive(where, data, 1.0)]
    assert far.timer() is None


def test_calls_and_draws_are_bounded() -> None:
    """The oldest is forgotten first."""
    far = FarHalf(SCORE, 1.0)
    first = SCORE.draw(Random(0)).render(0)
    assert heard(far, first, 1.0, flow(1))
    for n in range(room.MAX_CALLS):
        assert heard(far, SCORE.draw(Random(n + 1)).render(0), 2.0, flow(1000 + n))

    assert len(far._calls) == room.MAX_CALLS
    assert flow(1) not in far._calls
    assert len(far._holders) <= room.MAX_DRAWS


def test_unfinished_streams_are_bounded() -> None:
    """And forgotten when they end."""
    far = FarHalf(SCORE, 1.0)
    for n in range(room.MAX_CALLS + 5):
        far.receive(flow(n + 1, Transport.TCP), b"\0\1", 1.0)
    assert len(far._begun) == room.MAX_CALLS
    far.receive(flow(room.MAX_CALLS + 5, Transport.TCP), b"", 1.0)

    assert len(far._begun) == room.MAX_CALLS - 1


def test_the_sound_stops_when_the_caller_is_gone() -> None:
    """Longer than any media stage after his last packet."""
    far, session = FarHalf(SCORE, 1.0), SCORE.draw(Random(1))
    now = 10.0
    for number, frame in enumerate(SCORE.recording.frames[:8]):
        if frame.client:
            heard(far, session.render(number), now)
            now += 1.0
    begun = now
    last = begun
    while (due := far.timer()) is not None:
        last = due
        assert [*far.tick(due)] or due - begun > QUIET - 2
    assert QUIET - 2 < last - begun < QUIET + 2


def test_a_frame_out_of_turn_is_not_answered() -> None:
    """Whoever leaves out his half of the handshake hears nothing of ours."""
    far, session = FarHalf(SCORE, 1.0), SCORE.draw(Random(1))
    heard(far, session.render(0), 1.0)

    assert not heard(far, session.render(6), 2.0)


def test_twins_in_one_turn_are_both_waited_for() -> None:
    """A recorded retransmission is one more frame of the same bytes."""
    place = (Place(0, 20, Kind.RANDOM, "t1"),)
    frames = (*(Frame(n / 10, True, bytes(20), place) for n in (0, 1, 2)), Frame(0.3, False, b"ok"))
    score = Score(Recording(Transport.UDP, 9, frames), "secret", Variant.AS_RECORDED)
    far, asked = FarHalf(score, 1.0), score.draw(Random(1)).render(0)

    assert [len(heard(far, asked, now)) for now in (1.0, 1.1, 1.2)] == [0, 0, 1]


def test_a_stream_that_leaves_the_recording_is_heard_no_more() -> None:
    """One wrong byte behind the opening."""
    frames = tuple(
        Frame(n / 10, n % 2 == 0, bytes(20), (Place(0, 20, Kind.RANDOM),)) for n in range(4)
    )
    score = Score(Recording(Transport.TCP, 9, frames), "secret", Variant.AS_RECORDED)
    for wrong in (False, True):
        far, session = FarHalf(score, 1.0), score.draw(Random(1))
        where = flow(transport=Transport.TCP)
        opening, rest = session.render(0), bytearray(session.render(2))
        rest[5] ^= wrong
        assert not heard(far, opening[:7], 1.0, where)
        assert len(heard(far, opening[7:], 1.0, where)) == 1
        assert len(heard(far, bytes(rest), 2.0, where)) == (not wrong)
