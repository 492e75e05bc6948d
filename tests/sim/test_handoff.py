"""Calls that are set up in a tunnel and go on without it, in virtual time."""

from dataclasses import dataclass
from random import Random

import pytest

from circumtest.calls import AHEAD
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.censor.policy import Drop, Policy, Rule, Scope
from circumtest.censor.signatures import ALL
from circumtest.handoff import Movable, prepared, wanted
from circumtest.handshakes.discord_voice import DiscordVoice, VoiceServer
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.script import Flow
from circumtest.simulate import Everything, far_end, simulate
from circumtest.warp import WarpRelay

Call = WhatsappCall | DiscordVoice
MOVABLE: list[Call] = [WhatsappCall(handoff=True), DiscordVoice(handoff=True)]
SET_UP = {"WhatsappCall": "turn-allocate", "DiscordVoice": "discord-discovery"}
"""What recognises the first packet of each, and nothing that comes after."""


@dataclass
class Tunnelled:
    """The censor sees nothing until the call has crossed."""

    outside: Judge
    crossed: bool = False

    def cross(self) -> None:
        self.crossed = True

    def judge(self, packet: Packet, now: float) -> Verdict:
        return self.outside.judge(packet, now) if self.crossed else Verdict.PASS


def dropping(signature: str) -> Judge:
    """A censor of one rule: flows in which that is seen are dropped."""
    rule = Rule("one", (ALL[signature],), Drop(), Scope.FLOW)
    return Censor(Policy("one", "", (), policy("open").confidence, (rule,)), 1)


def handed_off(handshake: Call, censor: Judge, delay: float = 0.01) -> Record:
    """One trial, whose set-up the censor does not see."""
    target, services = far_end(handshake)
    judge = Tunnelled(censor)
    script = handshake.moved(target, Random(3), judge.cross)
    return simulate(script, services, judge, delay=delay)


def plain(handshake: Call, censor: Judge) -> Record:
    """The same call outside."""
    target, services = far_end(handshake)
    return simulate(handshake.script(target, Random(3)), services, censor)


@pytest.mark.parametrize("handshake", MOVABLE, ids=lambda one: type(one).__name__)
def test_a_block_of_the_set_up_alone_is_left_behind(
    handshake: Call,
) -> None:
    """Outside the call dies at its set-up; set up in the tunnel it goes on outside."""
    signature = SET_UP[type(handshake).__name__]
    outside = plain(handshake, dropping(signature))
    record = handed_off(handshake, dropping(signature))

    assert isinstance(outside.outcome, Failure)
    assert outside.outcome.stage in (Stage.ALLOCATE, Stage.BINDING)
    assert record.outcome == Success()
    assert record.media[0].up.lost == record.media[0].down.lost == 0


@pytest.mark.parametrize("delay", [0.15, 0.4])
@pytest.mark.parametrize("handshake", MOVABLE, ids=lambda one: type(one).__name__)
def test_a_slow_way_loses_nothing_by_the_move(handshake: Call, delay: float) -> None:
    """What the far end said to the old address meanwhile is not counted as lost."""
    assert handed_off(handshake, Everything(), delay).outcome == Success()


@pytest.mark.parametrize("handshake", MOVABLE, ids=lambda one: type(one).__name__)
def test_a_block_of_everything_is_not_left_behind(handshake: Call) -> None:
    """Sound is dropped too: the call dies there."""
    record = handed_off(handshake, dropping("udp"))

    assert isinstance(record.outcome, Failure)
    assert record.outcome.stage in (Stage.MEDIA_UP, Stage.MEDIA_DOWN)


def test_a_block_that_knows_pings_catches_a_call_that_moves() -> None:
    """`ru-calls-2025-09` recognises WhatsApp's pings, which a client sends all through a call."""
    record = handed_off(MOVABLE[0], Censor(policy("ru-calls-2025-09"), 1))

    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause in (Cause.NO_DOWNLINK, Cause.NO_UPLINK)


def test_what_cannot_move_is_not_handed_off() -> None:
    """A reflector forwards only where a hello came from, and a hello is the set-up."""
    assert not isinstance(TelegramCallUdp(), Movable)
    assert not wanted(WhatsappCall())
    assert all(wanted(one) for one in MOVABLE)


@pytest.mark.parametrize("server", [WarpRelay("s"), VoiceServer("s")])
def test_a_far_end_follows_nobody_unless_it_is_to(server: WarpRelay | VoiceServer) -> None:
    """The mirror of those who have not asked for it stays where it is."""
    handshake = MOVABLE[isinstance(server, VoiceServer)]
    target, _ = far_end(handshake)
    services = {(Transport.UDP, address): type(server)(handshake.secret) for address in target}
    judge = Tunnelled(Everything())
    record = simulate(handshake.moved(target, Random(3), judge.cross), services, judge)

    assert isinstance(record.outcome, Failure)


@pytest.mark.parametrize("handshake", MOVABLE, ids=lambda one: type(one).__name__)
def test_a_repeated_packet_moves_no_call_and_a_stolen_one_little(
    handshake: Call,
) -> None:
    """Who sees a packet and sends it first from elsewhere has a second of sound sent there."""
    target, services = far_end(handshake)
    up: list[tuple[Flow, bytes]] = []

    class Watching:
        def judge(self, packet: Packet, now: float) -> Verdict:
            if packet.destination.host.startswith("203.") and packet.payload[:1] == b"\x90":
                up.append((Flow(Transport.UDP, packet.destination, packet.source), packet.payload))
            # Then the caller's own packets are lost: the call is the thief's alone.
            return Verdict.DROP if len(up) > 20 else Verdict.PASS

    simulate(handshake.script(target, Random(3)), services, Watching())
    answerer = next(iter(services.values()))
    thief = Address("192.0.2.66", 6666)
    old, new = up[3], up[30]
    answerer.receive(Flow(Transport.UDP, old[0].local, thief), old[1], 0.0)
    start = answerer.timer()
    assert start is not None
    assert {emit.flow.remote for emit in answerer.tick(start)} == {old[0].remote}

    answerer.receive(Flow(Transport.UDP, new[0].local, thief), new[1], start)
    said = 0
    while (at := answerer.timer()) is not None:
        said += sum(emit.flow.remote == thief for emit in answerer.tick(at))

    assert said <= AHEAD + 1


def test_prepared_without_a_wish_is_the_plain_call_inside() -> None:
    """The path is the one inside, untouched."""
    handshake = WhatsappCall(level=Level.QUICK)
    target, _ = far_end(handshake)
    inside = object()

    script, path = prepared(handshake, target, Random(3), inside, inside)  # type: ignore[arg-type]

    assert path is inside
    script.close()
