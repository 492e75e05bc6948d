"""Sound as old telephones send it: G.711 mu-law, 20 ms a packet, plain RTP; marks inside the sound.

A mark is a packet's number and time under a key, written in codes of which a decoder and an encoder
in between make the same codes again.  So a far end that plays our own sound back to us says which
packets it heard, without knowing that it does.  Around the mark is a tone.  Headers are RFC 3550
5.1, codes ITU-T G.711.  It refuses to survive another codec: then no mark is found.
"""

import hmac
import struct
from collections.abc import Iterable
from typing import NamedTuple

from circumtest.wire.rtp import MICRO, Header

PAYLOAD_TYPE = 0
"""PCMU, 8000 Hz, one channel (RFC 3551 table 4)."""
SAMPLES = 160
"""20 ms; one byte each."""
CLOCK = 8000
SILENCE = b"\xff" * SAMPLES
_RTCP = range(192, 224)  # second bytes of what is none, should it share the port (RFC 5761 4)

_HEADER = struct.Struct("!BBHII")
_MARK = struct.Struct(">IQ")
_TAG = 6
_SYNC = b"\xd5\x55\xe3\x4b"
# 64 codes of middling loudness; 0x7f, which decodes to the same zero as 0xff, is none of them.
_CODES = bytes(range(0x40, 0x60)) + bytes(range(0xC0, 0xE0))
_VALUES = {code: value for value, code in enumerate(_CODES)}
MARK = len(_SYNC) + (_MARK.size + _TAG) * 8 // 6
"""Bytes of a mark: 28."""


def encode(sample: int) -> int:
    """The code of a 16-bit sample (G.711 table 2, as everybody implements it: bias 132)."""
    sign, size = (0, -sample) if sample < 0 else (0x80, sample)
    size = min(size, 32635) + 132
    exponent = size.bit_length() - 8
    return sign | (~(exponent << 4 | size >> exponent + 3 & 15) & 0x7F)


_WAVE = (0, 618, 1176, 1618, 1902, 2000, 1902, 1618, 1176, 618)
_TONE = bytes(encode(size * sign) for sign in (1, -1) for size in _WAVE) * (SAMPLES // 20)
"""400 Hz, eight whole waves, 24 dB below full scale."""


class Mark(NamedTuple):
    """A packet's number and its sender's clock, in seconds."""

    seq: int
    sent_at: float


def sound(mark: Mark, key: bytes) -> bytes:
    """20 ms of sound that carry `mark` under `key`."""
    body = _MARK.pack(mark.seq, round(mark.sent_at * MICRO))
    number = int.from_bytes(body + _tag(body, key))
    count = MARK - len(_SYNC)
    codes = bytes(_CODES[number >> 6 * place & 63] for place in reversed(range(count)))
    return _SYNC + codes + _TONE[MARK:]


def marks(sound: bytes, key: bytes) -> Iterable[Mark]:
    """The marks in any stretch of sound, wherever they begin."""
    at = -1
    while (at := sound.find(_SYNC, at + 1)) >= 0:
        codes = sound[at + len(_SYNC) : at + MARK]
        if len(codes) < MARK - len(_SYNC) or any(code not in _VALUES for code in codes):
            continue
        number = 0
        for code in codes:
            number = number << 6 | _VALUES[code]
        data = number.to_bytes(_MARK.size + _TAG)
        body = data[: _MARK.size]
        if hmac.compare_digest(data[_MARK.size :], _tag(body, key)):
            seq, micros = _MARK.unpack(body)
            yield Mark(seq, micros / MICRO)


def _tag(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_TAG]


# ------------------------------------------------------------------ packets


def pack(header: Header, payload: bytes) -> bytes:
    """A packet without extension, padding and CSRCs: it begins with `80`."""
    second = header.marker << 7 | header.payload_type
    stamp = header.timestamp & 0xFFFFFFFF
    return _HEADER.pack(0x80, second, header.seq & 0xFFFF, stamp, header.ssrc) + payload


def unpack(data: bytes) -> tuple[Header, bytes]:
    """Header and payload of any RTP packet (5.1, 5.3.1); extensions and CSRCs are read over.

    Raises ValueError for what is none, RTCP included.
    """
    if len(data) < _HEADER.size or data[0] >> 6 != 2 or data[1] in _RTCP:
        raise ValueError("not RTP")
    first, second, seq, stamp, ssrc = _HEADER.unpack_from(data)
    start, end = _HEADER.size + 4 * (first & 15), len(data)
    if first & 0x10:
        if len(data) < start + 4:
            raise ValueError("RTP extension cut short")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    if first & 0x20:
        end -= data[-1]
        if data[-1] == 0:
            raise ValueError("RTP padding of no length")
    if start > end:
        raise ValueError("RTP cut short")
    return Header(second & 0x7F, seq, stamp, ssrc, bool(second & 0x80)), data[start:end]
