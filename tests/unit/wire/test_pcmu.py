"""G.711 in plain RTP: the codes, marks that survive a telephone, headers of every form."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import pcmu
from circumtest.wire.pcmu import Mark
from circumtest.wire.rtp import Header

KEY = b"k" * 32
AT = 1_764_000_000.123456


def decode(code: int) -> int:
    """The sample of a code, by the formula of G.711 (bias 132)."""
    code = ~code & 0xFF
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return -size if code & 0x80 else size


def test_codes_are_those_of_g711() -> None:
    """Silence, the loudest of both signs; each code is that of the sample that it stands for."""
    assert [pcmu.encode(sample) for sample in (0, 32767, -32768)] == [0xFF, 0x80, 0x00]
    for code in range(256):
        if code != 0x7F:  # minus zero
            assert pcmu.encode(decode(code)) == code


@given(st.integers(-32768, 32767))
def test_a_code_is_no_further_from_its_sample_than_a_step(sample: int) -> None:
    """A sixteenth of its size, or the smallest step."""
    error = abs(decode(pcmu.encode(sample)) - sample)

    assert error <= max(abs(sample) / 16, 8) or abs(sample) > 32124


@given(st.integers(0, 0xFFFFFFFF), st.floats(0, 4e9))
def test_a_mark_survives_a_telephone(seq: int, at: float) -> None:
    """Decoded to samples and encoded again, it is the same bytes."""
    sound = pcmu.sound(Mark(seq, at), KEY)
    (mark,) = pcmu.marks(bytes(pcmu.encode(decode(code)) for code in sound), KEY)

    assert len(sound) == pcmu.SAMPLES
    assert mark.seq == seq
    assert mark.sent_at == pytest.approx(at, abs=2e-6)


@pytest.mark.parametrize("shift", [0, 1, 79, 131])
def test_a_mark_is_found_wherever_the_far_end_cuts_its_packets(shift: int) -> None:
    """Two packets of sound, cut otherwise."""
    sound = b"".join(pcmu.sound(Mark(seq, AT), KEY) for seq in (3, 4))

    assert [mark.seq for mark in pcmu.marks(pcmu.SILENCE[:shift] + sound, KEY)] == [3, 4]


def test_only_the_key_finds_its_marks() -> None:
    """Another key, a changed code, a piece: nothing."""
    sound = pcmu.sound(Mark(3, AT), KEY)

    assert not list(pcmu.marks(sound, b"another"))
    assert not list(pcmu.marks(sound[: pcmu.MARK - 1], KEY))
    for place in range(pcmu.MARK):
        spoiled = bytearray(sound)
        spoiled[place] ^= 1
        assert not list(pcmu.marks(bytes(spoiled), KEY))


@given(st.binary(max_size=400))
def test_garbage_has_no_marks_and_is_rtp_or_a_value_error(data: bytes) -> None:
    """Also behind a good beginning."""
    assert not list(pcmu.marks(data, KEY))
    assert not list(pcmu.marks(pcmu.sound(Mark(1, 1.0), b"")[:10] + data, KEY))
    for tried in (data, b"\x80\0" + data, b"\xbf\0" + data):
        try:
            header, payload = pcmu.unpack(tried)
        except ValueError:
            continue
        assert 0 <= header.payload_type < 128
        assert len(payload) <= len(tried) - 12


def test_a_packet_begins_as_plain_rtp_does() -> None:
    """Version 2, no extension, payload type 0: `80 00`, as in captures."""
    header = Header(0, 0x1_0001, 0x1_0000_0002, 7)
    data = pcmu.pack(header, b"sound")

    assert data[:2] == b"\x80\x00"
    assert pcmu.unpack(data) == (Header(0, 1, 2, 7), b"sound")
    assert pcmu.pack(Header(0, 1, 2, 7, marker=True), b"")[1] == 0x80


def test_csrcs_extension_and_padding_are_read_over() -> None:
    """RFC 3550 5.1 and 5.3.1."""
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 0, 1, 2, 7)
    data = head + bytes(8) + b"\xbe\xde\0\x01abcd" + b"sound" + b"\0\0\x03"

    assert pcmu.unpack(data)[1] == b"sound"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(12),
        b"\x80\xc8" + bytes(10),
        b"\x8f\0" + bytes(10),
        b"\x90\0" + bytes(10),
        b"\x90\0" + bytes(12) + b"\xff\xff",
        b"\xa0\0" + bytes(11),
        b"\xa0\0" + bytes(10) + b"\x07",
    ],
)
def test_what_is_no_rtp_is_a_value_error(data: bytes) -> None:
    """Too short, another version, reports, cut lists, padding of no or too much length."""
    with pytest.raises(ValueError):
        pcmu.unpack(data)
