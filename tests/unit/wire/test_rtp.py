"""RTP with an extension, and its sealing: what is sent comes back, nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import rtp
from circumtest.wire.rtp import Frame, Header

KEY = bytes(range(rtp.KEY))
# The header of an RTP packet as WhatsApp wrote it in 2023 (published capture of ntop/nDPI).
CAPTURED = bytes.fromhex("907800030001a7c01b9f01eedebe000130010000")
HEADER = Header(120, 3, 0x1A7C0, 0x1B9F01EE, profile=0xDEBE, extension=b"\x30\1\0\0")


def test_a_header_is_the_bytes_that_the_application_sends() -> None:
    """Version, extension bit, payload type, profile and words."""
    assert HEADER.pack() == CAPTURED
    assert rtp.unpack(CAPTURED + b"rest") == (HEADER, b"rest")


def test_a_sealed_packet_opens_to_what_was_put_in() -> None:
    """And shows nothing of it: header, as many other bytes, ten more."""
    payload = b"\0" * 160
    data = rtp.seal(HEADER, payload, KEY)

    assert rtp.unseal(data, KEY) == (HEADER, payload)
    assert data.startswith(CAPTURED)
    assert len(data) == len(CAPTURED) + 160 + 10
    assert len(set(data[20:])) > 80


def test_no_two_packets_share_their_mask() -> None:
    """A zero payload under two sequence numbers gives unrelated bytes."""
    first, second = (
        rtp.seal(Header(120, seq, seq * 320, 7), bytes(160), KEY)[16:176] for seq in (1, 2)
    )
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 20


def test_the_tag_wants_the_end_of_the_payload() -> None:
    """Where it is not zeros, something would be lost."""
    with pytest.raises(ValueError, match="the last 6 bytes"):
        rtp.seal(HEADER, bytes(100) + b"x", KEY)


def test_any_changed_bit_and_any_other_key_keep_it_shut() -> None:
    """Header, payload and tag are all authenticated."""
    data = rtp.seal(HEADER, b"payload" + bytes(rtp.SPARE), KEY)
    for at in range(len(data)):
        with pytest.raises(ValueError):
            rtp.unseal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], KEY)
    with pytest.raises(ValueError):
        rtp.unseal(data, KEY[::-1])


def test_a_frame_keeps_its_times_to_the_microsecond() -> None:
    """Absolute times of this century, and None for what was not heard yet."""
    frame = Frame(7, 1_795_000_000.123456, 6, 9, 0.001, 0.25, 1_794_999_999.5, 0.02, 3, 4, 5)
    silent = frame._replace(received=0, highest=-1, echo=None)

    assert Frame.unpack(frame.pack(160)) == frame
    assert Frame.unpack(silent.pack(46)) == silent
    assert len(frame.pack(160)) == 160
    with pytest.raises(ValueError):
        Frame.unpack(frame.pack(160)[:45])


def test_times_beyond_the_fields_are_cut_and_stop_nothing() -> None:
    """Clocks that run backwards, and echoes of absurd ones."""
    wild = Frame(0, 1e19, 0, -1, 1e9, -1.0, 1e19, -0.5)
    tame = Frame.unpack(wild.pack(46))

    assert (tame.gap, tame.held) == (0.0, 0.0)
    assert tame.jitter == pytest.approx(4294.967295)
    assert Frame.unpack(tame.pack(46)) == tame


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_garbage_raises_nothing_but_value_errors(data: bytes, tail: bytes) -> None:
    """Bare, and behind a plausible first byte."""
    for attempt in (data, b"\x90" + data, CAPTURED + tail):
        with pytest.raises(ValueError):
            rtp.unseal(attempt, KEY)


def test_a_body_is_what_is_left_without_header_extension_and_padding() -> None:
    """Whatever the header has; RTCP and stumps are none."""
    fixed = bytes([0x6F, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3])

    assert rtp.body(b"\x80" + fixed + b"sound") == b"sound"
    assert rtp.body(b"\x82" + fixed + bytes(8) + b"sound") == b"sound"
    assert rtp.body(b"\x90" + fixed + b"\xbe\xde\0\1" + bytes(4) + b"sound") == b"sound"
    assert rtp.body(b"\xa0" + fixed + b"sound\0\0\3") == b"sound"
    rtcp = b"\x80\xc8" + bytes(26)
    for wrong in (
        b"",
        b"\x00" + fixed,
        b"\x80" + fixed[:-1],
        b"\x8f" + fixed,
        b"\xa0" + fixed,
        rtcp,
    ):
        with pytest.raises(ValueError):
            rtp.body(wrong)


@given(st.binary(max_size=60))
def test_garbage_has_a_body_or_is_an_error(data: bytes) -> None:
    """Nothing else is raised, and a body is never longer than what it is in."""
    for packet in (data, b"\x90" + data, b"\xbf" + data):
        try:
            assert len(rtp.body(packet)) <= len(packet)
        except ValueError:
            continue
