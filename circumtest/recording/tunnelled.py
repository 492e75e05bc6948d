"""What hides all that it carries, in a recording: WireGuard, QUIC, IPsec over UDP.

Types, versions and sizes stay, which is what they are recognised by; all else is random bytes.  It
refuses to call that a call: an import has to ask for it.
Sources: WireGuard's paper 5.4, RFC 9000 17.2, RFC 7296 3.1, RFC 3948 2.
"""

from circumtest.recording import Kind
from circumtest.recording.sheet import Sheet

_INITIATION, _RESPONSE, _COOKIE, _DATA = 1, 2, 3, 4
_SIZES = {_INITIATION: (148, 148), _RESPONSE: (92, 92), _COOKIE: (64, 64), _DATA: (32, 65535)}
_VERSIONS = (b"\x00\x00\x00\x01", b"\x6b\x33\x43\xcf")
_LONG, _SHORT = 0xC0, 0x40
_IKE_HEADER = 28
_IKE_VERSIONS = (0x10, 0x20)


def wireguard(sheet: Sheet, start: int, end: int) -> bool:
    """One of WireGuard's four messages."""
    data, size = sheet.data, end - start
    least, most = _SIZES.get(data[start], (1, 0))
    if not least <= size <= most or any(data[start + 1 : start + 4]):
        return False
    sheet.draw(start + 4, 4, "i")
    if data[start] == _RESPONSE:
        sheet.draw(start + 8, 4, "i")
        sheet.mark(start + 12, 64, Kind.RANDOM)
        sheet.draw(start + 76, 16)
    elif data[start] == _INITIATION:
        sheet.mark(start + 8, 124, Kind.RANDOM)
        sheet.draw(start + 132, 16)
    else:  # data is numbered from 0 in every session
        begin = 16 if data[start] == _DATA else 8
        sheet.mark(start + begin, size - begin, Kind.RANDOM)
    sheet.seen("WireGuard")
    return True


def quic(sheet: Sheet, start: int, end: int) -> bool:
    """A QUIC packet; one with a short header by its company only."""
    data, size = sheet.data, end - start
    if data[start] & _LONG == _SHORT and sheet.book.labels["QUIC"]:
        sheet.mark(start + 1, size - 1, Kind.RANDOM)
    elif size >= 7 and data[start] & _LONG == _LONG and data[start + 1 : start + 5] in _VERSIONS:
        at = start + 5
        for _ in range(2):
            length = data[at] if at < end else 0
            if length > 20 or at + 1 + length >= end:
                return False
            sheet.draw(at + 1, length, "x")
            at += 1 + length
        sheet.mark(at, end - at, Kind.RANDOM)
    else:
        return False
    sheet.seen("QUIC")
    return True


def ike(sheet: Sheet, start: int, end: int) -> bool:
    """IKE, with or without the marker of port 4500; beside it, what is encrypted with its keys."""
    for at in (start, start + 4):
        marker = not any(sheet.data[start:at])
        whole = int.from_bytes(sheet.data[at + 24 : at + _IKE_HEADER]) == end - at
        if end - at >= _IKE_HEADER and marker and whole and sheet.data[at + 17] in _IKE_VERSIONS:
            sheet.draw(at, 8, "y")
            sheet.draw(at + 8, 8, "y")
            sheet.mark(at + _IKE_HEADER, end - at - _IKE_HEADER, Kind.RANDOM)
            sheet.seen("IPsec")
            return True
    if not sheet.book.labels["IPsec"]:
        return False
    if end - start > 1:
        sheet.mark(start, end - start, Kind.RANDOM)
    sheet.seen("IPsec")
    return True
