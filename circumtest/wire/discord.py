"""Discord's voice packets: IP discovery, the keep-alive, and the head of its sound.

Captured in 2022: all of discovery and the keep-alive, and of RTP the first byte, payload type,
profile and clock.  It refuses to know what is inside sound, which has been sealed end to end since.
"""

import struct
from ipaddress import ip_address

from circumtest.wire import rtp

SIZE = 74
_ASK, _ANSWER = 1, 2
_LENGTH = SIZE - 4
_HOST = 64
_CAFE = bytes.fromhex("1337cafe")
KEEP_ALIVE_SIZE = 8

PAYLOAD_TYPE = 120
PROFILE = 0xBEDE
STEP = 960
"""RTP clock ticks in 20 ms at 48 kHz."""


def ask(ssrc: int, tail: int) -> bytes:
    """An IP discovery request; `tail` stands where the answer has the port, and may be junk."""
    return struct.pack("!HHI64xH", _ASK, _LENGTH, ssrc, tail)


def parse_ask(data: bytes) -> tuple[int, int]:
    """The SSRC and the tail.  Raises ValueError for anything else."""
    if len(data) != SIZE or data[:4] != struct.pack("!HH", _ASK, _LENGTH) or any(data[8:72]):
        raise ValueError("not a request for IP discovery")
    return int.from_bytes(data[4:8]), int.from_bytes(data[72:])


def answer(ssrc: int, host: str, port: int) -> bytes:
    """The answer: the address as text, zeros up to 64 bytes, the port."""
    return struct.pack("!HHI64sH", _ANSWER, _LENGTH, ssrc, host.encode(), port)


def is_answer(data: bytes, ssrc: int) -> bool:
    """Whether it answers the request for that SSRC, well or not."""
    return data[:2] == _ANSWER.to_bytes(2) and data[4:8] == ssrc.to_bytes(4)


def parse_answer(data: bytes) -> tuple[str, int]:
    """(host, port).  Raises ValueError when there is no address in it."""
    if len(data) != SIZE or data[:4] != struct.pack("!HH", _ANSWER, _LENGTH):
        raise ValueError("not an answer of IP discovery")
    text, _, rest = data[8 : 8 + _HOST].partition(b"\0")
    if any(rest) or b"%" in text:
        raise ValueError("IP discovery's address does not end")
    # UnicodeDecodeError is a ValueError, too.
    return str(ip_address(text.decode("ascii"))), int.from_bytes(data[72:])


def keep_alive(number: int) -> bytes:
    """Eight bytes, sent back as they are; numbers begin with 1."""
    return _CAFE + struct.pack("<I", number & 0xFFFFFFFF)


def parse_keep_alive(data: bytes) -> int:
    """Its number.  Raises ValueError for anything else."""
    if len(data) != KEEP_ALIVE_SIZE or not data.startswith(_CAFE):
        raise ValueError("not a keep-alive")
    return int.from_bytes(data[4:], "little")


def header(seq: int, ssrc: int, extension: bytes) -> rtp.Header:
    """What sound begins with; the four bytes of `extension` are sealed in the captures."""
    return rtp.Header(PAYLOAD_TYPE, seq, seq * STEP, ssrc, profile=PROFILE, extension=extension)
