"""SIP in a recording: the shape of its lines, without who calls whom from where.

Methods, statuses, names of headers and the words of the grammar stay; everything else that is
written is replaced, letter for letter, the same word by the same one wherever it stands.  It
refuses to understand a message: it looks at lines.
Sources: RFC 3261 7 and 25, RFC 8866 5.
"""

import re
from collections.abc import Iterator

from circumtest.recording import Kind
from circumtest.recording.sheet import Sheet

_REQUEST = re.compile(
    rb"(?:REGISTER|OPTIONS|INVITE|ACK|BYE|CANCEL|PRACK|UPDATE|INFO|SUBSCRIBE|NOTIFY|REFER|"
    rb"MESSAGE|PUBLISH) sips?:[^\r\n]{1,256} SIP/2\.0\r\n"
)
_STATUS = re.compile(rb"SIP/2\.0 [1-6]\d\d [^\r\n]{0,64}\r\n")
_LINE = re.compile(rb"[^\r\n]+")
_WORD = re.compile(rb"[A-Za-z0-9]+")
_SAME_HEADERS = frozenset(
    (
        b"accept", b"allow", b"allow-events", b"content-length", b"content-type", b"cseq",
        b"expires", b"l", b"max-forwards", b"c", b"require", b"supported", b"k", b"event",
    )
)  # fmt: skip
"""Headers whose values are the same in everybody's call, or say nothing of anybody."""
_SAME_WORDS = frozenset(
    (
        b"sip sips tel SIP 2 0 UDP TCP TLS tag branch rport received lr transport udp tcp tls "
        b"user phone expires q Digest username realm nonce uri response algorithm MD5 qop auth "
        b"cnonce nc stale true false TRUE FALSE opaque maddr ttl method IN IP4 IP6"
    ).split()
)
_MAGIC = b"z9hG4bK"
_SAME_LINES = (
    *(b"v=", b"t=", b"m=", b"b=", b"r="),
    *(b"a=rtpmap", b"a=fmtp", b"a=ptime", b"a=sendrecv", b"a=rtcp-mux", b"a=setup"),
)
"""Lines of a session description without names and addresses."""


def sip(sheet: Sheet, start: int, end: int) -> bool:
    """One datagram."""
    data = bytes(sheet.data[start:end])
    if not (_REQUEST.match(data) or _STATUS.match(data)):
        return False
    for at, line in _lines(data):
        if _STATUS.match(line + b"\r\n"):
            continue
        name, colon, _ = line.partition(b":")
        if line.startswith(_SAME_LINES) or (colon and name.strip().lower() in _SAME_HEADERS):
            continue
        if line.startswith(b"a="):
            skip = len(name)
        else:
            skip = len(name) + 1 if colon and b" " not in name else 0
        skip = max(skip, 2 * (line[1:2] == b"="), len(line.split(b" ")[0]) * (not at))
        _words(sheet, start + at + skip, line[skip:])
    sheet.seen("SIP")
    return True


def sip_stream(sheet: Sheet) -> bool:
    """One direction of a stream, looked at line by line likewise."""
    return sip(sheet, 0, len(sheet.data))


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    for found in _LINE.finditer(data):
        yield found.start(), found[0]


def _words(sheet: Sheet, offset: int, text: bytes) -> None:
    for found in _WORD.finditer(text):
        word, at = found[0], found.start()
        if word in _SAME_WORDS:
            continue
        if word.startswith(_MAGIC):
            word, at = word.removeprefix(_MAGIC), at + len(_MAGIC)
        if word and not sheet.book.keep_names:
            sheet.draw(offset + at, len(word), "w", Kind.BASE64)
