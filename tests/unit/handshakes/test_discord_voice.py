"""Discord's voice server: whom it answers, with how much, and to whom it sends sound."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.calls import MAX_CALLS
from circumtest.handshakes.discord_voice import (
    MAX_HOLDERS,
    DiscordVoice,
    VoiceServer,
    _Caller,
    _tail,
)
from circumtest.model import Address, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel, Emit, Flow
from circumtest.wire import discord

SECRET = "secret"
NOW = 1_764_000_000.0
HERE, THERE = Address("203.0.113.10", 50004), Address("192.0.2.2", 40000)
FLOW = Flow(Transport.UDP, HERE, THERE)
THIEF = Flow(Transport.UDP, HERE, Address("192.0.2.66", 40000))
CHANNEL = Channel(1, Transport.UDP, HERE)
SSRC = 44259
ASK = discord.ask(SSRC, _tail(SECRET, SSRC))
ALIVE = discord.keep_alive(1)


def say(server: VoiceServer, *packets: bytes, flow: Flow = FLOW, at: float = NOW) -> list[bytes]:
    """What it answers."""
    emits: list[Emit] = []
    for packet in packets:
        emits += server.receive(flow, packet, at)
    assert all(emit.flow == flow for emit in emits)
    return [emit.data for emit in emits]


def test_discovery_is_answered_to_who_knows_the_secret() -> None:
    """With the address in text, and as many bytes as were sent."""
    (answer,) = say(VoiceServer(SECRET), ASK)

    assert discord.is_answer(answer, SSRC)
    assert discord.parse_answer(answer) == tuple(THERE)
    assert len(answer) == len(ASK) == DiscordVoice().opening
    for tail in (_tail(SECRET, SSRC) ^ 1, _tail("other", SSRC)):
        assert say(VoiceServer(SECRET), discord.ask(SSRC, tail)) == []


def test_a_keep_alive_is_sent_back_in_a_flow_that_was_discovered_and_opens_the_sound() -> None:
    """A stranger's is not answered; sound needs nothing from the caller, and counts him."""
    server = VoiceServer(SECRET)
    assert say(server, ALIVE) == []
    assert say(server, ASK, ALIVE)[1:] == [ALIVE]
    assert server.timer() == NOW
    who = _Caller(Straight(CHANNEL, HERE), SSRC, SECRET)
    say(server, who.leg.encode(0, NOW).data)
    (sound,) = server.tick(NOW)
    (heard,) = who.leg.decode(Arrival(CHANNEL, sound.data, HERE, NOW))

    assert heard.seq == 0
    assert heard.report is not None
    assert heard.report.received == 1


def test_an_ssrc_belongs_to_the_host_that_used_it_first() -> None:
    """Who repeats what he saw has nothing sent elsewhere; another port of the same host may."""
    server = VoiceServer(SECRET)
    say(server, ASK)
    again = Flow(Transport.UDP, HERE, THERE._replace(port=40001))

    assert say(server, ASK, ALIVE, flow=THIEF) == []
    assert len(say(server, ASK, flow=again)) == 1


def test_what_it_remembers_is_bounded() -> None:
    """SSRCs and calls."""
    server = VoiceServer(SECRET)
    for number in range(MAX_HOLDERS + 5):
        flow = Flow(Transport.UDP, HERE, Address("192.0.2.2", number))
        say(server, discord.ask(number, _tail(SECRET, number)), flow=flow)

    assert len(server._holders) == MAX_HOLDERS
    assert len(server._calls) == MAX_CALLS


@pytest.mark.parametrize("size", [8, 74])
@given(chunks=st.lists(st.binary(max_size=80), max_size=4))
def test_garbage_is_not_answered(size: int, chunks: Iterable[bytes]) -> None:
    """Of any size and of the sizes that mean something, also in a flow that is open."""
    server = VoiceServer(SECRET)
    say(server, ASK)
    for chunk in chunks:
        for packet in (chunk, b"\x90\x78" + chunk, chunk[:size].ljust(size, b"x")):
            if packet[:4] != discord.keep_alive(0)[:4]:  # the open flow's own would be one of ours
                assert say(server, packet) == []
    assert server.timer() is None
