"""Whether a stream begins with MTProto whose transport is not obfuscated, as onlookers see it.

Unlike `mtproto_transport`, which speaks it, this trusts nothing: whatever the framing, each payload
has to be a message, because the mark of an abridged stream alone is one in 256 of noise.  It
refuses to say anything of obfuscated streams, which have no bytes to be known by, and never raises.
Sources: core.telegram.org/mtproto/mtproto-transports and /mtproto/description.
"""

from collections.abc import Iterator
from zlib import crc32

from circumtest.wire.mtproto_transport import PREAMBLES, Framing

_MARKS = {PREAMBLES[framing]: framing for framing in Framing if PREAMBLES[framing]}
_PADDING = 15
"""Bytes at most behind a payload in the padded framing."""
_QUICK = 0x80
"""In a length: the client asks for a quick acknowledgement."""


def whole(stream: bytes) -> bool:
    """Whether what a client has sent from the first byte on are whole frames, one at least."""
    mark = next((mark for mark in _MARKS if stream.startswith(mark)), b"")
    match _MARKS.get(mark, Framing.FULL):
        case Framing.ABRIDGED:
            return _messages(_abridged(stream), 0)
        case Framing.INTERMEDIATE:
            return _messages(_counted(stream), 0)
        case Framing.PADDED:
            return _messages(_counted(stream), _PADDING)
        case Framing.FULL:
            return _messages(_full(stream), 0)


def _messages(payloads: Iterator[bytes | None], padding: int) -> bool:
    """Whether there are payloads, all of them messages with up to so many bytes after them."""
    found = 0
    for payload in payloads:
        if payload is None or not _is_message(payload, padding):
            return False
        found += 1
    return found > 0


def _is_message(payload: bytes, padding: int) -> bool:
    """Unencrypted, saying its length; or a key's id, a hash and whole blocks."""
    if payload[:8] == bytes(8):
        size = int.from_bytes(payload[16:20], "little")
        return size > 0 and 0 <= len(payload) - 20 - size <= padding
    return len(payload) >= 40 and (padding > 0 or (len(payload) - 24) % 16 == 0)


def _abridged(stream: bytes) -> Iterator[bytes | None]:
    """Payloads behind a byte, or 7f and three more, that count their words; None for a cut one."""
    at = 1
    while at < len(stream):
        words, at = stream[at] & ~_QUICK, at + 1
        if words == 0x7F:
            words, at = int.from_bytes(stream[at : at + 3], "little"), at + 3
        yield _cut(stream, at, words * 4)
        at += words * 4


def _counted(stream: bytes) -> Iterator[bytes | None]:
    """Payloads behind their length in four bytes."""
    at = 4
    while at < len(stream):
        size = int.from_bytes(stream[at : at + 4], "little") & ~(_QUICK << 24)
        yield _cut(stream, at + 4, size)
        at += 4 + size


def _full(stream: bytes) -> Iterator[bytes | None]:
    """Payloads between their length and number, from 0 on, and a checksum over all of it."""
    at = number = 0
    while at < len(stream):
        size = int.from_bytes(stream[at : at + 4], "little")
        frame = _cut(stream, at, size)
        if frame is None or frame[4:8] != number.to_bytes(4, "little") or size < 12:
            yield None
            return
        yield frame[8:-4] if crc32(frame[:-4]).to_bytes(4, "little") == frame[-4:] else None
        at, number = at + size, number + 1


def _cut(stream: bytes, at: int, size: int) -> bytes | None:
    return stream[at : at + size] if len(stream) >= at + size else None
