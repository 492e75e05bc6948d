"""RTP packets with a header extension, sealed as SRTP looks: random payload, ten-byte tag.

The header is RFC 3550 5.1 and 5.3.1.  The sealing has SRTP's shape (AES counter mode, truncated
HMAC-SHA1, RFC 3711 4) under a key of one trial, without SRTP's key derivation: an outsider sees
the same thing, and a forged or stray packet does not open.  Inside travels a `Frame`: what the two
ends need to judge the media.  It refuses to know codecs.
"""

import hmac
import struct
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HEADER = 12
TAG = 10
KEY = 36
"""Bytes of key material: 16 for the cipher, 20 for the tag."""


@dataclass(frozen=True, slots=True)
class Header:
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


def seal(header: Header, payload: bytes, key: bytes) -> bytes:
    """Header, encrypted payload, tag.  `key` has KEY bytes; no two headers may be the same."""
    head = header.pack()
    body = head + _crypt(header, payload, key)
    return body + _tag(body, key)


def unseal(data: bytes, key: bytes) -> tuple[Header, bytes]:
    """The header and the payload.  Raises ValueError for what was not sealed under `key`."""
    header, rest = unpack(data)
    if len(rest) < TAG or not hmac.compare_digest(data[-TAG:], _tag(data[:-TAG], key)):
        raise ValueError("RTP packet not authentic")
    return header, _crypt(header, rest[:-TAG], key)


def _tag(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key[16:KEY], data, "sha1")[:TAG]


def _crypt(header: Header, payload: bytes, key: bytes) -> bytes:
    counter = struct.pack(
        "!IIHHI", header.ssrc, header.timestamp & 0xFFFFFFFF, header.seq & 0xFFFF, 0, 0
    )
    cipher = Cipher(algorithms.AES128(key[:16]), modes.CTR(counter)).encryptor()
    return cipher.update(payload) + cipher.finalize()


# ------------------------------------------------------------------ what travels inside

_FRAME = struct.Struct("!IQIiIIQI")
_UNKNOWN = 0
_LATEST = 1 << 62
MICRO = 1_000_000


class Frame(NamedTuple):
    """A packet's number and sending time, and what its sender heard of the other end's stream.

    `sent_at` and `echo` are seconds of the respective sender's clock, `jitter`, `gap` and `held`
    seconds; `highest` is -1 and `echo` None before anything was heard.
    """

    seq: int
    sent_at: float
    received: int
    highest: int
    jitter: float
    gap: float
    echo: float | None
    held: float

    def pack(self, size: int) -> bytes:
        """`size` bytes (at least 40): the fields, times in microseconds, then zeros."""
        micros = (_micros(self.jitter), _micros(self.gap))
        echo = _UNKNOWN if self.echo is None else _micros(self.echo, _LATEST)
        return _FRAME.pack(
            self.seq,
            _micros(self.sent_at, _LATEST),
            self.received,
            self.highest,
            *micros,
            echo,
            _micros(self.held),
        ).ljust(size, b"\0")

    @classmethod
    def unpack(cls, data: bytes) -> "Frame":
        """The frame at the start of a payload.  Raises ValueError when it is too short."""
        if len(data) < _FRAME.size:
            raise ValueError("media frame cut short")
        seq, sent_at, received, highest, jitter, gap, echo, held = _FRAME.unpack_from(data)
        return cls(
            seq,
            sent_at / MICRO,
            received,
            highest,
            jitter / MICRO,
            gap / MICRO,
            None if echo == _UNKNOWN else echo / MICRO,
            held / MICRO,
        )


def _micros(seconds: float, most: int = 0xFFFFFFFF) -> int:
    """Within the field: clocks that disagree must not be able to stop anything."""
    return min(max(round(seconds * MICRO), 0), most)
