"""Zoom's packets: the captured bytes, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import rtp, zoom

TID = bytes(range(16))
ASKED = "00010018" + TID.hex() + "01010014" + b"1234567890123456789\0".hex()
ANSWERED = "0002000c" + TID.hex() + "010300080001a0b6c0000202"


def test_the_request_and_its_answer_are_the_captured_bytes() -> None:
    """44 bytes with a text that never changes, and 32 with the address in the clear."""
    assert zoom.ask(TID) == bytes.fromhex(ASKED)
    assert zoom.parse_ask(bytes.fromhex(ASKED)) == TID
    assert zoom.answer(TID, "192.0.2.2", 41142) == bytes.fromhex(ANSWERED)
    assert zoom.parse_answer(bytes.fromhex(ANSWERED)) == ("192.0.2.2", 41142)
    assert (len(ASKED), len(ANSWERED)) == (88, 64)


def test_an_answer_over_ipv6_names_its_family() -> None:
    """As RFC 3489 would, had it known it; nobody has captured one."""
    answer = zoom.answer(TID, "2001:db8::2", 9)

    assert zoom.parse_answer(answer) == ("2001:db8::2", 9)
    assert len(answer) == zoom.ASK_SIZE


@pytest.mark.parametrize(
    "spoiled",
    [
        ANSWERED[:-2],
        ANSWERED + "00",
        ANSWERED.replace("0103", "0101"),
        ANSWERED.replace("00080001", "00080002"),
        ANSWERED.replace("0002000c", "0002000d"),
        ANSWERED.replace("0002000c", "0101000c"),
        "",
    ],
)
def test_an_answer_that_is_spoiled_is_told(spoiled: str) -> None:
    """Cut short, too long, another attribute, family, length or type."""
    with pytest.raises(ValueError):
        zoom.parse_answer(bytes.fromhex(spoiled))


@pytest.mark.parametrize("kind", zoom.SIZES)
def test_a_media_flow_opens_with_packets_of_the_captured_sizes(kind: int) -> None:
    """107, 35, 13 and 13 bytes that begin as captured; another size is refused."""
    body = b"x" * (zoom.SIZES[kind] - len(zoom.HEADS[kind]))
    data = zoom.pack(kind, body)

    assert len(data) == {1: 107, 2: 35, 3: 13, 4: 13}[kind]
    assert zoom.unpack(data) == (kind, body)
    for other in (data[:-1], data + b"x", b"\x09" + data[1:], b""):
        with pytest.raises(ValueError):
            zoom.unpack(other)
    with pytest.raises(ValueError):
        zoom.pack(kind, body + b"x")


def test_sound_stands_where_the_dissector_looks_for_it() -> None:
    """27 bytes before the RTP: type, number, direction; then the audio's type, number and time."""
    header = rtp.Header(112, 0x1234, 0x01020304, 7, extension=bytes(4))
    packet = rtp.seal(header, bytes(60), bytes(rtp.KEY))
    up, down = (zoom.wrap(packet, upwards=way) for way in (True, False))

    assert up[:9].hex() == "051234" + "00000000" + "00" + "0f"
    assert up[17:27].hex() == "1234" + "01020304" + "00000000"
    assert (down[7], up[27:]) == (4, packet)
    assert zoom.unwrap(up, upwards=True) == zoom.unwrap(down, upwards=False) == packet
    with pytest.raises(ValueError):
        zoom.unwrap(up, upwards=False)


@given(st.binary(max_size=120), st.sampled_from(["", "00010018", "00020008", "0100027d", "05"]))
def test_garbage_is_a_value_error(data: bytes, head: str) -> None:
    """Nothing else is raised, whatever it begins with."""
    whole = bytes.fromhex(head) + data
    for parse in (zoom.parse_ask, zoom.parse_answer, zoom.unpack):
        try:
            parse(whole)
        except ValueError:
            continue
    for way in (True, False):
        try:
            zoom.unwrap(whole, upwards=way)
        except ValueError:
            continue
    assert zoom.is_answer(whole, bytes(16)) in (True, False)
