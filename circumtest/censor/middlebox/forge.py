"""What a censor sends itself, as bytes: resets, ICMP errors, a datagram in another's name.

A whole IP packet where it pretends to be from somebody else; of ICMP errors, which a router sends
in its own name, what follows the IP header.  It refuses to send anything.
"""

import struct
from collections.abc import Iterator

from circumtest.censor.middlebox.datagram import ACK, RST, Datagram, Segment
from circumtest.model import Address, Transport

_TTL = 64
_PROTOCOLS = {Transport.TCP: 6, Transport.UDP: 17}
_QUOTED = {4: 576 - 20 - 8, 6: 1280 - 40 - 8}
"""Bytes of the packet that an ICMP error quotes (RFC 1812 4.3.2.3, RFC 4443 2.4 c)."""
_UNREACHABLE = {4: (3, 3, 13), 6: (1, 4, 1)}
"""Type, codes of "port unreachable", "administratively prohibited" (RFC 792, 1812, 4443)."""


def resets(met: Datagram, *, passed: bool) -> Iterator[tuple[Address, bytes]]:
    """The resets for both ends, each as from the other: whom it is for, and the IP packet.

    `passed`: the packet that was met is on its way, so its receiver expects what follows it.  A
    reset is believed when its number is exactly the next one expected (RFC 5961 3.2).
    Nothing follows a reset, and nothing answers a datagram in this way.
    """
    segment = met.segment
    if segment is None or segment.flags & RST:
        return
    after = segment.after(len(met.payload))
    onwards = after if passed else segment.seq
    # Who has not been answered yet believes a reset by what it acknowledges (RFC 9293 3.10.7.3).
    back = Segment(segment.ack if segment.flags & ACK else 0, after, RST | ACK)
    yield met.source, _stream(met.destination, met.source, back)
    there = Segment(onwards, segment.ack, segment.flags & ACK | RST)
    yield met.destination, _stream(met.source, met.destination, there)


def unreachable(met: Datagram, *, admin: bool) -> bytes:
    """The ICMP or ICMPv6 error for the packet's sender, without an IP header.

    ICMPv6's checksum is 0: the kernel fills it in, since it is over addresses of its choice.
    """
    version = met.source.version
    kind, port, prohibited = _UNREACHABLE[version]
    quoted = met.raw[: _QUOTED[version]]
    head = struct.pack(">BBHL", kind, prohibited if admin else port, 0, 0)
    if version == 6:
        return head + quoted
    return head[:2] + checksum(head + quoted) + head[4:] + quoted


def answer(met: Datagram, payload: bytes) -> bytes:
    """A datagram to the packet's sender, as if its destination had sent it: the IP packet."""
    length = 8 + len(payload)
    head = struct.pack(">HHHH", met.destination.port, met.source.port, length, 0)
    pseudo = _pseudo(met.destination, met.source, Transport.UDP, length)
    # All zeros would mean "none was made" (RFC 768).
    summed = checksum(pseudo + head + payload).replace(b"\0\0", b"\xff\xff")
    body = head[:6] + summed + payload
    return _packet(met.destination, met.source, Transport.UDP, body)


def checksum(data: bytes) -> bytes:
    """RFC 1071: the complement of the ones' complement sum of 16-bit words, two bytes."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    complement: int = total ^ 0xFFFF
    return complement.to_bytes(2, "big")


def _stream(source: Address, destination: Address, segment: Segment) -> bytes:
    """A TCP packet without payload and options."""
    head = struct.pack(
        ">HHLLBBHHH",
        source.port,
        destination.port,
        segment.seq,
        segment.ack,
        5 << 4,
        segment.flags,
        0,
        0,
        0,
    )
    summed = checksum(_pseudo(source, destination, Transport.TCP, len(head)) + head)
    return _packet(source, destination, Transport.TCP, head[:16] + summed + head[18:])


def _pseudo(source: Address, destination: Address, transport: Transport, length: int) -> bytes:
    """What the checksums of TCP and UDP cover besides (RFC 9293 3.1, RFC 8200 8.1)."""
    protocol = _PROTOCOLS[transport]
    four = source.version == 4
    rest = struct.pack(">HH", protocol, length) if four else struct.pack(">LL", length, protocol)
    return source.packed + destination.packed + rest


def _packet(source: Address, destination: Address, transport: Transport, body: bytes) -> bytes:
    protocol = _PROTOCOLS[transport]
    if source.version == 6:
        head = struct.pack(">LHBB", 6 << 28, len(body), protocol, _TTL)
        return head + source.packed + destination.packed + body
    # Identification 0: the kernel fills it in, and the checksum (raw(7)); made all the same.
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, _TTL, protocol, 0)
    head += source.packed + destination.packed
    return head[:10] + checksum(head) + head[12:] + body
