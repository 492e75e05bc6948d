"""What messengers say over TCP, in a recording: MTProto's framings, WhatsApp's Noise.

Introductions, lengths and the names of unencrypted messages stay; nonces, keys and everything
encrypted are random bytes.  It refuses to see through obfuscation: such a stream is not known.
Sources: MTProto's transports (core.telegram.org, read 2026-11); whatsmeow socket/ (2026).
"""

from collections.abc import Iterator

from circumtest.recording import Kind
from circumtest.recording.sheet import Sheet

_PLAIN_HEAD = 24
"""Bytes of an unencrypted message up to its constructor's end: key id, message id, length, name."""
_ED = b"ED\x00\x01"
_WA = b"WA"


def mtproto(sheet: Sheet) -> bool:
    """One direction of a stream in one of the open framings."""
    framing = _framing(sheet)
    if framing is None:
        return False
    messages = list(_messages(sheet, framing))
    if not messages:
        return bool(sheet.client and framing == "abridged" and len(sheet.data) == 1)
    for start, end in messages:
        _message(sheet, start, end)
    sheet.seen("MTProto", len(messages))
    return True


def _framing(sheet: Sheet) -> str | None:
    """By the client's first bytes; the server's side is framed alike."""
    data, labels = sheet.data, sheet.book.labels
    if not sheet.client:
        found = (name.partition(": ")[2] for name in labels if name.startswith("framing: "))
        return next(found, None)
    framing = None
    if data[:1] == b"\xef":
        framing = "abridged"
    elif data[:4] in (b"\xee" * 4, b"\xdd" * 4):
        framing = "intermediate"
    elif len(data) >= 20 and not any(data[4:16]) and data[0] >= 32 and not any(data[1:4]):
        framing = "full"
    if framing:
        labels[f"framing: {framing}"] += 1
    return framing


def _messages(sheet: Sheet, framing: str) -> Iterator[tuple[int, int]]:
    """From where to where each message goes; what does not fit is drawn."""
    data, end = sheet.data, len(sheet.data)
    at = {"abridged": 1, "intermediate": 4, "full": 0}[framing] if sheet.client else 0
    while at + 4 <= end:
        if framing == "abridged":
            long = data[at] & 0x7F == 0x7F
            size = 4 * (int.from_bytes(data[at + 1 : at + 4], "little") if long else data[at])
            start, stop = at + (4 if long else 1), at + (4 if long else 1) + size
            after = stop
        else:
            size = int.from_bytes(data[at : at + 4], "little")
            full = framing == "full"
            start, stop = at + (8 if full else 4), at + (size - 4 if full else size + 4)
            after = stop + 4 * full
        if stop <= start or after > end:
            break
        yield start, stop
        sheet.mark(stop, after - stop, Kind.RANDOM)
        at = after
    if at < end:
        sheet.mark(at, end - at, Kind.RANDOM)


def _message(sheet: Sheet, start: int, end: int) -> None:
    if end - start < _PLAIN_HEAD or any(sheet.data[start : start + 8]):
        sheet.mark(start, end - start, Kind.RANDOM)
        return
    sheet.draw(start + 8, 8)
    if end - start >= _PLAIN_HEAD + 16:
        sheet.draw(start + _PLAIN_HEAD, 16, "n")  # the nonce, which is said again
        sheet.mark(start + _PLAIN_HEAD + 16, end - start - _PLAIN_HEAD - 16, Kind.RANDOM)
    else:
        sheet.mark(start + _PLAIN_HEAD, end - start - _PLAIN_HEAD, Kind.RANDOM)


def noise(sheet: Sheet) -> bool:
    """WhatsApp's stream: perhaps edge routing, the introduction, frames with 3 bytes of length."""
    data, at = sheet.data, 0
    if sheet.client:
        if bytes(data[:4]) == _ED:
            at = 7 + int.from_bytes(data[4:7])
        if bytes(data[at : at + 2]) != _WA:
            return False
        at += 4
    elif not sheet.book.labels["WhatsApp"]:
        return False
    known = 4  # of the first message: which it is, and its first key's field
    while at + 3 <= len(data):
        size = int.from_bytes(data[at : at + 3])
        stop = min(at + 3 + size, len(data))
        begin = min(at + 3 + known, stop)
        sheet.mark(begin, stop - begin, Kind.RANDOM)
        at, known = stop, 0
    if at < len(data):
        sheet.mark(at, len(data) - at, Kind.RANDOM)
    sheet.seen("WhatsApp")
    return True
