"""The protocols that censors recognise, as values: one packet each, at fixed offsets.

Offsets are from the start of the UDP or TCP payload.  It refuses to match anything itself and holds
nothing that needs more than one packet: such a match belongs to a middlebox.
"""

from circumtest.censor.policy import Bits, Confidence, Shape, Signature, octets
from circumtest.model import Transport

_TOP_BITS_ZERO = Bits(0, 2, 0, 0)
_COOKIE = octets(4, "2112a442")
_STUN = (_TOP_BITS_ZERO, _COOKIE)
_HEADER = (20, 65527)
"""Lengths of a datagram that can hold a STUN header."""

STUN = Signature(
    "stun",
    (Shape(Transport.UDP, _STUN, _HEADER),),
    "RFC 8489 section 5: top two bits 00, magic cookie 2112a442 at byte 4",
    Confidence.MEASURED,
)

WHATSAPP_CALL = Signature(
    "whatsapp-call",
    (
        Shape(Transport.UDP, (*_STUN, octets(20, "4000"))),
        Shape(Transport.UDP, (*_STUN, Bits(0, 16, 0x0800, 0x0802)), _HEADER),
    ),
    "captures of WhatsApp calls, 2015 to 2023, and nDPI's stun.c: the first attribute is the "
    "private 0x4000 (relay token), or the type is 0x0800 to 0x0802 (end, ping, pong)",
    Confidence.MEASURED,
)

TELEGRAM_TURN = Signature(
    "telegram-turn",
    (Shape(Transport.UDP, _STUN, _HEADER, port=1400),),
    "capture of a Telegram video call, 2022; users' reports of Aug 2025 (youtubeUnblock 266): "
    "Telegram's STUN and TURN servers listen on UDP 1400",
    Confidence.MEASURED,
)

TELEGRAM_REFLECTOR = Signature(
    "telegram-reflector",
    (Shape(Transport.UDP, (octets(16, "ff" * 12), octets(28, "feffffff")), (40, 65527)),),
    "tgcalls ReflectorPort.cpp and captures of its traffic: the 40-byte hello has twelve ff after "
    "the 16-byte peer tag, then fe ff ff ff; no other packet of the call carries it",
    Confidence.MEASURED,
)

WIREGUARD_INITIATION = Signature(
    "wireguard-initiation",
    (Shape(Transport.UDP, (octets(0, "01000000"),), (148, 148)),),
    "WireGuard paper section 5.4.2: message type 1, three reserved zeros, 148 bytes",
    Confidence.MEASURED,
)

SIGNATURES = {
    signature.name: signature
    for signature in (STUN, WHATSAPP_CALL, TELEGRAM_TURN, TELEGRAM_REFLECTOR, WIREGUARD_INITIATION)
}
