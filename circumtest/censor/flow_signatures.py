"""Signatures of tunnels and of what carries them: streams, QUIC, OpenVPN, WireGuard, and dialects.

Where one packet is enough they are shapes, for the kernel; a shape over TCP is asked of every
segment, so it has at least three fixed bytes.  The others are functions of
`circumtest.censor.protocols` and `circumtest.censor.media`, for the middlebox.  It refuses to match
anything itself.
"""

from circumtest.censor import media, protocols
from circumtest.censor.policy import Bits, Confidence, Shape, Signature, octets
from circumtest.model import Transport

_ANY_SIZE = 65527


def _text(word: str) -> Shape:
    """A segment that begins with a word."""
    return Shape(Transport.TCP, (octets(0, word.encode().hex()),))


# ------------------------------------------------------------------ streams

TLS = Signature(
    "tls",
    (),
    "RFC 8446 5.1 and 4.1.2: a stream from the client that begins with a record of type 22, "
    "version 3.x, and a ClientHello in it; each segment that holds a part of the hello",
    Confidence.MEASURED,
    protocols.tls_hello,
)
ECH = Signature(
    "ech",
    (),
    "net4people/bbs 417 (Russia, Nov 2024): dropped when the ClientHello has both the extension "
    "0xfe0d and the name cloudflare-ech.com. Here any name: browsers send the extension with noise "
    "in it to everybody, so a rule has to say `names`",
    Confidence.REPORTED,
    protocols.ech,
)
TOR = Signature(
    "tor",
    (),
    "the ClientHello of tor 0.4.9.11 with OpenSSL 3.0, in a lab: the suites as JA4 hashes them, "
    "no ALPN, a name www.RANDOM.com. That a censor knew tor by its suites: Winter and Lindskog, "
    "How the Great Firewall of China is blocking Tor, FOCI 2012",
    Confidence.MEASURED,
    protocols.tor,
)
SSH = Signature(
    "ssh",
    (_text("SSH-"),),
    "RFC 4253 4.2: either end's stream begins with its identification",
    Confidence.MEASURED,
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")

HTTP = Signature(
    "http",
    (
        *(_text(f"{method} {target}") for method in _METHODS for target in ("/", "http")),
        _text("CONNECT "),
        _text("OPTIONS * "),
    ),
    "RFC 9112 3, RFC 9110 9, RFC 5789: a request begins with its method and its target, a path or, "
    "to a proxy, a URI",
    Confidence.MEASURED,
)
SOCKS5 = Signature(
    "socks5",
    tuple(
        Shape(Transport.TCP, (octets(0, greeting),))
        for greeting in ("050100", "05020001", "05020002", "0503000102")
    ),
    "RFC 1928 3: version 5 and the methods that clients offer: none; none and GSSAPI (curl); none "
    "and password; all three",
    Confidence.MEASURED,
)
SOCKS4 = Signature(
    "socks4",
    (),
    "the SOCKS 4 protocol: version 4, CONNECT or BIND, port, address, a user id that ends in zero",
    Confidence.MEASURED,
    protocols.socks4,
)
MTPROTO = Signature(
    "mtproto",
    (),
    "core.telegram.org/mtproto/mtproto-transports: abridged, intermediate, padded, full. "
    "Telegram's applications obfuscate the transport, and then it has no bytes to be known by",
    Confidence.MEASURED,
    protocols.mtproto,
)
FULLY_ENCRYPTED = Signature(
    "fully-encrypted",
    (),
    "Wu et al., USENIX Security 2023: a client's first TCP payload that none of five exemptions "
    "spares. Reported to have stopped in March 2023 (net4people/bbs 136)",
    Confidence.MEASURED,
    protocols.encrypted_stream,
)
TLS_IN_TLS = Signature(
    "tls-in-tls",
    (),
    "net4people/bbs 363 (Russia, Apr 2024, Shadowsocks and VMess): at least three packets of at "
    "least 411 bytes from the client, and a condition on the server's that we do not know: here, "
    "that it has answered. Ordinary uploads over HTTPS look the same to it",
    Confidence.REPORTED,
    protocols.tls_in_tunnel,
)
TROJAN = Signature(
    "trojan",
    (),
    "XTLS/Trojan-killer, and OpenGFW's analyzer/tcp/trojan.go, which warns of false positives and "
    "negatives: from the client's ChangeCipherSpec on 650 to 1000 bytes up, and 170 to 180 or 3000 "
    "to 7500 down, before it speaks again. In a lab it hit sing-box's Trojan and VLESS with curl's "
    "TLS in them, not curl by itself. No censor is known to do this",
    Confidence.GUESSED,
    protocols.trojan,
)

# ------------------------------------------------------------------ datagrams

QUIC = Signature(
    "quic",
    (
        Shape(Transport.UDP, (Bits(0, 4, 0xC, 0xC), octets(1, "00000001")), (1200, _ANY_SIZE)),
        Shape(Transport.UDP, (Bits(0, 4, 0xD, 0xD), octets(1, "6b3343cf")), (1200, _ANY_SIZE)),
    ),
    "RFC 9000 17.2.2 and 14.1, RFC 9369 3.1: an Initial of version 1 or 2 in a datagram of at "
    "least 1200 bytes. A rule that says `names` opens it as any onlooker can (RFC 9001 5.2)",
    Confidence.MEASURED,
)
QUIC_443 = Signature(
    "quic-443",
    (Shape(Transport.UDP, (octets(1, "00000001"),), (1001, _ANY_SIZE), port=443),),
    "Xue et al., TSPU: Russia's Decentralized Censorship System, IMC 2022: to UDP port 443, at "
    "least 1001 bytes, bytes 1 to 4 are version 1; other versions pass. Not checked against the "
    "paper",
    Confidence.REPORTED,
)
WIREGUARD_RESPONSE = Signature(
    "wireguard-response",
    (Shape(Transport.UDP, (octets(0, "02000000"),), (92, 92)),),
    "WireGuard paper section 5.4.3: message type 2, three reserved zeros, 92 bytes",
    Confidence.MEASURED,
)
WIREGUARD_COOKIE = Signature(
    "wireguard-cookie",
    (Shape(Transport.UDP, (octets(0, "03000000"),), (64, 64)),),
    "WireGuard paper section 5.4.7: message type 3, three reserved zeros, 64 bytes",
    Confidence.MEASURED,
)
WIREGUARD_DATA = Signature(
    "wireguard-data",
    (),
    "WireGuard paper section 5.4.6: message type 4, three reserved zeros, at least 32 bytes, a "
    "multiple of 16",
    Confidence.MEASURED,
    protocols.wireguard_data,
)

_HMACS = (20, 32, 64)
"""Bytes of tls-auth's HMAC: SHA1 unless the configuration says otherwise, SHA256, SHA512."""
_FRESH = (1, 255)
"""Packet numbers of a reset: it is the first that is sent, and is sent again until answered."""


def _resets(transport: Transport) -> tuple[Shape, ...]:
    """The client's first packet: bare, behind tls-auth, in tls-crypt, in tls-crypt-v2.

    Opcode and session id, then: no acknowledgements and number 0; or an HMAC, packet number, time
    and the same; or packet number, time, and what is sealed.
    """
    at = 2 if transport is Transport.TCP else 0

    def shape(opcode: str, size: int, *bits: Bits) -> Shape:
        if at:
            return Shape(transport, (octets(0, f"{size:04x}{opcode}"), *bits))
        return Shape(transport, (octets(0, opcode), *bits), (size, size))

    def fresh(offset: int) -> Bits:
        return Bits((at + offset) * 8, 32, *_FRESH)

    early = Bits((at + 9) * 8, 32, 0x0F000001, 0x0F0000FF)
    length = () if at else ((54, 1200),)
    return (
        shape("38", 14, octets(at + 9, "0000000000")),
        *(
            shape("38", 22 + hmac, fresh(9 + hmac), octets(at + 17 + hmac, "0000000000"))
            for hmac in _HMACS
        ),
        shape("38", 54, fresh(9)),
        Shape(transport, (octets(at, "50"), early), *length),
    )


OPENVPN_RESET = Signature(
    "openvpn-reset",
    (*_resets(Transport.UDP), *_resets(Transport.TCP)),
    "OpenVPN's ssl_pkt.h and tls_crypt.c, and OpenVPN 2.6.14 in a lab: a client's hard reset, "
    "bare or wrapped by tls-auth, tls-crypt or tls-crypt-v2; over TCP behind its length",
    Confidence.MEASURED,
)
OPENVPN = Signature(
    "openvpn",
    (),
    "OpenVPN PR 151 (Russia: the connection dies at the client's acknowledgement and control "
    "packet), Xue et al., USENIX Security 2022, OpenGFW's openvpn.go: reset, the server's reset, "
    "then P_ACK_V1 or P_CONTROL_V1 of the same session. OpenVPN 2.6 sends no acknowledgement of "
    "its own there, older ones do: either is enough here",
    Confidence.REPORTED,
    protocols.openvpn,
)

# ------------------------------------------------------------------ calls

DTLS = Signature(
    "dtls",
    (
        Shape(
            Transport.UDP,
            (Bits(0, 8, 20, 26), Bits(8, 16, 0xFEFD, 0xFEFF), octets(3, "00")),
            (14, _ANY_SIZE),
        ),
    ),
    "RFC 6347 4.1: a record of any type in clear text or under keys, epochs 0 to 255; of DTLS 1.3 "
    "only the records before its keys look like this (RFC 9147 4)",
    Confidence.MEASURED,
)
RTP = Signature(
    "rtp",
    (),
    "RFC 3550 5.1, RFC 3551 6, RFC 7983 7: version 2 and a payload type of sound or video, in a "
    "flow of at least ten packets, both ways, that began with RTP of the same source and a lower "
    "number, or with RTCP, STUN or DTLS. Ten is ours",
    Confidence.MEASURED,
    media.rtp,
)
TURN_CHANNEL = Signature(
    "turn-channel",
    (),
    "RFC 8656 12.4: channel 0x4000 to 0x7fff and the length of what follows, in a flow that the "
    "client began with STUN",
    Confidence.MEASURED,
    media.turn_channel,
)
_DIALECTS = "nDPI's stun.c knows the application by it; such a message anywhere in a flow"
STUN_DIALECTS = (
    Signature(
        "stun-google",
        (),
        "libwebrtc's stun.h: attributes 0xc057 to 0xc060; Chromium and what else is built on it",
        Confidence.MEASURED,
        media.attributes(*range(0xC057, 0xC061)),
    ),
    Signature(
        "stun-microsoft",
        (),
        "MS-TURN 2.2.2 and MS-ICE2 2.2.3: attributes 0x8008, 0x8050, 0x8054, 0x8055, 0x8070, "
        "0x8090, "
        f"0x8095. {_DIALECTS}",
        Confidence.REPORTED,
        media.attributes(0x8008, 0x8050, 0x8054, 0x8055, 0x8070, 0x8090, 0x8095),
    ),
    Signature(
        "stun-whatsapp",
        (),
        f"attributes 0x4000 to 0x4004 and 0x4007, not only as the first. {_DIALECTS}",
        Confidence.MEASURED,
        media.attributes(0x4000, 0x4001, 0x4002, 0x4003, 0x4004, 0x4007),
    ),
    *(
        Signature(
            f"stun-{name}",
            (),
            f"REALM or SOFTWARE contains {word!r}. {_DIALECTS}",
            Confidence.MEASURED,
            media.says(word.encode()),
        )
        for name, word in (
            ("telegram", "telegram"),
            ("signal", "signal.org"),
            ("facebook", "facebook"),
            ("viber", "viber"),
        )
    ),
)

FLOW_SIGNATURES = (
    TLS,
    ECH,
    TOR,
    SSH,
    HTTP,
    SOCKS5,
    SOCKS4,
    MTPROTO,
    FULLY_ENCRYPTED,
    TLS_IN_TLS,
    TROJAN,
    QUIC,
    QUIC_443,
    WIREGUARD_RESPONSE,
    WIREGUARD_COOKIE,
    WIREGUARD_DATA,
    OPENVPN_RESET,
    OPENVPN,
    DTLS,
    RTP,
    TURN_CHANNEL,
    *STUN_DIALECTS,
)
