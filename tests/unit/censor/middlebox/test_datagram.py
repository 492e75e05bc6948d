"""IP packets as values: what real stacks send, what is refused, and garbage."""

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.middlebox.datagram import ACK, FIN, SYN, Segment, parse
from circumtest.model import Address, Transport

HOSTS = {4: (b"\xc0\0\2\2", b"\xcb\0\x71\x0a"), 6: (b"\x20\1\x0d\xb8" + bytes(11) + b"\2",) * 2}
NAMES = {4: ("192.0.2.2", "203.0.113.10"), 6: ("2001:db8::2", "2001:db8::2")}


def packet(version: int, inner: dpkt.Packet, protocol: int) -> bytes:
    """An IP packet as another library makes it."""
    source, destination = HOSTS[version]
    if version == 4:
        return bytes(dpkt.ip.IP(src=source, dst=destination, p=protocol, data=inner))
    made = dpkt.ip6.IP6(
        src=source, dst=destination, nxt=protocol, plen=len(inner), data=inner, extension_hdrs={}
    )
    return bytes(made)


@pytest.mark.parametrize("version", [4, 6])
def test_a_datagram_of_udp_is_its_addresses_and_payload(version: int) -> None:
    """Made by dpkt; bytes behind the packet (a frame's filling) are not its own."""
    inner = dpkt.udp.UDP(sport=40000, dport=3478, data=b"hello", ulen=13)
    found = parse(packet(version, inner, 17) + b"\0" * 9)

    near, far = NAMES[version]
    assert (found.transport, found.payload, found.segment) == (Transport.UDP, b"hello", None)
    assert (found.source, found.destination) == (Address(near, 40000), Address(far, 3478))


@pytest.mark.parametrize("version", [4, 6])
def test_a_segment_of_tcp_has_its_payload_behind_the_options(version: int) -> None:
    """With and without payload: a bare one has b""."""
    for payload in (b"hello", b""):
        inner = dpkt.tcp.TCP(
            sport=40000, dport=443, seq=7, ack=9, off=8, flags=ACK | FIN, opts=b"\1" * 12
        )
        inner.data = payload
        found = parse(packet(version, inner, 6))

        assert (found.transport, found.payload) == (Transport.TCP, payload)
        assert found.segment == Segment(7, 9, ACK | FIN)


def test_extension_headers_are_walked_over() -> None:
    """A hop-by-hop header of eight bytes, then destination options of sixteen."""
    inner = bytes(dpkt.udp.UDP(sport=1, dport=2, data=b"x", ulen=9))
    chain = bytes([60, 0]) + bytes(6) + bytes([17, 1]) + bytes(14) + inner
    head = b"\x60\0\0\0" + len(chain).to_bytes(2, "big") + b"\0\x40" + HOSTS[6][0] * 2

    assert parse(head + chain).payload == b"x"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x50" + bytes(60),
        b"\x45" + bytes(10),
        packet(4, dpkt.udp.UDP(data=b"x", ulen=9), 17)[:-1],
        packet(4, dpkt.udp.UDP(data=b"x", ulen=99), 17),
        packet(4, dpkt.udp.UDP(data=b"x", ulen=9), 1),
        packet(6, dpkt.udp.UDP(data=b"x", ulen=9), 17)[:-1],
        packet(6, b"\0" * 16, 58),
        packet(4, dpkt.tcp.TCP(off=15), 6),
        packet(4, dpkt.tcp.TCP(off=1), 6),
        bytes.fromhex("45000024000020004011000000000000000000000001000200100000") + bytes(8),
        b"\x60\0\0\0\0\x10\x2c\0" + bytes(32) + bytes([17, 0, 0, 8]) + bytes(12),
        b"\x60\0\0\0\0\x08\x00\0" + bytes(32) + bytes([17, 9]) + bytes(6),
    ],
)
def test_what_is_not_understood_is_refused(raw: bytes) -> None:
    """Short, cut, of another protocol, with impossible lengths, a fragment."""
    with pytest.raises(ValueError, match=r"."):
        parse(raw)


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x45\0", b"\x60\0\0\0"]))
def test_garbage_raises_value_error_at_most(garbage: bytes, beginning: bytes) -> None:
    """Whatever comes, the payload is a part of it."""
    try:
        found = parse(beginning + garbage)
    except ValueError:
        return
    assert found.payload in found.raw


def test_syn_and_fin_count_one_each_and_numbers_wrap() -> None:
    """RFC 9293 3.4: the number behind a segment is modulo 2^32."""
    assert Segment(5, 0, ACK).after(3) == 8
    assert Segment(0xFFFFFFFF, 0, SYN).after(0) == 0
    assert Segment(0xFFFFFFFE, 0, ACK | FIN).after(2) == 1
