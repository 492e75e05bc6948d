"""TURN's bytes: sizes and attributes as captured, ChannelData, streams, garbage."""

from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import stun, turn
from circumtest.wire.turn import Framer

DATA = Path(__file__).parents[2] / "data"
STUN = stun.pack(stun.Message(turn.ALLOCATE, bytes(12), ((turn.REQUESTED_TRANSPORT, turn.UDP),)))


def captured(name: str) -> list[bytes]:
    """The UDP payloads of a file."""
    with (DATA / name).open("rb") as file:
        frames = [frame for _, frame in dpkt.pcap.UniversalReader(file)]
    return [bytes(dpkt.ethernet.Ethernet(frame).data.data.data) for frame in frames]


def test_a_password_is_what_the_turn_rest_convention_makes_of_a_secret() -> None:
    """Base64 of HMAC-SHA1, 28 characters; RFC 8489 9.2.2's key has 16 bytes."""
    word = turn.password("north", "12334939:mbzrxpgjys")

    assert word == "Iq7YXkRon8YXJfdN1Ke9EZOw1UE="
    assert len(turn.long_term_key("user", "realm", word)) == 16
    # RFC 8489 9.2.2: user "user", realm "realm", password "pass".
    assert turn.long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"


@pytest.mark.parametrize("name", ["tg_turn_1400", "fb_turn", "signal_turn", "plain_turn"])
def test_captured_allocates_are_signed_and_others_are_not(name: str) -> None:
    """Binding and its answer, Allocate, 401, then the signed Allocate and its signed answer."""
    messages = captured(f"{name}.pcap")

    assert [turn.is_signed(one) for one in messages] == [False] * 4 + [True] * 2
    assert [stun.unpack(one).type for one in messages[2:]] == [0x003, 0x113, 0x003, 0x103]
    assert messages[2][:2] + messages[2][2:8] + messages[2][20:] == STUN[:8] + STUN[20:]


def test_lifetimes_families_and_channels_are_read_or_refused() -> None:
    """Four bytes each; a channel is one of 0x4000 to 0x7ffe (RFC 5766 11)."""
    assert turn.seconds(b"\0\0\x02\x58") == 600
    assert (turn.family(4), turn.family(6)) == (b"\1\0\0\0", b"\2\0\0\0")
    assert turn.channel_number(b"\x40\0\0\0") == 0x4000
    for wrong in (None, b"", b"\0\0\1"):
        with pytest.raises(ValueError):
            turn.seconds(wrong)
    for wrong in (None, b"", b"\x3f\xff\0\0", b"\x7f\xff\0\0", b"\x40\0"):
        with pytest.raises(ValueError):
            turn.channel_number(wrong)


@given(st.integers(turn.FIRST_CHANNEL, turn.LAST_CHANNEL), st.binary(max_size=1400), st.booleans())
def test_channel_data_comes_back_as_it_was(number: int, payload: bytes, stream: bool) -> None:
    """On a stream it is padded to whole words, in a datagram it is not."""
    packed = turn.pack_channel_data(number, payload, stream=stream)

    assert turn.is_channel_data(packed)
    assert turn.parse_channel_data(packed) == (number, payload)
    assert len(packed) == 4 + len(payload) + (-len(payload) % 4 if stream else 0)


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_a_stream_is_cut_into_the_messages_that_it_was_made_of(
    payloads: list[bytes], size: int
) -> None:
    """Whatever the pieces are that it comes in, STUN and channel data mixed."""
    messages = [turn.pack_channel_data(0x4000, one, stream=True) for one in payloads]
    messages += [STUN]
    whole = b"".join(messages)
    framer, found = Framer(), []
    for at in range(0, len(whole), size):
        found += framer.feed(whole[at : at + size])

    assert found == messages


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_a_value_error_and_nothing_else(data: bytes) -> None:
    """In a datagram as on a stream."""
    turn.is_channel_data(data)
    turn.is_signed(data)
    for parse in (turn.parse_channel_data, Framer().feed):
        try:
            parse(data)
        except ValueError:
            continue


@pytest.mark.parametrize("wrong", [b"\x80\0\0\0", b"\xc0\0\0\0", b"\0\1\0\1", b"\0\1\xff\xfc"])
def test_what_is_neither_stun_nor_channel_data_ends_a_stream(wrong: bytes) -> None:
    """By its first bits, by a length of no whole words, or by one that no message has."""
    with pytest.raises(ValueError, match="neither"):
        Framer().feed(wrong)


def test_a_stream_is_never_kept_beyond_one_message() -> None:
    """64 KiB of one that is never finished, at most."""
    framer = Framer()
    assert framer.feed(b"\x40\0\xff\xff") == []
    assert framer.feed(bytes(0xFFFF)) == []
    assert len(framer.feed(bytes(1))) == 1
