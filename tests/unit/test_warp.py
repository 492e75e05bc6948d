"""The relay of a WhatsApp call: whom it answers, to whom it sends media, and when it stops."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import warp
from circumtest.ladders import PACES
from circumtest.media import HOLD
from circumtest.model import Address, Transport
from circumtest.script import Emit, Flow
from circumtest.talker import LONGEST, QUIET
from circumtest.warp import MAX_CALLS, MAX_TOKENS, WarpRelay
from circumtest.wire import stun, whatsapp
from circumtest.wire.rtp import Frame
from circumtest.wire.whatsapp import WIDE, Subscription

SECRET = "secret"
NOW = 1_764_000_000.0
RELAY = Address("203.0.113.10", 3478)
CALLER = Address("192.0.2.2", 40000)
FLOW = Flow(Transport.UDP, RELAY, CALLER)
TOKEN = whatsapp.TOKEN_PREFIX + bytes(range(148))
KEY = warp.integrity_key(SECRET, TOKEN)
SSRC = 7
STREAMS = [Subscription(SSRC, bytes(8), WIDE)]


def tid(number: int) -> bytes:
    """A transaction id of the session."""
    return b"session." + number.to_bytes(4)


ALLOCATE = whatsapp.allocate(tid(1), TOKEN, RELAY, KEY)
REALLOCATE = whatsapp.reallocate(tid(2), TOKEN, STREAMS, RELAY, KEY)
PING = whatsapp.ping(tid(3))
HANG_UP = whatsapp.hang_up(tid(9), TOKEN, RELAY, KEY)


def say(relay: WarpRelay, *packets: bytes, flow: Flow = FLOW, at: float = NOW) -> list[bytes]:
    """What the relay answers on that flow."""
    emits: list[Emit] = []
    for packet in packets:
        emits += relay.receive(flow, packet, at)
    assert all(emit.flow == flow for emit in emits)
    return [emit.data for emit in emits]


def talking() -> WarpRelay:
    """A relay that has begun to send media."""
    relay = WarpRelay(SECRET)
    assert len(say(relay, ALLOCATE, REALLOCATE, PING)) == 3
    return relay


def stream(relay: WarpRelay, until: float) -> list[tuple[float, bytes]]:
    """What it sends of its own accord up to a time, and when."""
    sent: list[tuple[float, bytes]] = []
    while (due := relay.timer()) is not None and due < until:
        sent += [(due, emit.data) for emit in relay.tick(due)]
    return sent


def up(seq: int, ssrc: int = SSRC) -> bytes:
    """A media packet of the caller."""
    frame = Frame(seq, NOW + seq / 50, 0, -1, 0.0, 0.0, None, 0.0)
    return warp.seal(frame, ssrc, warp.media_key(SECRET, TOKEN, "up"))


def test_an_allocate_is_answered_with_the_address_and_the_clock() -> None:
    """68 bytes under the token's key; the key is base64 text, as the real one is."""
    (answer,) = say(WarpRelay(SECRET), ALLOCATE)
    message = stun.unpack(answer)

    assert (len(answer), message.tid) == (68, tid(1))
    assert stun.authentic(answer, KEY)
    assert stun.parse_xor_address(message.get(0x0020) or b"", tid(1)) == tuple(CALLER)
    assert int.from_bytes(message.get(whatsapp.CLOCK) or b"") == NOW * 1000
    assert len(KEY) == 24
    assert KEY.isascii()


@pytest.mark.parametrize(
    "packet",
    [
        whatsapp.allocate(tid(1), TOKEN, RELAY, b"another key"),
        whatsapp.allocate(tid(1), TOKEN[:-1] + b"x", RELAY, KEY),
        ALLOCATE[:-1] + bytes([ALLOCATE[-1] ^ 1]),
        stun.pack(stun.Message(whatsapp.ALLOCATE, tid(1), ((whatsapp.TOKEN, TOKEN),))),
        stun.pack(stun.Message(stun.BINDING, tid(1))),
        PING,
        up(0),
        b"",
        b"\x90",
    ],
)
def test_who_does_not_prove_anything_is_not_answered(packet: bytes) -> None:
    """Another key, a changed token or bit, no integrity, other methods, a stranger's ping."""
    relay = WarpRelay(SECRET)

    assert say(relay, packet) == []
    assert relay.timer() is None


def test_a_ping_is_answered_to_the_session_that_allocated() -> None:
    """The session's prefix is what authenticates it; a guessed one gets nothing."""
    relay = WarpRelay(SECRET)
    say(relay, ALLOCATE)

    assert say(relay, PING) == [whatsapp.pong(tid(3))]
    assert say(relay, whatsapp.ping(b"guessed.\0\0\0\3")) == []
    assert relay.timer() is None


