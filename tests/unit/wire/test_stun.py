"""STUN held to RFC 5769's vectors, to a capture, and to garbage."""

from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import stun
from circumtest.wire.stun import Message

DATA = Path(__file__).parents[2] / "data"
TID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
# RFC 5769, 2.2 and 2.3.
IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf1"
    "1784c97c8292c275bfe3ed4180280004c8fb0b4c"
)


@pytest.mark.parametrize(
    ("data", "address"),
    [(IPV4, ("192.0.2.1", 32853)), (IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))],
)
def test_the_responses_of_rfc_5769_are_read_and_verified(
    data: bytes, address: tuple[str, int]
) -> None:
    """Address, integrity and fingerprint of both, and not under another password."""
    message = stun.unpack(data)

    assert (message.type, message.tid) == (stun.BINDING_OK, TID)
    value = message.get(stun.XOR_MAPPED_ADDRESS)
    assert value is not None
    assert stun.parse_xor_address(value, TID) == address
    assert stun.xor_address(*address, TID) == value
    assert stun.authentic(data, PASSWORD)
    assert not stun.authentic(data, PASSWORD + b"x")


def test_what_is_packed_ends_in_the_same_integrity_and_fingerprint_as_rfc_5769() -> None:
    """The vectors pad SOFTWARE with a space, so only a message without it can be written alike."""
    message = Message(stun.BINDING_OK, TID, ((stun.XOR_MAPPED_ADDRESS, IPV4[40:48]),))
    data = stun.pack(message, PASSWORD, fingerprint=True)

    assert stun.unpack(data) == message
    assert stun.authentic(data, PASSWORD)
    assert [data[28 + 4 : 28 + 8], data[-8:-4]] == [b"\0\x08\0\x14", b"\x80\x28\0\x04"]


def test_one_changed_bit_anywhere_is_noticed() -> None:
    """By the parser, by the fingerprint or by the integrity, up to the fingerprint itself."""
    for at in range(len(IPV4) - 8):
        changed = IPV4[:at] + bytes([IPV4[at] ^ 1]) + IPV4[at + 1 :]
        try:
            stun.unpack(changed)
        except ValueError:
            continue
        assert not stun.authentic(changed, PASSWORD)


def test_what_stands_behind_the_integrity_is_ignored() -> None:
    """RFC 8489 14.5: it could have been added by anybody."""
    plain = stun.pack(Message(stun.BINDING_OK, TID), PASSWORD)
    longer = plain[:2] + (len(plain) - 20 + 8).to_bytes(2) + plain[4:] + b"\0\x09\0\x04\0\0\4\1"

    assert stun.authentic(longer, PASSWORD)
    assert stun.unpack(longer).attributes == ()


def test_every_packet_of_a_captured_allocation_is_read_and_written_to_the_byte() -> None:
    """Types and attributes; only the integrity, whose key is not known, is taken over."""
    with (DATA / "wa_alloc_2023.pcap").open("rb") as file:
        packets = [
            bytes(dpkt.ethernet.Ethernet(raw).data.data.data) for _, raw in dpkt.pcap.Reader(file)
        ]

    assert [stun.unpack(packet).type for packet in packets] == [3, 3, 0x103, 0x103, 0x801, 0x802]
    for packet in packets:
        again = stun.pack(stun.unpack(packet), None if len(packet) == 20 else b"key")
        assert again[:-20] == packet[:-20]
        assert len(again) == len(packet)


def test_error_codes_are_read_as_they_are_written() -> None:
    """RFC 8489 14.8; anything outside of 300 to 699 is not one."""
    assert stun.error_code(stun.pack_error(486, "Quota")) == (486, "Quota")
    for value in (b"", b"\0\0\2\1", b"\0\0\4\x64"):
        with pytest.raises(ValueError):
            stun.error_code(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        IPV4[:19],
        IPV4[:-1],
        IPV4 + b"\0\0\0\0",
        b"\x40" + IPV4[1:],  # the two bits that RTP and TURN channels have set
        IPV4[:4] + b"\0\0\0\0" + IPV4[8:],  # no cookie
        b"\0\1\0\4" + IPV4[4:20] + b"\0\x20\0\x08",  # an attribute longer than the message
        b"\0\1\0\x08" + IPV4[4:20] + b"\0\x08\0\x04abcd",  # an integrity of four bytes
    ],
)
def test_what_is_not_a_message_is_refused(data: bytes) -> None:
    """Too short, too long, foreign."""
    with pytest.raises(ValueError):
        stun.unpack(data)


@given(st.binary(max_size=80), st.binary(min_size=8, max_size=16))
def test_garbage_raises_nothing_but_value_errors(data: bytes, tid: bytes) -> None:
    """Bare, behind a valid header, and in the parsers of values."""
    framed = b"\1\1" + len(data).to_bytes(2) + IPV4[4:20] + data
    for attempt in (
        lambda: stun.unpack(data),
        lambda: stun.unpack(framed),
        lambda: stun.authentic(framed, PASSWORD),
        lambda: stun.parse_xor_address(data, tid),
        lambda: stun.error_code(data),
    ):
        try:
            attempt()
        except ValueError:
            continue
