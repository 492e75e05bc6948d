"""What a censor recognises that fixed offsets in one packet do not reach, as functions.

Each takes a packet and what was seen of its flow (`circumtest.censor.policy.Sees`) and says whether
this packet shows the protocol.  What is recognised by a ClientHello shows in the packets that carry
it.  Calls are `circumtest.censor.media`'s.  It refuses to act, to remember anything, and to guess:
bytes that a protocol does not have, as obfuscated MTProto's, are recognised by nothing here.
"""

import re
from collections.abc import Iterator

from circumtest.censor.hello import carries
from circumtest.censor.packet import Packet
from circumtest.censor.policy import Hello, Seen
from circumtest.model import Transport
from circumtest.wire import mtproto_clear, tls

# ------------------------------------------------------------------ what begins with a ClientHello


def tls_hello(packet: Packet, seen: Seen) -> bool:
    """A segment that holds a part of the TLS ClientHello that the client began its stream with."""
    return _sent(packet) and tls.begins(seen.up) and packet.offset < _hello_end(seen.up)


def ech(packet: Packet, seen: Seen) -> bool:
    """A whole ClientHello, of TLS or QUIC, with a name in clear text and the extension of ECH."""
    hello = _greeting(packet, seen)
    return hello is not None and hello.ech and hello.name != ""


_TOR_NAME = re.compile(r"www\.[a-z2-7]{4,25}\.com")
"""tor's crypto_random_hostname(4, 25, "www.", ".com"), asked for by tortls.c."""
_TOR_SUITES = "796efca44d18"
"""JA4's hash of the suites that tor offers, sorted: its own list, whatever OpenSSL's is."""


def tor(packet: Packet, seen: Seen) -> bool:
    """A ClientHello with the suites that tor 0.4.9 offers, no protocols, and a name as it draws."""
    hello = _greeting(packet, seen)
    if hello is None or packet.transport is not Transport.TCP:
        return False
    first, suites, _ = hello.ja4.split("_")
    return (
        suites == _TOR_SUITES
        and first.endswith("00")
        and _TOR_NAME.fullmatch(hello.name) is not None
    )


def _greeting(packet: Packet, seen: Seen) -> Hello | None:
    """The ClientHello that this packet carries a part of, once it is whole."""
    if packet.transport is Transport.UDP:
        return seen.hello if packet.upwards and carries(packet.payload) else None
    return seen.hello if tls_hello(packet, seen) else None


def _hello_end(stream: bytes) -> int:
    """How many bytes of a stream its ClientHello takes; all there are while it has not ended."""
    try:
        found = tls.message(stream)
    except ValueError:
        return 0
    return len(stream) + 1 if found is None else found[1]


# ------------------------------------------------------------------ streams, by their first bytes


def socks4(packet: Packet, _: Seen) -> bool:
    """A CONNECT or BIND of SOCKS 4 or 4a, whole in a stream's first segment."""
    first = _first(packet)
    asked = len(first) >= 9 and first[0] == 4 and first[1] in (1, 2) and first[2:4] != b"\0\0"
    return asked and first[-1] == 0


def mtproto(packet: Packet, seen: Seen) -> bool:
    """A segment at whose end a client has sent whole frames of MTProto that is not obfuscated."""
    return (
        _sent(packet)
        and packet.offset + len(packet.payload) == len(seen.up)
        and mtproto_clear.whole(seen.up)
    )


def _first(packet: Packet) -> bytes:
    """The payload of a stream's first segment from the client; b"" for any other packet."""
    return packet.payload if _sent(packet) and packet.offset == 0 else b""


def _sent(packet: Packet) -> bool:
    """Whether it is a segment with a payload from the client."""
    return packet.transport is Transport.TCP and packet.upwards and packet.payload != b""


# ------------------------------------------------------------------ what looks like nothing

_SPARSE, _DENSE = 34, 46
"""Tenths of bits set a byte: at most and at least so many are exempt."""
_PREFIX = 6
_RUN = re.compile(rb"[\x20-\x7e]{21}")
_PRINTABLE = bytes(range(0x20, 0x7F))
_UNPRINTABLE = bytes(byte for byte in range(256) if byte not in _PRINTABLE)
_KNOWN = re.compile(rb"[\x16\x17]\x03[\x00-\x09]|(?:GET|PUT|POST|HEAD) ")


