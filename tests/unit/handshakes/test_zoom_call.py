"""Zoom's far half: whom it answers, with how much, and to whom it sends sound."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.calls import MAX_CALLS, derive
from circumtest.handshakes.zoom_call import ZoomCall, ZoomServer, _Caller
from circumtest.model import Address, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel, Emit, Flow
from circumtest.wire import zoom

SECRET = "secret"
NOW = 1_764_000_000.0
HERE, THERE = Address("203.0.113.12", 8801), Address("192.0.2.2", 40000)
FLOW = Flow(Transport.UDP, HERE, THERE)
THIEF = Flow(Transport.UDP, HERE, Address("192.0.2.66", 40000))
CHANNEL = Channel(1, Transport.UDP, HERE)
HALF = b"half.id."
TID = HALF + derive(SECRET, "binding", HALF)[:8]


def say(server: ZoomServer, *packets: bytes, flow: Flow = FLOW, at: float = NOW) -> list[bytes]:
    """What it answers."""
    emits: list[Emit] = []
    for packet in packets:
        emits += server.receive(flow, packet, at)
    assert all(emit.flow == flow for emit in emits)
    return [emit.data for emit in emits]


def caller(seed: int = 1) -> _Caller:
    """The caller's half with the media server."""
    return _Caller(Straight(CHANNEL, HERE), Random(seed), SECRET)


def opened(server: ZoomServer, who: _Caller, flow: Flow = FLOW) -> tuple[bytes, bytes]:
    """The opening and the ticket, both given."""
    (opening,) = (send.data for send in who.open())
    (answer,) = say(server, opening, flow=flow)
    assert who.opened(Arrival(CHANNEL, answer, HERE, NOW))
    (go,) = (send.data for send in who.go())
    return opening, go


def test_a_binding_is_answered_to_who_knows_the_secret() -> None:
    """Eight random bytes and eight that prove it; 32 for 44, at any of its ports."""
    (answer,) = say(ZoomServer(SECRET), zoom.ask(TID))

    assert zoom.parse_answer(answer) == tuple(THERE)
    assert len(answer) == 32
    for tid in (TID[:-1] + b"x", bytes(16), HALF + derive("other", "binding", HALF)[:8]):
        assert say(ZoomServer(SECRET), zoom.ask(tid)) == []


def test_a_media_flow_opens_in_two_steps_and_then_sound_comes() -> None:
    """Each answer is no larger than what it answers; sound needs nothing from the caller."""
    server, who = ZoomServer(SECRET), caller()
    _, go = opened(server, who)
    assert server.timer() is None
    (gone,) = say(server, go)

    assert who.gone(Arrival(CHANNEL, gone, HERE, NOW))
    assert server.timer() == NOW
    (sound,) = server.tick(NOW)
    heard = list(who.leg.decode(Arrival(CHANNEL, sound.data, HERE, NOW)))
    assert [(one.seq, one.report and one.report.received) for one in heard] == [(0, 0)]
    say(server, who.leg.encode(0, NOW).data, at=NOW)
    (sound,) = server.tick(NOW + 0.02)
    (one,) = who.leg.decode(Arrival(CHANNEL, sound.data, HERE, NOW))
    assert one.report is not None
    assert one.report.received == 1


def test_who_repeats_anothers_opening_gets_no_sound() -> None:
    """The ticket is of the address that asked for it: the thief's is another one."""
    server, who = ZoomServer(SECRET), caller()
    opening, go = opened(server, who)

    assert say(server, go, flow=THIEF) == []
    assert len(say(server, opening, flow=THIEF)) == 1
    assert say(server, go, flow=THIEF) == []
    assert server.timer() is None


@pytest.mark.parametrize("seed", range(3))
def test_a_go_without_the_ticket_is_not_answered(seed: int) -> None:
    """A guess, another call's, and one before any opening."""
    server = ZoomServer(SECRET)
    _, other = opened(ZoomServer(SECRET), caller(seed + 10))
    assert say(server, zoom.pack(zoom.GO, bytes(12)), other) == []
    opened(server, caller(seed))
    assert say(server, zoom.pack(zoom.GO, bytes(12)), other) == []


def test_what_it_remembers_is_bounded() -> None:
    """Calls; bindings leave no trace at all."""
    server = ZoomServer(SECRET)
    for number in range(MAX_CALLS + 5):
        flow = Flow(Transport.UDP, HERE, Address("192.0.2.2", number))
        opened(server, caller(number), flow)
    assert len(server._calls) == MAX_CALLS


def test_the_service_listens_on_three_ports_of_three_hosts() -> None:
    """Two controllers on 3478 and the next one, the media server on 8801."""
    handshake = ZoomCall()

    assert handshake.listen.hosts == 3
    assert [listen.port for listen in (handshake.listen, *handshake.also)] == [3478, 3479, 8801]
    assert handshake.opening == len(zoom.ask(TID))


@given(st.lists(st.binary(max_size=110), max_size=4), st.sampled_from([*zoom.SIZES, 5, 0]))
def test_garbage_is_not_answered(chunks: Iterable[bytes], kind: int) -> None:
    """Bare, and as the body of each packet, also in a flow that is open."""
    server = ZoomServer(SECRET)
    opened(server, caller())
    for chunk in chunks:
        bodies = [chunk, bytes([kind]) + chunk]
        if kind in zoom.SIZES:
            size = zoom.SIZES[kind] - len(zoom.HEADS[kind])
            bodies.append(zoom.pack(kind, chunk[:size].ljust(size, b"x")))
        for body in bodies:
            assert say(server, body) == []
    assert server.timer() is None
