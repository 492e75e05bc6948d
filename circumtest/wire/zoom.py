"""Zoom's packets: STUN without the cookie, the opening of a media flow, what sound begins with.

Captured: the 44-byte request and its 32-byte answer whole; of the opening of media the sizes
107, 35 and 13 and the bytes named here.  Read in a published dissector (Princeton's zoom-analysis,
2022): what stands before the RTP of sound.  What fills the rest is the callers' to say; it refuses
to know.  Addresses are (host, port).
"""

import struct
from ipaddress import ip_address

from circumtest.wire import rtp

ASK, ANSWER = 0x0001, 0x0002
TID = 16
ASK_SIZE = 44
_TEXT = b"1234567890123456789\0"
_SAID, _SEEN = 0x0101, 0x0103
_HEAD = 20
_FAMILIES = {1: 4, 2: 16}

OPENING, OPENED, GO, GONE = 1, 2, 3, 4
"""First bytes of the four packets that open a media flow."""
HEADS = {
    OPENING: b"\x01\x00\x02\x7dFM5",
    OPENED: b"\x02\x00\x01\x7d",
    GO: b"\x03",
    GONE: b"\x04",
}
SIZES = {OPENING: 107, OPENED: 35, GO: 13, GONE: 13}

_FORWARDED, _AUDIO = 5, 15
_OUTER = struct.Struct("!BH4xB")
_INNER = struct.Struct("!B8xHI4x")
_DIRECTIONS = {True: 0, False: 4}
FRONT = _OUTER.size + _INNER.size
"""Bytes before the RTP of sound: 8 and 19."""


def ask(tid: bytes) -> bytes:
    """The request: `tid` is 16 bytes, for the cookie is not there."""
    return struct.pack("!HH", ASK, 4 + len(_TEXT)) + tid + struct.pack("!HH", _SAID, 20) + _TEXT


def parse_ask(data: bytes) -> bytes:
    """The transaction id.  Raises ValueError for anything but the captured request."""
    tid = data[4:_HEAD]
    if len(data) != ASK_SIZE or data != ask(tid):
        raise ValueError("not Zoom's binding request")
    return tid


def answer(tid: bytes, host: str, port: int) -> bytes:
    """The answer, 32 bytes.  The form for IPv6, 44 bytes, is RFC 3489's and in no capture."""
    packed = ip_address(host).packed
    value = struct.pack("!HH", 1 if len(packed) == 4 else 2, port) + packed
    head = struct.pack("!HH", ANSWER, 4 + len(value)) + tid
    return head + struct.pack("!HH", _SEEN, len(value)) + value


def is_answer(data: bytes, tid: bytes) -> bool:
    """Whether it answers that transaction, well or not."""
    return data[:2] == ANSWER.to_bytes(2) and data[4:_HEAD] == tid


def parse_answer(data: bytes) -> tuple[str, int]:
    """The address that was seen.  Raises ValueError when it is not an answer of one attribute."""
    if len(data) < _HEAD + 8:
        raise ValueError("not Zoom's binding answer: size")
    kind, length = struct.unpack_from("!HH", data)
    name, size, family, port = struct.unpack_from("!HHHH", data, _HEAD)
    packed = data[_HEAD + 8 :]
    if (kind, length, name, size) != (ANSWER, len(data) - _HEAD, _SEEN, length - 4):
        raise ValueError("not Zoom's binding answer")
    if _FAMILIES.get(family) != len(packed):
        raise ValueError("Zoom's binding answer names no address")
    return str(ip_address(packed)), port


# ------------------------------------------------------------------ media


def pack(kind: int, body: bytes) -> bytes:
    """One of the four packets that open a media flow; `body` fills it to its size."""
    data = HEADS[kind] + body
    if len(data) != SIZES[kind]:
        raise ValueError(f"{len(body)} bytes do not fill a packet {kind}")
    return data


def unpack(data: bytes) -> tuple[int, bytes]:
    """Which of the four it is, and its body.  Raises ValueError for anything else."""
    kind = data[0] if data else 0
    head = HEADS.get(kind)
    if head is None or len(data) != SIZES[kind] or not data.startswith(head):
        raise ValueError("opens no media flow of Zoom's")
    return kind, data[len(head) :]


def wrap(packet: bytes, *, upwards: bool) -> bytes:
    """An RTP packet of sound as the media server forwards it.  The fields nobody knows are 0.

    Both heads number packets, the inner one has a time: here they are the RTP's own.
    """
    header, _ = rtp.unpack(packet)
    outer = _OUTER.pack(_FORWARDED, header.seq, _DIRECTIONS[upwards])
    return outer + _INNER.pack(_AUDIO, header.seq, header.timestamp) + packet


def unwrap(data: bytes, *, upwards: bool) -> bytes:
    """The RTP packet.  Raises ValueError when it is not sound in that direction."""
    if len(data) < FRONT:
        raise ValueError("not Zoom's sound: size")
    outer, _, direction = _OUTER.unpack_from(data)
    if (outer, direction, data[_OUTER.size]) != (_FORWARDED, _DIRECTIONS[upwards], _AUDIO):
        raise ValueError("not Zoom's sound")
    return data[FRONT:]
