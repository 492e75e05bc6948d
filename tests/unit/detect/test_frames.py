"""Ethernet frames taken apart, and whatever else comes refused."""

from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.detect.frames import TCP, UDP, Frame, frame
from circumtest.model import Address
from tests.unit.packets import DATA, V4, V6, ethernet, ipv4, ipv6, tcp, udp


@pytest.mark.parametrize(
    ("raw", "ends"),
    [(ipv4(UDP, udp(b"hello")), V4), (ipv6(UDP, udp(b"hello")), V6)],
)
def test_a_datagram_has_its_ends_and_its_payload(raw: bytes, ends: tuple[Address, Address]) -> None:
    """Over both families, without what pads the frame."""
    got = frame(1.5, raw)

    assert (got.at, got.protocol, got.payload) == (1.5, UDP, b"hello")
    assert (got.source, got.destination) == ends
    assert got.ip == raw[14:-6]


def test_a_segment_has_its_place_and_flags() -> None:
    """Behind options of IP and of TCP."""
    got = frame(0.0, ipv4(TCP, tcp(b"x", 0x02, 9), options=bytes(8)))

    assert (got.protocol, got.seq, got.flags, got.payload) == (TCP, 9, 0x02, b"x")


def test_both_directions_are_one_flow_and_other_protocols_have_no_ports() -> None:
    """ESP carries tunnels, too."""
    one = frame(0.0, ipv4(50, b"\x01" * 30))
    assert (one.source.port, one.destination.port, one.payload) == (0, 0, b"\x01" * 30)

    there = frame(0.0, ipv4(UDP, udp(b"")))
    back = Frame(1.0, UDP, there.destination, there.source, b"", b"")
    assert there.flow == back.flow != one.flow


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (ipv4(1, bytes(8)), "keeps the network going"),
        (ipv6(58, bytes(8)), "keeps the network going"),
        (ethernet(0x0806, bytes(28)), "no IP packet"),
        (ipv4(UDP, udp(b"x"), fragment=3), "later fragment"),
        (ipv6(44, b"\x11\0\0\x10" + bytes(12)), "later fragment"),
        (ipv4(TCP, tcp(b"")[:12]), "cut short"),
        (ipv4(UDP, udp(b"hello"))[:40], "no whole IPv4"),
        (b"", "no IP packet"),
    ],
)
def test_what_is_no_packet_of_a_flow_is_refused(raw: bytes, why: str) -> None:
    """Each for its reason."""
    with pytest.raises(ValueError, match=why):
        frame(0.0, raw)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=90).map(lambda x: ipv6(0, x))))
def test_garbage_is_a_value_error_at_most(raw: bytes) -> None:
    """Nothing else, whatever passes."""
    try:
        got = frame(0.0, raw)
    except ValueError:
        return
    assert len(got.payload) <= len(got.ip) <= len(raw)


@pytest.mark.parametrize("file", sorted(DATA.glob("w*.pcap")), ids=lambda file: file.stem)
def test_it_reads_what_another_reader_reads(file: Path) -> None:
    """dpkt, over whole captures."""
    with file.open("rb") as opened:
        for at, raw in dpkt.pcap.UniversalReader(opened):
            carried = dpkt.ethernet.Ethernet(raw).data.data
            got = frame(float(at), bytes(raw))
            assert (got.source.port, got.destination.port) == (carried.sport, carried.dport)
            assert got.payload == bytes(carried.data)
