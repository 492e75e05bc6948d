"""What is known of the bytes in a flow: the protocols of calls, each by what it begins with.

`recognise` marks on a sheet what must be fresh in every play and what identifies anybody; what it
does not mark is the same in everybody's call.  It refuses to keep what it does not understand.
"""

from circumtest.recording import Kind
from circumtest.recording.messengers import mtproto, noise
from circumtest.recording.sheet import Sheet
from circumtest.recording.sip import sip, sip_stream
from circumtest.recording.tls import dtls, tls
from circumtest.recording.tunnelled import ike, quic, wireguard
from circumtest.recording.voip import discord, reflector, reflector_stream, rtp, whatsapp_words
from circumtest.wire import stun as wire

ENCRYPTED = frozenset({"WireGuard", "QUIC", "IPsec"})
"""What hides all that it carries: there is nothing in it to refresh."""
REALMS = (
    b"telegram.org",
    b"signal.org",
    b"turner.facebook",
    b"turn.l.google.com",
    b"viber.com",
    b"turn.cloudflare.com",
)
"""Realms of services that everybody shares: they identify nobody, and censors look for them."""

_USERNAME, _REALM, _NONCE, _DATA, _SOFTWARE = 0x0006, 0x0014, 0x0015, 0x0013, 0x8022
_TEXTS = {_USERNAME: "u", _REALM: "m", _NONCE: "n", _SOFTWARE: "w"}
_SEALS = {
    wire.MESSAGE_INTEGRITY: (Kind.INTEGRITY, 20),
    wire.FINGERPRINT: (Kind.FINGERPRINT, 4),
}
_XOR = {0x0020: Kind.MAPPED, 0x8020: Kind.MAPPED, 0x0016: Kind.RELAYED, 0x0012: Kind.PEER}
_PLAIN_ADDRESSES = (0x0001, 0x0004, 0x0005, 0x000E, 0x8023, 0x802B, 0x802C)
_SAME = (0x0009, 0x000A, 0x000C, 0x000D, 0x0017, 0x0018, 0x0019, 0x0024, 0x0025, 0xC057, 0x4003)
"""Attributes that say the same in everybody's call: codes, lifetimes, channels, priorities."""
_TOKENS = (0x4000, 0x4001)
_WHATSAPP = range(0x4000, 0x4008)
_ELSEWHERE = {
    8: bytes.fromhex("00010d96c0000201"),
    20: bytes.fromhex("00020d9620010db8") + bytes(11) + b"\1",
}
_MAX_DEPTH = 4


def recognise(sheet: Sheet, start: int, end: int, depth: int = 0) -> bool:
    """Mark one datagram, or what another one carries; whether anything of it is known."""
    if depth >= _MAX_DEPTH or end <= start:
        return False
    sheet.at = start
    if _stun(sheet, start, end, depth) or _channel(sheet, start, end, depth):
        return True
    inner = reflector(sheet, start, end)
    if inner is not None:
        if inner[1] > inner[0] and not recognise(sheet, *inner, depth + 1):
            sheet.mark(inner[0], inner[1] - inner[0], Kind.RANDOM)
        return True
    plain = (sip, dtls, rtp, wireguard, discord, whatsapp_words, quic, ike)
    for known in plain:
        marked = len(sheet.places)
        if known(sheet, start, end):
            return True
        del sheet.places[marked:]
    return False


def recognise_stream(sheet: Sheet) -> bool:
    """Mark one direction of a stream; whether anything of it is known."""
    end = len(sheet.data)
    if _stun_stream(sheet, end):
        return True
    packets = reflector_stream(sheet)
    if packets is not None:
        for one in packets:
            sheet.at = one[0]
            inner = reflector(sheet, *one)
            if inner is None:
                sheet.mark(one[0], one[1] - one[0], Kind.RANDOM)
            elif inner[1] > inner[0] and not recognise(sheet, *inner, 1):
                sheet.mark(inner[0], inner[1] - inner[0], Kind.RANDOM)
        return True
    return any(known(sheet) for known in (sip_stream, tls, noise, mtproto))


# ------------------------------------------------------------------ STUN and TURN


