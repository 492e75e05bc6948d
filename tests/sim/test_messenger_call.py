"""Messenger's TURN in virtual time: its bytes, what it survives, where it dies of what."""

from pathlib import Path

import dpkt
import pytest

from circumtest.handshakes.messenger_call import MessengerCall
from circumtest.model import Cause, Level, Stage, Success
from circumtest.wire import stun, turn
from tests.sim.turning import MEDIA_ENDS, Dropping, Which, died, drops, names, nth, play, shape

DATA = Path(__file__).parents[1] / "data"
LETTERS = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_a_call_that_nobody_hinders_succeeds(version: int, level: Level) -> None:
    """All stages pass and nothing is lost."""
    record = play(MessengerCall(level=level), version=version)

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == MessengerCall.stages
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)


@pytest.mark.parametrize("number", range(30))
def test_no_single_packet_is_indispensable(number: int) -> None:
    """Whichever is lost."""
    assert play(MessengerCall(), Dropping(nth(number))).outcome == Success()


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops("0x3", way=True), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x3", way=False, after=1), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x8"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        *MEDIA_ENDS,
    ],
)
def test_every_stage_dies_of_what_is_taken_from_it(which: Which, end: tuple[Stage, Cause]) -> None:
    """Requests, answers, the check, sound of either direction."""
    assert died(play(MessengerCall(), Dropping(which))) == end


def test_requests_and_answers_are_as_long_as_facebooks_and_its_clients() -> None:
    """28, 104, 136 and 76 bytes; the attributes are those of the file, in its order."""
    censor = Dropping()
    play(MessengerCall(), censor)
    asked, answered = censor.up()[:2], censor.down()[:2]
    with (DATA / "fb_turn.pcap").open("rb") as file:
        frames = [dpkt.ethernet.Ethernet(frame) for _, frame in dpkt.pcap.UniversalReader(file)]
    real = [bytes(frame.data.data.data) for frame in frames][2:]

    assert [len(one) for one in (asked[0], answered[0], asked[1], answered[1])] == [
        28,
        104,
        136,
        76,
    ]
    assert names(asked) == names(real[::2])
    assert asked[0][:8] + asked[0][20:] == real[0][:8] + real[0][20:]
    refused = stun.unpack(answered[0])
    assert stun.error_code(refused.get(stun.ERROR_CODE) or b"") == (401, "unauthorized")
    assert refused.get(turn.REALM) == b"turner.facebook"
    assert len(refused.get(turn.NONCE) or b"") == 40
    assert turn.seconds(stun.unpack(answered[1]).get(turn.LIFETIME)) == 900
    # Facebook's answers carry neither SOFTWARE nor FINGERPRINT, unlike the file's.
    assert [name for name, _ in shape(answered[1])[2]] == [0x16, 0x20, 0x0D, 0x08]


def test_user_names_have_sixteen_digits_and_ids_are_libwebrtcs_letters() -> None:
    """Every call has its own."""
    users = set()
    for seed in range(8):
        censor = Dropping(drops("0x8"))
        play(MessengerCall(), censor, seed=seed)
        allocate = stun.unpack(censor.up()[1])
        user = allocate.get(turn.USERNAME) or b""
        assert len(user) == 16
        assert user.isdigit()
        assert set(allocate.tid) <= LETTERS
        users.add(user)

    assert len(users) == 8


@pytest.mark.parametrize(("level", "sends"), [(Level.QUICK, 4), (Level.STANDARD, 6)])
def test_an_unanswered_allocate_is_sent_by_libwebrtcs_schedule(level: Level, sends: int) -> None:
    """0, 0.25, 0.75, 1.75, 3.75, 7.75 s, as long as the stage lasts."""
    censor = Dropping(lambda packet, at, number: True)
    play(MessengerCall(level=level), censor)
    times = [at for at, _ in censor.packets]

    assert times == pytest.approx([0, 0.25, 0.75, 1.75, 3.75, 7.75][:sends])
    assert len(set(censor.up())) == 1
