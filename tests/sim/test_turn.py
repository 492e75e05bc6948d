"""A plain call through TURN in virtual time: what it survives, and where it dies of what."""

import pytest

from circumtest.handshakes.turn import Turn
from circumtest.model import Carrier, Cause, Level, Stage, Success
from circumtest.simulate import far_end
from circumtest.wire import stun, turn
from tests.sim.turning import MEDIA_ENDS, Dropping, Which, died, drops, kind, nth, play


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("carrier", list(Carrier))
@pytest.mark.parametrize("channels", [True, False])
def test_a_call_that_nobody_hinders_succeeds(
    version: int, carrier: Carrier, channels: bool
) -> None:
    """Over every carrier; nothing is lost."""
    record = play(Turn(carrier, channels), version=version)

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == Turn.stages
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert record.exit is not None


@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_it_succeeds_at_every_level(level: Level) -> None:
    """A minute costs no minute."""
    assert play(Turn(level=level)).outcome == Success()


@pytest.mark.parametrize("number", range(40))
def test_no_single_packet_is_indispensable(number: int) -> None:
    """Whichever is lost over UDP."""
    assert play(Turn(), Dropping(nth(number))).outcome == Success()


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops("0x3", way=True), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x3", way=False), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x3", way=True, after=1), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x3", way=False, after=1), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x8"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("0x9"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check", way=True), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check", way=False), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        *MEDIA_ENDS,
    ],
)
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD])
def test_every_stage_dies_of_what_is_taken_from_it(
    which: Which, end: tuple[Stage, Cause], level: Level
) -> None:
    """Requests, answers, the check, sound of either direction."""
    assert died(play(Turn(level=level), Dropping(which))) == end


def test_the_end_of_an_allocation_is_not_needed() -> None:
    """A call that was heard to its end is a success, whatever becomes of the last request."""
    assert play(Turn(), Dropping(drops("0x4"))).outcome == Success()


@pytest.mark.parametrize("which", [drops("check"), drops("sound", way=True)])
def test_a_call_that_dies_gives_its_allocation_back(which: Which) -> None:
    """The last request is a Refresh with lifetime 0, and it is answered."""
    censor = Dropping(which)
    play(Turn(), censor)
    last = [one for one in censor.up() if not turn.is_channel_data(one)][-1]

    assert stun.unpack(last).type == turn.REFRESH
    assert stun.unpack(last).get(turn.LIFETIME) == bytes(4)


@pytest.mark.parametrize("carrier", [Carrier.TCP, Carrier.TLS])
def test_a_stream_that_is_cut_is_silence(carrier: Carrier) -> None:
    """From the first byte on: nobody is there; later: the stage that was open dies."""

    def cut(packet: object, at: float, number: int) -> bool:
        return at > 0.7

    assert died(play(Turn(carrier), Dropping(lambda packet, at, n: True)))[0] is Stage.ALLOCATE
    assert died(play(Turn(carrier), Dropping(cut))) == (Stage.SUSTAIN, Cause.FROZEN)


@pytest.mark.parametrize("carrier", list(Carrier))
def test_its_first_packet_is_as_long_as_the_neutral_controls(carrier: Carrier) -> None:
    """Or else the control would be of another size."""
    handshake, censor = Turn(carrier), Dropping()
    play(handshake, censor)
    first = next(payload for payload in censor.up() if payload)

    assert len(first) == handshake.opening


def test_it_calls_somebody_behind_the_server() -> None:
    """Two addresses: the server's, the callee's; media goes to the server only."""
    handshake, censor = Turn(), Dropping()
    target, _ = far_end(handshake)
    play(handshake, censor)

    assert len(target) == 2
    assert target[-1].port == handshake.callee_port
    ends = {address for _, one in censor.packets for address in (one.source, one.destination)}
    assert target[0] in ends
    assert target[1] not in ends
    assert {"sound", "check", "0x3", "0x4", "0x8", "0x9"} <= {
        kind(one) for _, one in censor.packets
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_same_chance_gives_the_same_call(seed: int) -> None:
    """All of the caller's chance is the trial's."""
    first, second = Dropping(), Dropping()
    play(Turn(), first, seed=seed)
    play(Turn(), second, seed=seed)

    assert first.up() == second.up()
