"""Two ends of one call hear each other, and nobody who is not the other."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from circumtest.errors import HandshakeFailed
from circumtest.media import Heard
from circumtest.model import Address, Cause, Transport
from circumtest.peers import Pair, draw_tags, legs, pair
from circumtest.script import Arrival, Channel, Send
from circumtest.wire import reflector

VIA = Address("203.0.113.10", 599)
NOW = 1_764_000_000.25


def ends(transport: Transport = Transport.UDP, seed: int = 1) -> Pair:
    """A caller and a callee of one call."""
    channels = (Channel(1, transport, VIA), Channel(2, transport, VIA))
    return pair(channels, draw_tags(Random(seed), natural=False), (VIA,))


def crossed(send: Send, receiver: Channel, first: bytes) -> Arrival:
    """What a reflector makes of a UDP packet: the receiver's byte 0."""
    return Arrival(receiver, first + send.data[1:], VIA, NOW)


def sound(pair_: Pair, seq: int = 5) -> Arrival:
    """A packet of the caller's media, as it reaches the callee."""
    near, _ = legs(pair_, VIA, Random(3))
    return crossed(near.encode(seq, NOW), pair_.callee.channel, b"\x01")


def hear(pair_: Pair, arrival: Arrival) -> list[Heard]:
    """What the callee makes of it."""
    _, far = legs(pair_, VIA, Random(3))
    return list(far.decode(arrival))


@pytest.mark.parametrize("seed", range(20))
def test_tags_share_all_but_the_role_and_four_bytes(seed: int) -> None:
    """Byte 0 is the role; the last four are each peer's own, never zero, never the same."""
    caller, callee = draw_tags(Random(seed), natural=False)

    assert (caller[0], callee[0]) == (0, 1)
    assert caller[1:12] == callee[1:12]
    assert caller[12:] != callee[12:]
    assert any(caller[12:])
    assert any(callee[12:])
    assert 0xFF not in caller + callee


def test_natural_tags_have_every_byte() -> None:
    """They are what a real client draws: one call in eighteen has 0xff in a peer's tag."""
    calls = [draw_tags(Random(seed), natural=True)[0] for seed in range(2000)]
    share = sum(0xFF in caller for caller in calls) / len(calls)

    assert 0.035 < share < 0.085


def test_media_is_heard_with_its_number_and_time() -> None:
    """The datagram is as long, and its header the same, as in captured calls."""
    call = ends()
    arrival = sound(call)
    assert isinstance(arrival.data, bytes)
    rtp = arrival.data[24:]

    assert hear(call, arrival) == [Heard(5, NOW)]
    assert len(arrival.data) == 184
    assert (rtp[:2].hex(), rtp[12:16].hex()) == ("906f", "bede0002")
    assert (rtp[16], rtp[20], rtp[21:24]) == (0x22, 0x31, b"\0\5\0")


def test_what_is_not_from_the_other_peer_is_not_heard() -> None:
    """Another channel, source, prefix, target, sender, key, or one flipped bit: nothing."""
    call, good = ends(), sound(ends())
    data = good.data
    assert isinstance(data, bytes)
    own = legs(call, VIA, Random(3))[1].encode(5, NOW).data

    assert not hear(call, replace(good, channel=call.caller.channel))
    assert not hear(call, replace(good, source=Address(VIA.host, 598)))
    assert not hear(call, replace(good, data=Cause.REFUSED))
    assert not hear(call, replace(good, data=own)), "an echo of its own voice"
    assert not hear(ends(seed=2), good)
    assert not list(legs(call, VIA, Random(4))[1].decode(good)), "another trial's keys"
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert not hear(call, replace(good, data=flipped)), at


def test_over_tcp_packets_are_put_together_again() -> None:
    """Cut anywhere, several in one segment."""
    call = ends(Transport.TCP)
    near, _ = legs(call, VIA, Random(3))
    _, far = legs(call, VIA, Random(3))
    packets = [near.encode(seq, NOW).data for seq in range(3)]
    stream = b"".join(packet[:4] + b"\x01" + packet[5:] for packet in packets)
    heard = [
        heard.seq
        for at in range(0, len(stream), 50)
        for heard in far.decode(Arrival(call.callee.channel, stream[at : at + 50], VIA, NOW))
    ]

    assert heard == [0, 1, 2]


def test_a_tcp_stream_that_breaks_its_framing_is_malformed() -> None:
    """Nothing after it could be understood."""
    call = ends(Transport.TCP)
    with pytest.raises(HandshakeFailed) as failed:
        call.callee.decode(Arrival(call.callee.channel, b"\xff" * 8, VIA, NOW))

    assert failed.value.cause is Cause.MALFORMED


@given(st.binary(max_size=200))
def test_garbage_is_never_heard(data: bytes) -> None:
    """Bare, or behind this call's own tag and numbers."""
    call = ends()
    tag, peer = call.callee.tag, call.callee.peer
    framed = reflector.Data(tag[:12], tag[12:], peer, data).pack()
    for raw in (data, framed):
        assert not hear(call, Arrival(call.callee.channel, raw, VIA, NOW))
