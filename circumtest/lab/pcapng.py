"""A capture's file in pcapng: several links in one, nanoseconds, directions, what was lost.

draft-ietf-opsawg-pcapng: a section header, an interface description a link, an enhanced packet
block a packet, interface statistics at the end.  All blocks are pure functions; it refuses to know
where packets come from.
"""

import struct
from collections.abc import Iterable

SNAPLEN = 262144
"""Bytes of a packet that are kept."""
_ETHERNET = 1
_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC = 0x1A2B3C4D
# Options by block (sections 3.1 and 4.2 to 4.5)
_SHB_USERAPPL, _IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 4, 2, 3, 9
_EPB_FLAGS, _ISB_IFRECV, _ISB_IFDROP = 2, 4, 5
_NANOSECONDS = 9
_INBOUND, _OUTBOUND = 1, 2


def header(program: str, links: Iterable[tuple[str, str]]) -> bytes:
    """How the file begins: `program` wrote it, and each link has a name and a description.

    Packets name links by their position, from 0 on.
    """
    head = struct.pack("<IHHq", _MAGIC, 1, 0, -1)
    blocks = [_block(_SECTION, head, [(_SHB_USERAPPL, program.encode())])]
    for name, description in links:
        options = [
            (_IF_NAME, name.encode()),
            (_IF_DESCRIPTION, description.encode()),
            (_IF_TSRESOL, bytes([_NANOSECONDS])),
        ]
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, SNAPLEN), options))
    return b"".join(blocks)


def packet(link: int, nanoseconds: int, frame: bytes, *, outbound: bool) -> bytes:
    """One packet: when since the Unix epoch, and whether it left by the link or came in by it."""
    high, low = nanoseconds >> 32, nanoseconds & 0xFFFFFFFF
    kept = frame[:SNAPLEN]
    fixed = struct.pack("<IIIII", link, high, low, len(kept), len(frame)) + _padded(kept)
    flags = struct.pack("<I", _OUTBOUND if outbound else _INBOUND)
    return _block(_PACKET, fixed, [(_EPB_FLAGS, flags)])


def statistics(link: int, nanoseconds: int, received: int, lost: int) -> bytes:
    """How many packets a link gave, and how many of all there was no room for; `lost` is a bound.

    The kernel counts lost ones by socket, which may have watched several links.
    """
    fixed = struct.pack("<III", link, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF)
    options = [(_ISB_IFRECV, struct.pack("<Q", received)), (_ISB_IFDROP, struct.pack("<Q", lost))]
    return _block(_STATISTICS, fixed, options)


def _block(kind: int, fixed: bytes, options: Iterable[tuple[int, bytes]]) -> bytes:
    body = fixed + b"".join(
        struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options
    )
    body += struct.pack("<HH", 0, 0)
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