def _stun(sheet: Sheet, start: int, end: int, depth: int) -> bool:
    """RFC 8489 section 5, and WhatsApp's last attribute, which it does not pad."""
    data = sheet.data
    if end - start < wire.HEADER or data[start] & 0xC0:
        return False
    length = int.from_bytes(data[start + 2 : start + 4])
    if data[start + 4 : start + 8] != wire.COOKIE.to_bytes(4) or start + 20 + length != end:
        return False
    attributes = []
    at = start + wire.HEADER
    while at < end:
        size = int.from_bytes(data[at + 2 : at + 4])
        if at + 4 + size > end:
            return False
        attributes.append((int.from_bytes(data[at : at + 2]), at + 4, size))
        at += 4 + size + -size % 4
    tid = bytes(data[start + 8 : start + 20])
    if sheet.book.survey:
        sheet.book.tids.add(tid)
    _transaction(sheet, start + 8, tid)
    for kind, offset, size in attributes:
        _attribute(sheet, start, kind, offset, size, depth)
    method = int.from_bytes(data[start : start + 2]) & 0x3EEF
    private = method & 0x0800 or any(kind in _WHATSAPP for kind, *_ in attributes)
    sheet.seen("WhatsApp call" if private else "STUN" if method == wire.BINDING else "TURN")
    return True


def _transaction(sheet: Sheet, offset: int, tid: bytes) -> None:
    """An id; where several begin alike, a session's part and a counter."""
    if sum(tid[:8] == other[:8] for other in sheet.book.tids) > 1:
        sheet.draw(offset, 8, "p")
        sheet.count(offset + 8, 4, "c" + sheet.book.name("p", Kind.RANDOM, tid[:8]))
        return
    known = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    kind = Kind.BASE64 if all(byte in known for byte in tid) else Kind.RANDOM
    sheet.draw(offset, 12, "t", kind)


def _attribute(sheet: Sheet, start: int, kind: int, offset: int, size: int, depth: int) -> None:
    if kind in _SEALS and size == _SEALS[kind][1]:
        sheet.mark(offset, size, _SEALS[kind][0], "", start)
    elif kind in _XOR and size in _ELSEWHERE:
        sheet.mark(offset, size, _XOR[kind], "", start)
    elif kind in _PLAIN_ADDRESSES and size in _ELSEWHERE:
        sheet.write(offset, _ELSEWHERE[size])
    elif kind == _DATA:
        if not recognise(sheet, offset, offset + size, depth + 1):
            sheet.mark(offset, size, Kind.RANDOM)
    elif kind in _TEXTS:
        _text(sheet, kind, offset, size)
    elif kind in _TOKENS:
        sheet.draw(offset + 2, size - 2, "k")  # two bytes that are the same for everybody
    elif kind not in _SAME:
        sheet.draw(offset, size, "a")


def _text(sheet: Sheet, kind: int, offset: int, size: int) -> None:
    value = bytes(sheet.data[offset : offset + size])
    if sheet.book.keep_names or (kind == _REALM and value.strip(b"\0") in REALMS):
        sheet.book.kept[f"{_spelled(kind)} {value.decode('ascii', 'replace')!r}"] += 1
    else:
        sheet.text(offset, size, _TEXTS[kind])


def _spelled(kind: int) -> str:
    return {_USERNAME: "USERNAME", _REALM: "REALM", _NONCE: "NONCE"}.get(kind, "SOFTWARE")


def _channel(sheet: Sheet, start: int, end: int, depth: int) -> bool:
    """TURN's ChannelData (RFC 8656 12.4)."""
    data = sheet.data
    if end - start < 4 or not 0x40 <= data[start] <= 0x4F:
        return False
    size = int.from_bytes(data[start + 2 : start + 4])
    if not 0 <= end - start - 4 - size <= 3:
        return False
    if not recognise(sheet, start + 4, start + 4 + size, depth + 1):
        sheet.mark(start + 4, size, Kind.RANDOM)
    sheet.seen("TURN")
    return True


def _stun_stream(sheet: Sheet, end: int) -> bool:
    """STUN and ChannelData over TCP, one after the other (RFC 8656 section 2.1 and 12.5)."""
    at, found = 0, []
    while at + 4 <= end:
        size = int.from_bytes(sheet.data[at + 2 : at + 4])
        if sheet.data[at] & 0xC0 == 0:
            one = (at, at + 20 + size)
            at = one[1]
        elif 0x40 <= sheet.data[at] <= 0x4F:
            one = (at, at + 4 + size)
            at = one[1] + -size % 4
        else:
            return False
        if one[1] <= end:
            found.append(one)
    if not found or sheet.data[4:8] != wire.COOKIE.to_bytes(4):
        return False
    for one in found:
        sheet.at = one[0]
        if not (_stun(sheet, *one, 0) or _channel(sheet, *one, 0)):
            sheet.mark(one[0], one[1] - one[0], Kind.RANDOM)
    if at > end:
        begin = found[-1][1]
        sheet.mark(begin, end - begin, Kind.RANDOM)
    return True
