"""RTP packets with a header extension, sealed as SRTP looks: random payload, ten-byte tag.

The header is RFC 3550 5.1 and 5.3.1.  An outsider sees SRTP's shape under a key of one trial; a
forged or stray packet does not open.  What seals is AES-GCM, as in RFC 7714, for speed: hundreds of
calls at once share one core.  Inside travels a `Frame`: what the two ends need to judge the media.
It refuses to know codecs.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER = 12
TAG = 10
"""Bytes that a sealed packet is longer than its header and payload."""
KEY = 16
SPARE = 6
"""Zeros at the end of a payload: GCM's tag has 16 bytes, and the first six take their place."""
_KEYS = 4096


class Header(msgspec.Struct, frozen=True, gc=False):
    """The fixed header and one extension: `profile` 16 bits, `extension` whole 32-bit words."""

    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    marker: bool = False
    profile: int = 0
    extension: bytes = b""

    def pack(self) -> bytes:
        """The bytes, with the extension bit set."""
        return (
            struct.pack(
                "!BBHIIHH",
                0x90,
                self.marker << 7 | self.payload_type,
                self.seq & 0xFFFF,
                self.timestamp & 0xFFFFFFFF,
                self.ssrc,
                self.profile,
                len(self.extension) // 4,
            )
            + self.extension
        )


def unpack(data: bytes) -> tuple[Header, bytes]:
    """The header and what follows it.

    Raises ValueError for anything but RTP version 2 with an extension, no padding and no CSRCs.
    """
    if len(data) < HEADER + 4 or data[0] != 0x90:
        raise ValueError("not RTP with an extension")
    _, second, seq, timestamp, ssrc, profile, words = struct.unpack_from("!BBHIIHH", data)
    start = HEADER + 4 + words * 4
    if len(data) < start:
        raise ValueError("RTP extension cut short")
    extension = data[HEADER + 4 : start]
    header = Header(
        second & 0x7F, seq, timestamp, ssrc, bool(second & 0x80), profile, bytes(extension)
    )
    return header, data[start:]


def body(data: bytes) -> bytes:
    """What a packet carries, whatever its header has: extension, CSRCs, padding (RFC 3550 5.1).

    Raises ValueError for what is no RTP version 2, or is RTCP (RFC 5761 4).
    """
    if len(data) < HEADER or data[0] >> 6 != 2 or 64 <= data[1] & 0x7F <= 95:
        raise ValueError("not RTP")
    start, end = HEADER + 4 * (data[0] & 0x0F), len(data)
    if data[0] & 0x10:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    if data[0] & 0x20:
        end -= data[-1]
    if not HEADER <= start <= end:
        raise ValueError("RTP header cut short")
    return data[start:end]


def seal(header: Header, payload: bytes, key: bytes) -> bytes:
    """Header, encrypted payload, tag.  `key` has KEY bytes; no two headers may be the same.

    Raises ValueError for a payload that does not end in SPARE zeros.
    """
    if payload[-SPARE:] != _ZEROS:
        raise ValueError(f"the last {SPARE} bytes are the tag's")
    head = header.pack()
    return head + _cipher(key).encrypt(_nonce(head), payload[:-SPARE], head)


def unseal(data: bytes, key: bytes) -> tuple[Header, bytes]:
    """The header and the payload.  Raises ValueError for what was not sealed under `key`."""
    header, sealed = unpack(data)
    head = data[: len(data) - len(sealed)]
    try:
        return header, _cipher(key).decrypt(_nonce(head), sealed, head) + _ZEROS
    except InvalidTag:
        raise ValueError("RTP packet not authentic") from None


_ZEROS = bytes(SPARE)
_cipher = lru_cache(_KEYS)(AESGCM)


def _nonce(head: bytes) -> bytes:
    """12 bytes that no two headers share: number, timestamp, SSRC."""
    return head[2:HEADER] + b"\0\0"


# ------------------------------------------------------------------ what travels inside

_FRAME = struct.Struct("!IQIiIIQIHHH")
_UNKNOWN = 0
_LATEST = 1 << 62
_MOST = 0xFFFF
MICRO = 1_000_000


class Frame(NamedTuple):
    """A packet's number and sending time, and what its sender heard of the other end's stream.

    `sent_at` and `echo` are seconds of the respective sender's clock, `jitter`, `gap` and `held`
    seconds; `highest` is -1 and `echo` None before anything was heard.  `late`, `burst` and
    `bursts` are as in `circumtest.ear.Ear`.
    """

    seq: int
    sent_at: float
    received: int
    highest: int
    jitter: float
    gap: float
    echo: float | None
    held: float
    late: int = 0
    burst: int = 0
    bursts: int = 0

    @classmethod
    def silent(cls, seq: int, sent_at: float) -> "Frame":
        """A frame that reports nothing: a caller's, who judges himself what came down."""
        return cls(seq, sent_at, 0, -1, 0.0, 0.0, None, 0.0)

    def pack(self, size: int) -> bytes:
        """`size` bytes (at least 46): the fields, times in microseconds, then zeros."""
        return _FRAME.pack(
            self.seq,
            _micros(self.sent_at, _LATEST),
            self.received,
            self.highest,
            _micros(self.jitter),
            _micros(self.gap),
            _UNKNOWN if self.echo is None else _micros(self.echo, _LATEST),
            _micros(self.held),
            min(self.late, _MOST),
            min(self.burst, _MOST),
            min(self.bursts, _MOST),
        ).ljust(size, b"\0")

    @classmethod
    def unpack(cls, data: bytes) -> "Frame":
        """The frame at the start of a payload.  Raises ValueError when it is too short."""
        if len(data) < _FRAME.size:
            raise ValueError("media frame cut short")
        seq, sent_at, received, highest, jitter, gap, echo, held, *losses = _FRAME.unpack_from(data)
        return cls(
            seq,
            sent_at / MICRO,
            received,
            highest,
            jitter / MICRO,
            gap / MICRO,
            None if echo == _UNKNOWN else echo / MICRO,
            held / MICRO,
            *losses,
        )


def _micros(seconds: float, most: int = 0xFFFFFFFF) -> int:
    """Within the field: clocks that disagree must not be able to stop anything."""
    return min(max(round(seconds * MICRO), 0), most)