def fully_encrypted(payload: bytes) -> bool:
    """Whether a connection's first payload is taken for a fully encrypted protocol's.

    It is, unless one of five exemptions holds: few or many bits set, six printable bytes first,
    more than half printable, more than 20 printable in a row, TLS or HTTP (Wu et al., "How the
    Great Firewall of China Detects and Blocks Fully Encrypted Traffic", USENIX Security 2023, 4).
    """
    size = len(payload)
    if not size:
        return False
    bits = int.from_bytes(payload).bit_count() * 10
    if bits <= _SPARSE * size or bits >= _DENSE * size:
        return False
    prefix = payload[:_PREFIX]
    if len(prefix) == _PREFIX and not prefix.translate(None, _PRINTABLE):
        return False
    if 2 * len(payload.translate(None, _UNPRINTABLE)) > size:
        return False
    return not (_RUN.search(payload) or _KNOWN.match(payload))


def encrypted_stream(packet: Packet, _: Seen) -> bool:
    """A stream's first segment that `fully_encrypted` takes."""
    return fully_encrypted(_first(packet))


# ------------------------------------------------------------------ what sizes show

_LARGE, _MANY = 411, 3


def tls_in_tunnel(packet: Packet, seen: Seen) -> bool:
    """Three large packets from the client, and an answer, in a stream of TLS or of noise.

    The tunnel's own ClientHello does not count.  What of the server's sizes the real rule looks at
    is not known: here, that there are any.
    """
    if packet.transport is not Transport.TCP or not packet.payload or not seen.sizes:
        return False
    own = _own_hello(seen)
    if own is None:
        return False
    large, at = 0, 0
    for size in seen.sizes:
        if size >= _LARGE and at >= own:
            large += 1
        at += max(size, 0)
    return large >= _MANY and min(seen.sizes) < 0


def _own_hello(seen: Seen) -> int | None:
    """Bytes of the ClientHello that a stream began with, 0 for noise; None for anything else."""
    if tls.begins(seen.up):
        return _hello_end(seen.up)
    first = next((size for size in seen.sizes if size > 0), 0)
    return 0 if fully_encrypted(seen.up[:first]) else None


_CHANGE_CIPHER_SPEC = bytes.fromhex("140303000101")
_UP, _DOWN = range(650, 1001), (range(170, 181), range(3000, 7501))


def trojan(packet: Packet, seen: Seen) -> bool:
    """The bytes after a TLS client's ChangeCipherSpec, until it speaks again, are as Trojan's."""
    if not _sent(packet):
        return False
    at, counting, up, down = 0, False, 0, 0
    for size in seen.sizes:
        if size < 0:
            down -= size if counting else 0
            continue
        if counting and up in _UP and any(down in span for span in _DOWN):
            return True
        counting |= seen.up.startswith(_CHANGE_CIPHER_SPEC, at)
        up += size if counting else 0
        at += size
    return False


# ------------------------------------------------------------------ OpenVPN, WireGuard

_RESETS, _SERVER_RESETS, _CONTROL = (7, 10), (8,), (4, 5)
"""P_CONTROL_HARD_RESET_CLIENT_V2 and V3; of the server, V2; P_CONTROL_V1 and P_ACK_V1."""
_SESSION = slice(1, 9)
_LEAST = 14
"""Bytes of a reset: opcode, session, no acknowledgements, number."""


def openvpn(packet: Packet, seen: Seen) -> bool:
    """The client's packet after both resets, of control or an acknowledgement, of its session.

    Opcode and session id are in clear text whatever wraps the rest: nothing, tls-auth, tls-crypt.
    """
    if not packet.upwards or not packet.payload:
        return False
    if packet.transport is Transport.TCP:
        up, down = list(_framed(seen.up)), next(_framed(seen.down), b"")
        if len(up) < 2:
            return False
        first, last = up[0], up[1]
    else:
        first, down, last = seen.up, seen.down, packet.payload
    return (
        _opcode(first) in _RESETS
        and _opcode(down) in _SERVER_RESETS
        and min(len(first), len(down)) >= _LEAST
        and _opcode(last) in _CONTROL
        and last[_SESSION] == first[_SESSION]
    )


def _framed(stream: bytes) -> Iterator[bytes]:
    """Packets behind their lengths; the last one as far as it has come, if its head is there."""
    at = 0
    while len(stream) - at >= 2 + _LEAST:
        size = int.from_bytes(stream[at : at + 2])
        yield stream[at + 2 : at + 2 + size]
        at += 2 + size


def _opcode(packet: bytes) -> int:
    return packet[0] >> 3 if packet else 0


def wireguard_data(packet: Packet, _: Seen) -> bool:
    """A transport data message: its type, and whole blocks of 16 bytes (WireGuard paper, 5.4.6)."""
    payload = packet.payload
    return (
        packet.transport is Transport.UDP
        and payload[:4] == b"\4\0\0\0"
        and len(payload) >= 32
        and len(payload) % 16 == 0
    )
