"""Signal's call in virtual time: its bytes, what it survives, where it dies of what."""

from pathlib import Path

import dpkt
import pytest

from circumtest.handshakes.signal_call import SignalCall
from circumtest.model import Carrier, Cause, Level, Stage, Success
from circumtest.wire import stun, turn
from tests.sim.turning import MEDIA_ENDS, Dropping, Which, died, drops, inside, names, nth, play

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("carrier", list(Carrier))
def test_a_call_that_nobody_hinders_succeeds(version: int, carrier: Carrier) -> None:
    """Over every transport that the application falls back to."""
    record = play(SignalCall(carrier), version=version)

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == SignalCall.stages
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)


@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_it_succeeds_at_every_level(level: Level) -> None:
    """A minute costs no minute."""
    assert play(SignalCall(level=level)).outcome == Success()


def test_its_ports_are_those_of_the_servers_sample() -> None:
    """UDP 3478, TCP 80, TLS 443; all arms are calls of one application."""
    ports = [SignalCall(carrier).listen.port for carrier in Carrier]

    assert ports == [3478, 80, 443]
    assert len({SignalCall(carrier).app for carrier in Carrier}) == 1


@pytest.mark.parametrize("number", range(40))
def test_no_single_packet_is_indispensable(number: int) -> None:
    """Whichever is lost over UDP."""
    assert play(SignalCall(), Dropping(nth(number))).outcome == Success()


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops("0x3", way=True), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x3", way=False, after=1), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x8"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("0x9"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check", way=True), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check", way=False), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        *MEDIA_ENDS,
    ],
)
def test_every_stage_dies_of_what_is_taken_from_it(which: Which, end: tuple[Stage, Cause]) -> None:
    """Requests, answers, checks, sound of either direction."""
    assert died(play(SignalCall(), Dropping(which))) == end


def test_requests_are_as_long_as_those_of_the_capture() -> None:
    """28 bytes, answered with 92; 116, answered with 92; attributes in the file's order."""
    censor = Dropping()
    play(SignalCall(), censor)
    asked, answered = censor.up()[:2], censor.down()[:2]
    with (DATA / "signal_turn.pcap").open("rb") as file:
        frames = [dpkt.ethernet.Ethernet(frame) for _, frame in dpkt.pcap.UniversalReader(file)]
    real = [bytes(frame.data.data.data) for frame in frames][2:]

    assert [len(one) for one in (asked[0], answered[0], asked[1], answered[1])] == [28, 92, 116, 92]
    assert names(asked) == names(real[::2])
    assert names(answered) == names(real[1::2])
    user = stun.unpack(asked[1]).get(turn.USERNAME) or b""
    expires, digits = user.split(b":")
    assert expires.isdigit()
    assert digits.isdigit()
    assert len(digits) == 10
    assert turn.seconds(stun.unpack(answered[1]).get(turn.LIFETIME)) == 600


def test_there_is_no_dtls_and_sound_is_opus_as_signal_numbers_it() -> None:
    """What passes behind ICE is SRTP at once."""
    censor = Dropping()
    play(SignalCall(), censor)
    carried = [inside(one) for one in censor.up()]

    assert not any(b"\x14" <= one[:1] <= b"\x3f" for one in carried)
    assert {one[1] & 0x7F for one in carried if one[:1] == b"\x90"} == {102}
