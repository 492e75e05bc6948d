"""What a censor recognises of calls where fixed offsets do not reach: sound, channels, dialects.

Functions of a packet and what was seen of its flow (`circumtest.censor.policy.Sees`), for datagrams
only.  It refuses to look into what is sealed, and at media that flow in one direction alone.
"""

from collections.abc import Iterator

from circumtest.censor.packet import Packet
from circumtest.censor.policy import Seen, Sees
from circumtest.model import Transport

_HEARD = 10
"""Packets of a flow before sound is told from chance.  What real boxes wait for is not known."""


def rtp(packet: Packet, seen: Seen) -> bool:
    """RTP in a flow with packets both ways: numbers that grow, or STUN or DTLS before it."""
    return (
        packet.transport is Transport.UDP
        and _is_rtp(packet.payload)
        and seen.payloads >= _HEARD
        and _leads_to(packet.payload, seen.up if packet.upwards else seen.down)
        and _begins_media(seen.down if packet.upwards else seen.up)
    )


def _leads_to(payload: bytes, first: bytes) -> bool:
    """Whether an RTP packet may come some time after the first datagram of its direction.

    Of noise, one packet in six has RTP's first bytes: what makes it sound is that something strong
    came before, the same source or a handshake.
    """
    if _is_rtp(first):
        ahead = int.from_bytes(payload[2:4]) - int.from_bytes(first[2:4]) & 0xFFFF
        return first[8:12] == payload[8:12] and 0 < ahead < 1 << 15
    return first[4:8] == payload[8:12] if _is_rtcp(first) else _is_handshake(first)


def _begins_media(first: bytes) -> bool:
    """Whether the first datagram of a direction is RTP, RTCP, STUN or DTLS (RFC 7983 7)."""
    return _is_rtp(first) or _is_rtcp(first) or _is_handshake(first)


def _is_rtcp(data: bytes) -> bool:
    """A report or its like (RFC 3550 6.4, RFC 5761 4), as long as it says."""
    return (
        len(data) >= 8
        and data[0] >> 6 == 2
        and 200 <= data[1] <= 207
        and 4 + 4 * int.from_bytes(data[2:4]) <= len(data)
    )


def _is_handshake(data: bytes) -> bool:
    return _is_stun(data) or (data[:1] == b"\x16" and data[1:3] in (b"\xfe\xff", b"\xfe\xfd"))


def _is_rtp(payload: bytes) -> bool:
    """Version 2, a static or dynamic payload type (RFC 3551 6), room for what the header says."""
    if len(payload) < 12 or payload[0] >> 6 != 2:
        return False
    kind = payload[1] & 0x7F
    return (kind <= 34 or kind >= 96) and len(payload) >= 12 + 4 * (payload[0] & 0x0F)


def turn_channel(packet: Packet, seen: Seen) -> bool:
    """ChannelData (RFC 8656 12.4) in a flow that the client began with STUN.

    Its first byte and length alone would be met by chance, by QUIC's short headers for one.
    """
    payload = packet.payload
    if packet.transport is not Transport.UDP or len(payload) < 4 or not _is_stun(seen.up):
        return False
    size = 4 + int.from_bytes(payload[2:4])
    return payload[0] >> 6 == 1 and len(payload) in (size, size + -size % 4)


# ------------------------------------------------------------------ dialects of STUN

_REALM, _SOFTWARE = 0x0014, 0x8022


def attributes(*kinds: int) -> Sees:
    """What sees STUN messages that have an attribute of one of these types."""
    wanted = frozenset(kinds)

    def sees(packet: Packet, _: Seen) -> bool:
        return any(kind in wanted for kind, _ in _attributes(packet))

    return sees


def says(word: bytes) -> Sees:
    """What sees STUN messages in whose REALM or SOFTWARE a word is, in small letters here."""

    def sees(packet: Packet, _: Seen) -> bool:
        return any(
            kind in (_REALM, _SOFTWARE) and word in value.lower()
            for kind, value in _attributes(packet)
        )

    return sees


def _attributes(packet: Packet) -> Iterator[tuple[int, bytes]]:
    """Type and value of each attribute in a datagram, as far as they are whole (RFC 8489 14)."""
    data = packet.payload
    if packet.transport is not Transport.UDP or not _is_stun(data):
        return
    at, end = 20, min(len(data), 20 + int.from_bytes(data[2:4]))
    while at + 4 <= end:
        kind, size = int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])
        if at + 4 + size > end:
            return
        yield kind, data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


def _is_stun(data: bytes) -> bool:
    return len(data) >= 20 and data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42"
