"""DTLS and TLS in a recording: what of their handshakes is the same in every call, and what not.

Hellos keep what fingerprints are made of: versions, ciphers, extensions and their order.  Randoms,
sessions, cookies, keys and names are fresh; certificates, signatures and everything encrypted are
random bytes of the same size.  It refuses to check any of it.
Sources: RFC 6347 4.1 and 4.2, RFC 5246 7.4, RFC 8446 4.1, RFC 9147 4.
"""

from circumtest.recording import Kind
from circumtest.recording.sheet import Sheet

_HANDSHAKE, _CHANGE, _ALERT = 22, 20, 21
_TYPES = range(20, 27)
_CLIENT_HELLO, _SERVER_HELLO, _VERIFY_REQUEST = 1, 2, 3
_CERTIFICATE_REQUEST, _SERVER_DONE = 13, 14
_SERVER_NAME, _TICKET, _KEY_SHARE = 0, 35, 51
_DTLS_VERSIONS = (b"\xfe\xff", b"\xfe\xfd")


def dtls(sheet: Sheet, start: int, end: int) -> bool:
    """One datagram of records."""
    if sheet.data[start] & 0xE0 == 0x20:  # RFC 9147: no version to know it by, so by its company
        if not sheet.book.labels["DTLS"]:
            return False
        sheet.mark(start + 1, end - start - 1, Kind.RANDOM)
        return True
    at, records = start, []
    while at + 13 <= end:
        size = int.from_bytes(sheet.data[at + 11 : at + 13])
        known = bytes(sheet.data[at + 1 : at + 3]) in _DTLS_VERSIONS
        if sheet.data[at] not in _TYPES or not known or at + 13 + size > end:
            return False
        records.append((at, at + 13, at + 13 + size))
        at += 13 + size
    if at != end or not records:
        return False
    for head, begin, stop in records:
        epoch = int.from_bytes(sheet.data[head + 3 : head + 5])
        if sheet.data[head] == _HANDSHAKE and epoch == 0:
            _messages(sheet, begin, stop, header=12)
            sheet.seen("DTLS handshake")
        elif epoch or sheet.data[head] not in (_CHANGE, _ALERT):
            # AES-GCM's explicit nonce is the record's own number, mostly.
            own = sheet.data[begin : begin + 8] == sheet.data[head + 3 : head + 11]
            sheet.mark(begin + 8 * own, stop - begin - 8 * own, Kind.RANDOM)
    sheet.seen("DTLS")
    return True


def tls(sheet: Sheet) -> bool:
    """One direction of a stream of records."""
    data, at, secret = sheet.data, 0, False
    if len(data) < 5 or data[0] not in _TYPES or data[1] != 3:
        return False
    while at + 5 <= len(data):
        size = int.from_bytes(data[at + 3 : at + 5])
        stop = min(at + 5 + size, len(data))
        if data[at] not in _TYPES or data[at + 1] != 3:
            sheet.mark(at, len(data) - at, Kind.RANDOM)
            break
        if data[at] == _HANDSHAKE and not secret:
            _messages(sheet, at + 5, stop, header=4)
        elif data[at] == _CHANGE:
            secret = True
        elif secret or data[at] != _ALERT:
            sheet.mark(at + 5, stop - at - 5, Kind.RANDOM)
        at = stop
    sheet.seen("TLS")
    return True


def _messages(sheet: Sheet, start: int, end: int, *, header: int) -> None:
    """The handshake messages of one record, whole or fragments; the header's is 4 or 12 bytes."""
    at = start
    while at + header <= end:
        kind = sheet.data[at]
        later = header == 12 and any(sheet.data[at + 6 : at + 9])
        size = int.from_bytes(sheet.data[at + header - 3 : at + header])
        cut = size < int.from_bytes(sheet.data[at + 1 : at + 4])
        begin, stop = at + header, at + header + size
        if kind > 30 or stop > end:
            sheet.mark(at, end - at, Kind.RANDOM)
            return
        hello = kind in (_CLIENT_HELLO, _SERVER_HELLO, _VERIFY_REQUEST)
        known = hello and not later and _hello(sheet, kind, begin, stop, dtls=header == 12, cut=cut)
        if not known and kind not in (_CERTIFICATE_REQUEST, _SERVER_DONE):
            sheet.mark(begin, size, Kind.RANDOM)
        at = stop
    if at < end:
        sheet.mark(at, end - at, Kind.RANDOM)


def _hello(sheet: Sheet, kind: int, start: int, end: int, *, dtls: bool, cut: bool) -> bool:
    """Mark a hello; False where it is not well formed, and nothing of it is marked.

    Of one that is `cut`, the first fragment, that goes for the extension at its end.
    """
    before = marked = len(sheet.places)
    extension = 0
    cursor = _Cursor(sheet, start, end)
    try:
        if kind == _VERIFY_REQUEST:
            cursor.skip(2)
            cursor.value(1, "k")
            return True
        cursor.skip(2)
        sheet.draw(cursor.take(32), 32, "r")
        cursor.value(1, "s")
        if kind == _CLIENT_HELLO:
            if dtls:
                cursor.value(1, "k")
            cursor.skip(cursor.number(2))
            cursor.skip(cursor.number(1))
        else:
            cursor.skip(3)
        if cursor.at < end:
            cursor.number(2)
        while cursor.at < end:
            marked, extension = len(sheet.places), cursor.at
            _extension(sheet, cursor, kind)
    except ValueError:
        partly = cut and extension > 0
        del sheet.places[marked if partly else before :]
        return partly and _cut(sheet, extension, end)
    return True


def _cut(sheet: Sheet, extension: int, end: int) -> bool:
    """The extension that a fragment ends in: which it is and how long stays."""
    begin = min(extension + 4, end)
    sheet.mark(begin, end - begin, Kind.RANDOM)
    return True


def _extension(sheet: Sheet, cursor: "_Cursor", hello: int) -> None:
    kind, size = cursor.number(2), cursor.number(2)
    at = cursor.take(size)
    if kind == _SERVER_NAME and size > 5:
        name = bytes(sheet.data[at + 5 : at + size])
        if sheet.book.keep_names:
            sheet.book.kept[f"server name {name.decode('ascii', 'replace')!r}"] += 1
        else:
            sheet.text(at + 5, size - 5, "h")
    elif kind == _TICKET or kind == 41:
        sheet.draw(at, size)
    elif kind == _KEY_SHARE:
        inside = _Cursor(sheet, at, at + size)
        if hello == _CLIENT_HELLO:
            inside.number(2)
        while inside.at < at + size:
            inside.skip(2)
            if inside.at + 2 <= at + size:
                inside.value(2, "")


class _Cursor:
    """Where one is in a message.  ValueError where it ends too early."""

    def __init__(self, sheet: Sheet, at: int, end: int) -> None:
        self._sheet, self.at, self._end = sheet, at, end

    def take(self, size: int) -> int:
        """Go on; where one was."""
        at = self.at
        if at + size > self._end:
            raise ValueError("cut short")
        self.at += size
        return at

    def skip(self, size: int) -> None:
        self.take(size)

    def number(self, size: int) -> int:
        at = self.take(size)
        return int.from_bytes(self._sheet.data[at : at + size])

    def value(self, size: int, letter: str) -> None:
        """Something with its length, in `size` bytes, before it: drawn."""
        length = self.number(size)
        self._sheet.draw(self.take(length), length, letter)
