"""An IP packet's bytes as values: addresses, transport, payload, and what TCP says of its place.

IPv4 (RFC 791) and IPv6 (RFC 8200) with UDP (RFC 768) and TCP (RFC 9293).  It refuses fragments,
which the kernel has put together before, and every other protocol: ValueError.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from circumtest.model import Address, Transport

_TCP, _UDP = 6, 17
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
_FRAGMENT = 44
_EXTENSIONS = (0, 43, 60, 135)
"""Hop-by-hop, routing, destination options, mobility: each says its length (RFC 8200 4.2)."""
_TRANSPORTS = {_TCP: Transport.TCP, _UDP: Transport.UDP}

_ports = struct.Struct(">HH")
_tcp = struct.Struct(">HHLLBB")


@dataclass(frozen=True, slots=True)
class Segment:
    """What TCP says of a packet: sequence and acknowledgement numbers, and its flags."""

    seq: int
    ack: int
    flags: int

    def after(self, payload: int) -> int:
        """The number that follows a segment of `payload` bytes: SYN and FIN count one each."""
        return self.seq + payload + bool(self.flags & SYN) + bool(self.flags & FIN) & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Datagram:
    """An IP packet that carries UDP or TCP; `raw` is all of it, from the IP header on."""

    transport: Transport
    source: Address
    destination: Address
    payload: bytes
    segment: Segment | None
    raw: bytes


def parse(raw: bytes) -> Datagram:
    """The packet that `raw` is.  Raises ValueError when it is none that is understood."""
    version = raw[0] >> 4 if raw else 0
    if version == 4:
        protocol, start, end, source, destination = _ipv4(raw)
    elif version == 6:
        protocol, start, end, source, destination = _ipv6(raw)
    else:
        raise ValueError("neither IPv4 nor IPv6")
    least = 20 if protocol == _TCP else 8
    if protocol not in _TRANSPORTS or end - start < least:
        raise ValueError("neither UDP nor TCP, or less than its header")
    near, far = _ports.unpack_from(raw, start)
    ends = Address(text(source), near), Address(text(destination), far)
    if protocol == _UDP:
        length = int.from_bytes(raw[start + 4 : start + 6], "big")
        if not 8 <= length <= end - start:
            raise ValueError("a UDP length that is not its packet's")
        return Datagram(Transport.UDP, *ends, raw[start + 8 : start + length], None, raw)
    _, _, seq, ack, offset, flags = _tcp.unpack_from(raw, start)
    header = offset >> 4 << 2
    if not 20 <= header <= end - start:
        raise ValueError("a TCP header that is longer than its packet")
    segment = Segment(seq, ack, flags)
    return Datagram(Transport.TCP, *ends, raw[start + header : end], segment, raw)


@lru_cache(maxsize=4096)
def text(packed: bytes) -> str:
    """An address as text from its 4 or 16 bytes."""
    return str(ip_address(packed))


_Found = tuple[int, int, int, bytes, bytes]
"""The protocol, where its header begins, where the packet ends, source and destination."""


def _ipv4(raw: bytes) -> _Found:
    header = (raw[0] & 15) << 2
    if len(raw) < 20 or header < 20:
        raise ValueError("less than an IPv4 header")
    total = int.from_bytes(raw[2:4], "big")
    if not header <= total <= len(raw):
        raise ValueError("an IPv4 length that is not its packet's")
    if int.from_bytes(raw[6:8], "big") & 0x3FFF:
        raise ValueError("a fragment")
    return raw[9], header, total, raw[12:16], raw[16:20]


def _ipv6(raw: bytes) -> _Found:
    if len(raw) < 40:
        raise ValueError("less than an IPv6 header")
    end = 40 + int.from_bytes(raw[4:6], "big")
    if end > len(raw):
        raise ValueError("an IPv6 length that is not its packet's")
    protocol, at = raw[6], 40
    while protocol in _EXTENSIONS or protocol == _FRAGMENT:
        if end - at < 8:
            raise ValueError("less than an extension header")
        if protocol == _FRAGMENT and int.from_bytes(raw[at + 2 : at + 4], "big") & 0xFFF9:
            raise ValueError("a fragment")
        length = 8 if protocol == _FRAGMENT else 8 + 8 * raw[at + 1]
        protocol, at = raw[at], at + length
    if at > end:
        raise ValueError("an extension header that is longer than its packet")
    return protocol, at, end, raw[8:24], raw[24:40]
