"""Sound, and the reflectors and greetings around it, in a recording.

RTP is known by version 2, one SSRC and growing numbers; Telegram's reflectors by the run of ff
behind a tag; Discord's and WhatsApp's small packets by what they are.  It refuses to guess from a
single packet whether something is RTP.
Sources: RFC 3550 5.1 and 6.4, RFC 5761 4; TelegramMessenger/tgcalls v2/ReflectorPort.cpp and
grishka/libtgvoip VoIPController.cpp (read 2026-11); captures of Discord and WhatsApp calls.
"""

from itertools import pairwise

from circumtest.recording import Kind
from circumtest.recording.sheet import Book, Sheet

ENOUGH = 3
"""Packets of one source, in order, that make it RTP."""
_STEP = 1000
_ORDERLY = 0.8
_ONES = b"\xff" * 12
_HELLO, _SELF_INFO, _PEER_REQUEST = b"\xfe\xff\xff\xff", b"\xc7\x72\x15\xc0", b"\xff" * 4
_NOBODY = bytes(10) + b"\xff\xff\xc0\x00\x02\x01" + (40000).to_bytes(4, "little")
"""An address for documentation as self info has it, and a port."""
_PREAMBLE = b"\xee" * 4
_MAX_PACKET = 4096
_DISCORD = {b"\x00\x01\x00\x46": False, b"\x00\x02\x00\x46": True}


def rtp(sheet: Sheet, start: int, end: int) -> bool:
    """RTP and RTCP, sealed or not."""
    data, size = sheet.data, end - start
    if size < 8 or data[start] >> 6 != 2:
        return False
    if 192 <= data[start + 1] <= 223:
        words = int.from_bytes(data[start + 2 : start + 4])
        if (words + 1) * 4 > size:
            return False
        sheet.draw(start + 4, 4, "s")
        sheet.mark(start + 8, size - 8, Kind.RANDOM)
        sheet.seen("RTCP")
        return True
    body = _body(data, start, end)
    if body is None:
        return False
    source = bytes(data[start + 8 : start + 12])
    if sheet.book.survey:
        numbers = sheet.book.sources.setdefault((sheet.client, source), [])
        numbers.append(int.from_bytes(data[start + 2 : start + 4]))
    elif not _orderly(sheet.book, (sheet.client, source)):
        return False
    name = sheet.book.name("s", Kind.RANDOM, source)
    sheet.count(start + 2, 2, f"q{name}{'c' if sheet.client else 's'}")
    sheet.count(start + 4, 4, f"z{name}{'c' if sheet.client else 's'}")
    sheet.draw(start + 8, 4, "s")
    sheet.mark(body, end - body, Kind.RANDOM)
    sheet.seen("RTP")
    return True


def _body(data: bytearray, start: int, end: int) -> int | None:
    """Where the payload begins; None where there is no whole header.

    Where the extension's length is absurd it is sealed as well (Discord does that).
    """
    body = start + 12 + 4 * (data[start] & 15)
    if data[start] & 0x10:
        after = body + 4 + 4 * int.from_bytes(data[body + 2 : body + 4])
        body = after if after <= end else body
    return body if body <= end and end - start >= 12 else None


def _orderly(book: Book, source: tuple[bool, bytes]) -> bool:
    numbers = book.sources.get(source, [])
    steps = [(two - one) % 65536 for one, two in pairwise(numbers)]
    good = sum(0 < step < _STEP for step in steps)
    return len(numbers) >= ENOUGH and good >= _ORDERLY * len(steps)


# ------------------------------------------------------------------ Telegram's reflectors


def reflector(sheet: Sheet, start: int, end: int) -> tuple[int, int] | None:
    """A packet of Telegram's reflectors: what it carries, from where to where; None for no such."""
    data, size = sheet.data, end - start
    tag = bytes(data[start : start + 16])
    carried = (end, end)
    if size >= 32 and data[start + 16 : start + 28] == _ONES:
        _greeting(sheet, start, end)
        sheet.book.tags |= {tag, tag[1:12]}
    elif size == 20 and not any(data[start + 16 : end]) and sheet.book.labels["reflector, TCP"]:
        sheet.book.tags.add(tag[1:12])
    elif size >= 24 and tag[1:12] in sheet.book.tags and 0 <= size - 24 - _length(data, start) <= 3:
        sheet.draw(start + 16, 4, "o", Kind.PLAIN)
        carried = (start + 24, start + 24 + _length(data, start))
    elif size > 16 and tag in sheet.book.tags:
        carried = (start + 16, end)
    else:
        return None
    # The first byte stays: it says who calls whom, and is what others take for a packet's type.
    sheet.draw(start + 1, 11, "g", Kind.PLAIN)
    sheet.draw(start + 12, 4, "o", Kind.PLAIN)
    sheet.seen("Telegram reflector")
    return carried


def _length(data: bytearray, start: int) -> int:
    """Of what a packet says that it carries."""
    return int.from_bytes(data[start + 20 : start + 24])


def _greeting(sheet: Sheet, start: int, end: int) -> None:
    """What stands behind the ones: a hello, what the reflector knows of us, or of the peer."""
    kind, size = bytes(sheet.data[start + 28 : start + 32]), end - start
    if kind == _HELLO and size == 40:
        _query(sheet, start + 32)
    elif kind == _SELF_INFO and size == 64:
        sheet.draw(start + 32, 4)
        _query(sheet, start + 36)
        sheet.write(start + 44, _NOBODY)
    elif kind != _PEER_REQUEST:
        sheet.draw(start + 32, size - 32)


def _query(sheet: Sheet, offset: int) -> None:
    if any(sheet.data[offset : offset + 7]):  # in tgcalls v2 it is 123, always
        sheet.draw(offset, 8, "q")


def reflector_stream(sheet: Sheet) -> list[tuple[int, int]] | None:
    """The packets in one direction of a stream to a reflector; None for another stream."""
    data, at = sheet.data, 0
    if sheet.client:
        if bytes(data[:8]) != _PREAMBLE + b"\x14\0\0\0" or any(data[24:28]):
            return None
        sheet.seen("reflector, TCP")
        at = 4
    elif not sheet.book.labels["reflector, TCP"]:
        return None
    found = []
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if size > _MAX_PACKET:
            return None
        found.append((at + 4, min(at + 4 + size, len(data))))
        at += 4 + size
    return found


# ------------------------------------------------------------------ small packets


def discord(sheet: Sheet, start: int, end: int) -> bool:
    """Discord's address discovery, and its keep-alive."""
    data, size = sheet.data, end - start
    if size == 8 and data[start : start + 4] == b"\x13\x37\xca\xfe":
        sheet.seen("Discord")
        return True
    told = _DISCORD.get(bytes(data[start : start + 4]))
    if size != 74 or told is None:
        return False
    sheet.draw(start + 4, 4, "s")
    if told:
        sheet.write(start + 8, b"192.0.2.1".ljust(64, b"\0") + (40000).to_bytes(2))
    else:
        sheet.draw(start + 8, 66)
    sheet.seen("Discord")
    return True


def whatsapp_words(sheet: Sheet, start: int, end: int) -> bool:
    """The two words by which WhatsApp's clients of 2019 kept a relay awake."""
    known = bytes(sheet.data[start:end]) in (b"health", b"OK")
    if known:
        sheet.seen("WhatsApp")
    return known
