"""Ethernet frames, made by hand and out of captures, for tests of what looks at them."""

import struct
from pathlib import Path

import dpkt

from circumtest.detect.frames import SYN, TCP
from circumtest.model import Address

DATA = Path(__file__).parents[1] / "data"
V4 = (Address("192.0.2.2", 1000), Address("198.51.100.2", 51820))
V6 = (Address("2001:db8:2::2", 1000), Address("2001:db8:100::2", 51820))


def ethernet(kind: int, data: bytes) -> bytes:
    """With zeros for the stations, and what a card pads short frames with."""
    return bytes(12) + struct.pack("!H", kind) + data + bytes(6)


def ipv4(protocol: int, carried: bytes, fragment: int = 0, options: bytes = b"") -> bytes:
    """A header without its checksum, which nobody here looks at."""
    words = 5 + len(options) // 4
    length = words * 4 + len(carried)
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 0, fragment, 64, protocol, 0)
    return ethernet(0x0800, head + V4[0].packed + V4[1].packed + options + carried)


def ipv6(protocol: int, carried: bytes) -> bytes:
    """A header of version 6."""
    head = struct.pack("!IHBB", 6 << 28, len(carried), protocol, 64)
    return ethernet(0x86DD, head + V6[0].packed + V6[1].packed + carried)


def udp(payload: bytes) -> bytes:
    """A datagram between the two ports."""
    return struct.pack("!HHHH", 1000, 51820, 8 + len(payload), 0) + payload


def tcp(payload: bytes, flags: int = 0x18, seq: int = 7) -> bytes:
    """A segment with four bytes of options."""
    return (
        struct.pack("!HHIIBBHHH", 1000, 51820, seq, 0, 6 << 4, flags, 0, 0, 0) + bytes(4) + payload
    )


def capture(name: str) -> list[tuple[float, bytes]]:
    """A capture's frames with their times."""
    with (DATA / f"{name}.pcap").open("rb") as opened:
        return [(float(at), bytes(raw)) for at, raw in dpkt.pcap.UniversalReader(opened)]


def stream(*segments: tuple[bytes, int], opening: bool = True) -> list[tuple[float, bytes]]:
    """A client's segments, each with its place, behind a SYN."""
    raw = [ipv4(TCP, tcp(b"", SYN, 99))] if opening else []
    raw += [ipv4(TCP, tcp(payload, 0x18, 100 + at)) for payload, at in segments]
    return [(n / 10, one) for n, one in enumerate(raw)]