def test_media_begins_with_the_ping_behind_a_reallocate_and_needs_no_media() -> None:
    """So that a dead uplink is still told: 50 packets a second, numbered, reporting nothing."""
    sent = stream(talking(), NOW + 0.99)

    assert len(sent) == 50
    heard = [warp.unseal(data, warp.media_key(SECRET, TOKEN, "down"))[1] for _, data in sent]
    assert [item.seq for item in heard] == list(range(50))
    assert {item.report.received for item in heard if item.report} == {0}
    assert [at for at, _ in sent] == pytest.approx([NOW + n / 50 for n in range(50)], abs=1e-3)


def test_each_packet_reports_what_was_heard() -> None:
    """Count, highest number, the caller's clock and how long ago."""
    relay = talking()
    for seq in (0, 1, 4):
        say(relay, up(seq), up(seq), at=NOW + seq / 50)
    say(relay, up(9, ssrc=8), up(5)[:-1], at=NOW + 0.1)  # another stream, a changed tag
    _, data = stream(relay, NOW + 0.5)[-1]
    report = warp.unseal(data, warp.media_key(SECRET, TOKEN, "down"))[1].report

    assert report is not None
    assert (report.received, report.highest) == (3, 4)
    assert report.echo == pytest.approx(NOW + 4 / 50, abs=1e-5)
    assert report.gap == pytest.approx(0.06, abs=1e-5)


def test_hanging_up_ends_the_media_and_the_token() -> None:
    """Nobody can start it again, not by the same packets either."""
    relay = talking()

    assert say(relay, HANG_UP) == []
    assert relay.timer() is None
    assert say(relay, ALLOCATE, REALLOCATE, PING) == []


def test_media_stops_when_the_caller_has_been_silent_too_long() -> None:
    """And goes on as long as he pings, up to the cap."""
    assert stream(talking(), NOW + 1000)[-1][0] == pytest.approx(NOW + QUIET, abs=0.05)
    assert HOLD + 5 < QUIET < max(pace.media for pace in PACES.values()) + 10 < LONGEST

    relay = talking()
    for second in range(3, 90, 3):
        stream(relay, NOW + second)
        say(relay, PING, at=NOW + second)
    assert relay.timer() is not None
    for second in range(90, int(LONGEST) + 60, 3):
        stream(relay, NOW + second)
        say(relay, PING, at=NOW + second)
    assert relay.timer() is None


def test_a_replay_from_elsewhere_moves_no_media_there() -> None:
    """A token belongs to the address that used it first."""
    relay = talking()
    thief = Flow(Transport.UDP, RELAY, Address("192.0.2.66", 40000))

    assert say(relay, ALLOCATE, REALLOCATE, PING, HANG_UP, flow=thief) == []
    assert stream(relay, NOW + 0.1)


def test_a_token_may_be_used_from_elsewhere_once_its_call_is_long_over() -> None:
    """The same plan with the same seed, another day, from another address."""
    relay = talking()
    say(relay, HANG_UP)
    again = Flow(Transport.UDP, RELAY, Address("192.0.2.66", 40000))

    assert say(relay, ALLOCATE, flow=again, at=NOW + warp.HELD - 1) == []
    assert len(say(relay, ALLOCATE, REALLOCATE, PING, flow=again, at=NOW + warp.HELD + 1)) == 3


def test_a_new_call_from_the_same_port_takes_the_place_of_the_last() -> None:
    """Ports are used again."""
    relay = talking()
    token = whatsapp.TOKEN_PREFIX + b"\1" * 148
    key = warp.integrity_key(SECRET, token)
    again = whatsapp.allocate(b"session2\0\0\0\1", token, RELAY, key)

    assert len(say(relay, again)) == 1
    assert relay.timer() is None
    assert say(relay, PING) == []


def test_what_it_remembers_is_bounded() -> None:
    """Calls and tokens; the oldest go first."""
    relay = WarpRelay(SECRET)
    for number in range(MAX_TOKENS + 10):
        token = whatsapp.TOKEN_PREFIX + number.to_bytes(148)
        key = warp.integrity_key(SECRET, token)
        flow = Flow(Transport.UDP, RELAY, Address("192.0.2.2", number))
        say(relay, whatsapp.allocate(tid(1), token, RELAY, key), flow=flow)

    assert len(relay._calls) == MAX_CALLS
    assert len(relay._holders) == MAX_TOKENS


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from([0x3, 0x800, 0x801, 0x802]))
def test_garbage_is_not_answered(chunks: Iterable[bytes], kind: int) -> None:
    """Bare, behind a STUN header, behind a media header, as values of known attributes."""
    relay = WarpRelay(SECRET)
    for chunk in chunks:
        attributes = tuple((name, chunk) for name in (whatsapp.TOKEN, whatsapp.SUBSCRIPTION))
        for packet in (
            chunk,
            b"\x90\x78" + chunk,
            stun.pack(stun.Message(kind, tid(1), attributes), KEY),
        ):
            assert say(relay, packet) == []
    assert relay._calls == {}
