"""The protocols that censors recognise, as values.

Here those of calls that one packet shows at fixed offsets, from the start of the UDP or TCP
payload; tunnels, streams and what takes more packets come from `circumtest.censor.flow_signatures`.
It refuses to match anything itself.
"""

from circumtest.censor.flow_signatures import FLOW_SIGNATURES
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

TELEGRAM_REFLECTOR_TCP = Signature(
    "telegram-reflector-tcp",
    (Shape(Transport.TCP, (octets(0, "eeeeeeee14000000"), octets(24, "00000000"))),),
    "tgcalls against a reflector in a lab: the stream begins with the mark of MTProto's "
    "intermediate framing and a frame of 20 bytes, the 16-byte peer tag and four zeros",
    Confidence.MEASURED,
)

WIREGUARD_INITIATION = Signature(
    "wireguard-initiation",
    (Shape(Transport.UDP, (octets(0, "01000000"),), (148, 148)),),
    "WireGuard paper section 5.4.2: message type 1, three reserved zeros, 148 bytes",
    Confidence.MEASURED,
)

TURN_ALLOCATE = Signature(
    "turn-allocate",
    (Shape(Transport.UDP, (*_STUN, Bits(0, 16, 0x0003, 0x0003)), _HEADER),),
    "RFC 8656 section 17: method Allocate, class request; every client that asks a relay for an "
    "address sends it, WhatsApp's in a dialect of its own",
    Confidence.MEASURED,
)

STUN_TCP = Signature(
    "stun-tcp",
    (Shape(Transport.TCP, _STUN),),
    "RFC 8489 section 6.2.2: over TCP the same header begins the stream; here, each segment that "
    "begins with it",
    Confidence.MEASURED,
)

ZOOM_STUN = Signature(
    "zoom-stun",
    (Shape(Transport.UDP, (octets(0, "00010018"), octets(20, "01010014")), (44, 44)),),
    "capture of a Zoom call in nDPI's tests: a binding request without cookie whose only attribute "
    "is 0x0101, 44 bytes",
    Confidence.MEASURED,
)

DISCORD_DISCOVERY = Signature(
    "discord-discovery",
    (
        Shape(
            Transport.UDP,
            (octets(0, "00010046"), *(octets(at, "00" * 16) for at in range(8, 72, 16))),
            (74, 74),
        ),
    ),
    "capture of a Discord voice connection, 2022, and zapret's discord-ip-discovery: type 1, "
    "length 70, an SSRC, 64 zeros",
    Confidence.MEASURED,
)

_SIP_METHODS = ("REGISTER", "INVITE", "OPTIONS")

SIP = Signature(
    "sip",
    tuple(
        Shape(transport, (octets(0, f"{method} sip".encode().hex()),))
        for transport in Transport
        for method in _SIP_METHODS
    ),
    "RFC 3261 section 7.1: a request begins with its method and a sip: or sips: URI",
    Confidence.MEASURED,
)

_CLIENT_HELLO = (octets(0, "16"), Bits(8, 16, 0xFEFD, 0xFEFF), octets(13, "01"))
"""A handshake record of DTLS 1.0 to 1.2 (and of 1.3, which says 1.2) that begins with type 1."""

DTLS_CLIENT_HELLO = Signature(
    "dtls-client-hello",
    (Shape(Transport.UDP, _CLIENT_HELLO, (67, 65527)),),
    "RFC 6347 sections 4.1 and 4.2.2: content type 22, a version, handshake type 1",
    Confidence.MEASURED,
)

_SUITES = 59
"""Where the cipher suites' length is, behind an empty session id and an empty cookie: byte 61."""

DTLS_PION = Signature(
    "dtls-pion",
    (
        Shape(Transport.UDP, (*_CLIENT_HELLO, octets(_SUITES, "0000000cc02bc02fc00ac014c02cc030"))),
        Shape(
            Transport.UDP,
            (
                *_CLIENT_HELLO,
                octets(_SUITES, "00000010c02bc02fcca9cca8"),
                octets(_SUITES + 12, "c00ac014c02cc030"),
            ),
        ),
    ),
    "pion/dtls, defaultCipherSuites: six suites, or since 2026 eight with ChaCha20, at their "
    "offset in a first ClientHello. An approximation of its JA4, which sorts suites and counts "
    "extensions: that needs more than fixed offsets",
    Confidence.MEASURED,
)

WHATSAPP_MEDIA = Signature(
    "whatsapp-media",
    (Shape(Transport.UDP, (octets(0, "90"), octets(12, "debe"))),),
    "captures of WhatsApp calls and nDPI's stun.c: RTP with the header extension profile 0xdebe",
    Confidence.MEASURED,
)

DNS = Signature(
    "dns",
    (
        Shape(Transport.UDP, (Bits(16, 5, 0, 0), octets(4, "0001")), (17, 512), port=53),
        Shape(Transport.TCP, (Bits(32, 5, 0, 0), octets(6, "0001")), port=53),
    ),
    "RFC 1035 sections 4.1.1 and 4.2.2: a query with one question, to port 53",
    Confidence.MEASURED,
)

TCP = Signature(
    "tcp", (Shape(Transport.TCP),), "every segment, whatever is in it", Confidence.MEASURED
)
UDP = Signature(
    "udp", (Shape(Transport.UDP),), "every datagram, whatever is in it", Confidence.MEASURED
)
ANY = Signature(
    "any",
    (Shape(Transport.UDP), Shape(Transport.TCP)),
    "every datagram and every segment of a stream",
    Confidence.MEASURED,
)

SIGNATURES = {
    signature.name: signature
    for signature in (
        STUN,
        WHATSAPP_CALL,
        TELEGRAM_TURN,
        TELEGRAM_REFLECTOR,
        TELEGRAM_REFLECTOR_TCP,
        WIREGUARD_INITIATION,
        TURN_ALLOCATE,
        STUN_TCP,
        ZOOM_STUN,
        DISCORD_DISCOVERY,
        SIP,
        DTLS_CLIENT_HELLO,
        DTLS_PION,
        WHATSAPP_MEDIA,
        DNS,
        *FLOW_SIGNATURES,
    )
}

ALL = {**SIGNATURES, **{one.name: one for one in (TCP, UDP, ANY)}}
"""What a rule can name: the protocols, and what recognises none and means a bad network."""
