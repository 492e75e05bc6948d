"""What a censor sends itself, read by another library: numbers, addresses, checksums."""

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.middlebox import forge
from circumtest.censor.middlebox.datagram import ACK, FIN, RST, SYN, Datagram, Segment, parse
from circumtest.model import Address, Transport

ENDS = {
    4: (Address("192.0.2.2", 40000), Address("203.0.113.10", 443)),
    6: (Address("2001:db8:2::2", 40000), Address("2001:db8:113::10", 443)),
}


def met(version: int, payload: bytes, segment: Segment | None) -> Datagram:
    """A packet from the first of ENDS to the second."""
    transport = Transport.UDP if segment is None else Transport.TCP
    return Datagram(transport, *ENDS[version], payload, segment, b"E" * 2000)


def summed(packet: bytes) -> bool:
    """Whether the packet's own checksums are those that dpkt makes."""
    again = dpkt.ip.IP(packet) if packet[0] >> 4 == 4 else dpkt.ip6.IP6(packet)
    inner, was = again.data, again.data.sum
    inner.sum = 0
    if again.v == 4:
        again.sum = 0
    made = bytes(again)
    return made == packet and was != 0


@pytest.mark.parametrize("version", [4, 6])
def test_both_ends_are_reset_each_as_if_by_the_other(version: int) -> None:
    """The sender by what it acknowledged, the receiver by what it has not got."""
    resets = forge.resets(met(version, b"hello", Segment(100, 900, ACK)), passed=False)
    (near, back), (far, there) = resets

    assert (near, far) == ENDS[version]
    assert summed(back)
    assert summed(there)
    assert (parse(back).source, parse(back).destination) == ENDS[version][::-1]
    assert parse(back).segment == Segment(900, 105, RST | ACK)
    assert (parse(there).source, parse(there).destination) == ENDS[version]
    assert parse(there).segment == Segment(100, 900, RST | ACK)


def test_a_packet_that_passes_is_followed_by_its_reset() -> None:
    """Its receiver expects what comes behind it, its FIN included."""
    _, (_, there) = forge.resets(met(4, b"hello", Segment(100, 900, ACK | FIN)), passed=True)

    assert parse(there).segment == Segment(106, 900, RST | ACK)


def test_a_syn_is_reset_by_acknowledging_it() -> None:
    """RFC 9293 3.10.7.3: in SYN-SENT a reset is believed if it acknowledges the SYN."""
    (_, back), (_, there) = forge.resets(met(4, b"", Segment(100, 0, SYN)), passed=False)

    assert parse(back).segment == Segment(0, 101, RST | ACK)
    assert parse(there).segment == Segment(100, 0, RST)


def test_resets_and_datagrams_are_not_reset() -> None:
    """Nothing follows the one, and the other has no such thing."""
    assert not list(forge.resets(met(4, b"", Segment(1, 1, RST)), passed=False))
    assert not list(forge.resets(met(4, b"x", None), passed=False))


@pytest.mark.parametrize(
    ("version", "admin", "kind", "code"),
    [(4, False, 3, 3), (4, True, 3, 13), (6, False, 1, 4), (6, True, 1, 1)],
)
def test_an_icmp_error_quotes_the_packet(version: int, admin: bool, kind: int, code: int) -> None:
    """RFC 792, RFC 1812 and RFC 4443: as much of it as a smallest packet has room for."""
    message = forge.unreachable(met(version, b"x", None), admin=admin)

    assert message[:2] == bytes([kind, code])
    assert message[4:8] == bytes(4)
    assert len(message) == (576 - 20 if version == 4 else 1280 - 40)
    if version == 4:
        assert forge.checksum(message) == b"\0\0"


@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(max_size=300))
def test_an_answer_comes_as_from_the_destination(version: int, payload: bytes) -> None:
    """Its bytes and checksums are those of an honest packet, whatever is in it."""
    packet = forge.answer(met(version, b"?", None), payload)
    found = parse(packet)

    assert (found.source, found.destination) == ENDS[version][::-1]
    assert found.payload == payload
    assert summed(packet)


@given(st.binary(max_size=64))
def test_what_has_its_checksum_sums_up_to_nothing(data: bytes) -> None:
    """RFC 1071, with an even number of bytes before it."""
    data += bytes(len(data) % 2)

    assert forge.checksum(data + forge.checksum(data)) == b"\0\0"
