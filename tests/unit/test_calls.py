"""Calls of an answerer: one a flow, bounded, over when the caller says so."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import calls
from circumtest.calls import MAX_CALLS, MAX_EARLY, OVER, Calls, Leg, converse, derive
from circumtest.errors import HandshakeFailed
from circumtest.media import Heard
from circumtest.model import Address, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel, Flow, Now, Recv, Script, Send
from circumtest.wire import rtp
from circumtest.wire.rtp import Frame

NOW = 1_764_000_000.0
HERE, THERE = Address("203.0.113.10", 1), Address("192.0.2.2", 40000)
FLOW = Flow(Transport.UDP, HERE, THERE)
KEY = derive("secret", "up", b"id")
HEADER = rtp.Header(120, 1, 2, 3)
CHANNEL = Channel(1, Transport.UDP, HERE)


def frame(seq: int) -> Frame:
    """A packet's worth."""
    return Frame(seq, NOW, 0, -1, 0.0, 0.0, None, 0.0)


def test_keys_differ_by_secret_purpose_and_call() -> None:
    """And are the same at both ends."""
    made = {derive(s, p, i) for s in ("a", "b") for p in ("up", "down") for i in (b"1", b"2")}

    assert len(made) == 8
    assert derive("secret", "up", b"id") == KEY


def test_sealed_sound_opens_under_its_key_only() -> None:
    """And says what the frame said."""
    packet = calls.seal(HEADER, frame(7), KEY)

    assert calls.unseal(packet, KEY).seq == 7
    for spoiled, key in ((packet, derive("secret", "down", b"id")), (packet[:-1], KEY), (b"", KEY)):
        with pytest.raises(ValueError):
            calls.unseal(spoiled, key)


def test_a_flow_has_one_call_and_another_id_begins_a_new_one() -> None:
    """Ports are used again."""
    them = Calls()
    first = them.admit(FLOW, b"one")
    them.talk(first, NOW)

    assert them.admit(FLOW, b"one") is first
    assert them.timer() == NOW
    assert them.admit(FLOW, b"two").talker is None
    assert them.timer() is None
    assert len(them) == 1


def test_sound_is_sent_by_the_clock_until_the_caller_says_that_it_is_over() -> None:
    """50 packets a second that report what was heard."""
    them = Calls()
    call = them.admit(FLOW, b"id")
    them.hear(call, Heard(0, NOW), NOW)  # before it was asked for: nothing to count it
    them.talk(call, NOW)
    them.hear(call, Heard(1, NOW), NOW)
    said = [frame for at in range(50) for _, frame in them.tick(NOW + at / 50 + 0.001)]

    assert [one.seq for one in said] == list(range(50))
    assert {one.received for one in said} == {1}
    them.talk(call, NOW + 1)
    them.hear(call, Heard(OVER, 0.0), NOW + 1)
    assert them.get(FLOW) is None
    assert list(them.tick(NOW + 2)) == []


def test_what_it_remembers_is_bounded() -> None:
    """The oldest goes first."""
    them = Calls()
    for port in range(MAX_CALLS + 3):
        them.admit(Flow(Transport.UDP, HERE, Address("192.0.2.2", port)), b"id")

    assert len(them) == MAX_CALLS
    assert them.get(Flow(Transport.UDP, HERE, Address("192.0.2.2", 2))) is None


# ------------------------------------------------------------------ the caller


def leg() -> Leg:
    """A caller's end whose ways up and down have one key."""
    return Leg(
        Straight(CHANNEL, HERE),
        lambda frame: calls.seal(HEADER, frame, KEY),
        lambda data: calls.unseal(data, KEY),
    )


def arrival(data: bytes, source: Address = HERE) -> Arrival:
    """Something that came in."""
    return Arrival(CHANNEL, data, source, NOW)


def test_a_leg_hears_what_is_sealed_and_comes_from_there() -> None:
    """A wrong seal or source is as if it had not come."""
    packet = leg().encode(5, NOW).data

    assert [one.seq for one in leg().decode(arrival(packet))] == [5]
    assert list(leg().decode(arrival(packet[:-1]))) == []
    assert list(leg().decode(arrival(packet, THERE))) == []


def test_what_came_early_is_kept_within_bounds() -> None:
    """A flood costs no memory."""
    it = leg()
    for _ in range(MAX_EARLY + 5):
        it.overhear(arrival(b""))
    assert len(it.early) == MAX_EARLY


def unheard(script: Script[None], sent: list[Send]) -> None:
    """Play a script to whom nobody ever answers."""
    at = NOW
    command = next(script)
    while True:
        reply: float | None = None
        match command:
            case Now():
                reply = at
            case Recv(until):
                at = max(at, until)
            case Send():
                sent.append(command)
            case _:
                pass
        command = script.send(reply)


def test_the_far_end_is_told_when_media_failed_as_well() -> None:
    """Nobody answers: the last packet all the same says that it is over."""
    sent: list[Send] = []
    with pytest.raises(HandshakeFailed):
        unheard(converse(leg(), seconds=0.1), sent)

    assert calls.unseal(sent[-1].data, KEY).seq == OVER
    assert [calls.unseal(one.data, KEY).seq for one in sent[:-1]] == [0, 1, 2, 3, 4]


@given(st.lists(st.binary(max_size=240), max_size=4))
def test_garbage_is_no_sound(packets: Iterable[bytes]) -> None:
    """Bare, and behind a header that is right."""
    for packet in packets:
        for whole in (packet, HEADER.pack() + packet):
            assert list(leg().decode(arrival(whole))) == []
