"""Telegram's call through TURN in virtual time: its bytes, what it survives, where it dies."""

from pathlib import Path

import dpkt
import pytest

from circumtest.censor.packet import Packet
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.model import Cause, Level, Stage, Success
from circumtest.simulate import far_end
from circumtest.wire import stun, turn
from tests.sim.turning import (
    MEDIA_ENDS,
    Dropping,
    Which,
    died,
    drops,
    inside,
    is_up,
    nth,
    play,
    shape,
)

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_a_call_that_nobody_hinders_succeeds(version: int, level: Level) -> None:
    """All stages pass and nothing is lost, though allocations last a minute only."""
    record = play(TelegramCallTurn(level=level), version=version)

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == TelegramCallTurn.stages
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)


@pytest.mark.parametrize("number", range(60))
def test_no_single_packet_is_indispensable(number: int) -> None:
    """Whichever is lost."""
    assert play(TelegramCallTurn(), Dropping(nth(number))).outcome == Success()


@pytest.mark.parametrize("alive", [0, 1, 2])
@pytest.mark.parametrize("stage", ["0x1", "0x3", "0x8", "check"])
def test_any_server_that_answers_is_enough(alive: int, stage: str) -> None:
    """Whatever the two others do not let through: requests, permissions, checks."""
    handshake = TelegramCallTurn()
    target, _ = far_end(handshake)
    inner = drops(stage)

    def which(packet: Packet, at: float, number: int) -> bool:
        server = packet.destination if is_up(packet) else packet.source
        return server != target[alive] and inner(packet, at, number)

    assert play(handshake, Dropping(which)).outcome == Success()


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops("0x1"), (Stage.BINDING, Cause.TIMEOUT)),
        (drops("0x3", way=True), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x3", way=False, after=3), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops("0x8"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("0x9"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check", way=True), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("check", way=False), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops("dtls", way=True), (Stage.DTLS, Cause.TIMEOUT)),
        (drops("dtls", way=False), (Stage.DTLS, Cause.TIMEOUT)),
        *MEDIA_ENDS,
    ],
)
def test_every_stage_dies_of_what_is_taken_from_it(which: Which, end: tuple[Stage, Cause]) -> None:
    """Requests, answers, checks, flights of DTLS, sound of either direction."""
    assert died(play(TelegramCallTurn(), Dropping(which))) == end


def test_its_requests_are_those_of_the_capture() -> None:
    """Type, size, attributes and their sizes, in order; to each of three servers from one port."""
    censor = Dropping()
    play(TelegramCallTurn(), censor)
    with (DATA / "tg_turn_1400.pcap").open("rb") as file:
        frames = [dpkt.ethernet.Ethernet(frame) for _, frame in dpkt.pcap.UniversalReader(file)]
    real = [bytes(frame.data.data.data) for frame in frames]
    asked, answered = censor.up(), censor.down()

    for number, at in enumerate((0, 2, 4)):
        three = asked[3 * number : 3 * number + 3]
        assert [shape(one) for one in three] == [shape(real[at])] * 3
        three = answered[3 * number : 3 * number + 3]
        assert [shape(one) for one in three] == [shape(real[at + 1])] * 3
    assert len({packet.source for _, packet in censor.packets if is_up(packet)}) == 1
    permission = next(one for one in asked if one[:2] == b"\0\x08")
    assert len(permission) == 128
    assert turn.seconds(stun.unpack(answered[6]).get(turn.LIFETIME)) == 60


@pytest.mark.parametrize(("level", "sends"), [(Level.QUICK, 4), (Level.STANDARD, 6)])
def test_unanswered_it_sends_by_libwebrtcs_schedule(level: Level, sends: int) -> None:
    """0, 0.25, 0.75, 1.75, 3.75, 7.75 s to each server, as long as the stage lasts."""
    censor = Dropping(lambda packet, at, number: True)
    play(TelegramCallTurn(level=level), censor)
    times = sorted({round(at, 6) for at, _ in censor.packets})

    assert times == pytest.approx([0, 0.25, 0.75, 1.75, 3.75, 7.75][:sends])
    assert len(censor.packets) == 3 * sends
    assert len(set(censor.up())) == 3


def test_the_first_checks_go_in_indications_and_sound_on_a_channel() -> None:
    """As libwebrtc does it; the ClientHello is the first to go on the channel."""
    censor = Dropping()
    play(TelegramCallTurn(), censor)
    carried = [(one[0] >> 6, inside(one)) for one in censor.up() if inside(one)]
    on_channel = [payload for kind, payload in carried if kind]

    assert carried[0][0] == 0
    assert on_channel[0][:1] == b"\x16"
    assert len(on_channel[0]) == 153
    assert all(kind for kind, payload in carried if payload[:1] >= b"\x14")


def test_all_allocations_are_given_back_however_it_ends() -> None:
    """One Refresh with lifetime 0 a server."""
    for which in (drops("never"), drops("dtls")):
        censor = Dropping(which)
        play(TelegramCallTurn(), censor)
        ends = [
            (packet.destination, stun.unpack(packet.payload).get(turn.LIFETIME))
            for _, packet in censor.packets
            if is_up(packet) and packet.payload[:2] == b"\0\x04"
        ]
        assert {end for _, end in ends} == {bytes(4)}
        assert len({server for server, _ in ends}) == 3
