"""STUN messages as values: RFC 8489 headers, attributes, XOR addresses, integrity, fingerprint.

It refuses to know methods: which types and attributes mean something is the handshakes' question.
Addresses are (host, port); a message that is not well formed is a ValueError and nothing else.
"""

import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from zlib import crc32

COOKIE = 0x2112A442
HEADER = 20
MAX_SIZE = 1500

BINDING = 0x0001
BINDING_OK = 0x0101
BINDING_ERROR = 0x0111

MAPPED_ADDRESS = 0x0001
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
XOR_RELAYED_ADDRESS = 0x0016
XOR_MAPPED_ADDRESS = 0x0020
FINGERPRINT = 0x8028
_MI_SIZE = 20


@dataclass(frozen=True, slots=True)
class Message:
    """Type, 12-byte transaction id, attributes in order.

    Without MESSAGE-INTEGRITY and FINGERPRINT, which belong to the bytes: `pack` adds them,
    `authentic` and `unpack` check them.
    """

    type: int
    tid: bytes
    attributes: tuple[tuple[int, bytes], ...] = ()

    def get(self, kind: int) -> bytes | None:
        """The value of the first attribute of that kind, None where there is none."""
        return next((value for name, value in self.attributes if name == kind), None)


def pack(message: Message, key: bytes | None = None, *, fingerprint: bool = False) -> bytes:
    """The bytes of a message, with MESSAGE-INTEGRITY under `key` (14.5) and FINGERPRINT (14.7)."""
    body = b"".join(_attribute(kind, value) for kind, value in message.attributes)
    if key is not None:
        size = len(body) + 4 + _MI_SIZE
        body += _attribute(MESSAGE_INTEGRITY, _mac(_header(message, size) + body, key))
    if fingerprint:
        head = _header(message, len(body) + 8) + body
        body += _attribute(FINGERPRINT, _checksum(head))
    return _header(message, len(body)) + body


def unpack(data: bytes) -> Message:
    """The message in a datagram.

    Attributes behind MESSAGE-INTEGRITY are ignored, as 14.5 wants.  Raises ValueError when it is
    not a well-formed STUN message (section 5), or its FINGERPRINT is wrong or not the last.
    """
    kind, tid, attributes = _walk(data)
    kept: list[tuple[int, bytes]] = []
    sealed = False
    for name, value, at in attributes:
        if name == FINGERPRINT:
            if at + 8 != len(data) or value != _checksum(data[:at]):
                raise ValueError("wrong FINGERPRINT")
        elif name == MESSAGE_INTEGRITY:
            sealed = True
        elif not sealed:
            kept.append((name, value))
    return Message(kind, tid, tuple(kept))


def authentic(data: bytes, key: bytes) -> bool:
    """Whether the message carries a MESSAGE-INTEGRITY that `key` made.  Raises like `unpack`."""
    _, _, attributes = _walk(data)
    for name, value, at in attributes:
        if name == MESSAGE_INTEGRITY:
            # 14.5: the length that was hashed counts up to MESSAGE-INTEGRITY, nothing behind it.
            length = struct.pack("!H", at - HEADER + 4 + _MI_SIZE)
            expected = _mac(data[:2] + length + data[4:at], key)
            return hmac.compare_digest(value, expected)
    return False


def xor_address(host: str, port: int, tid: bytes) -> bytes:
    """The value of an XOR-...-ADDRESS attribute (14.2): 8 bytes for IPv4, 20 for IPv6."""
    packed = ip_address(host).packed
    family = 1 if len(packed) == 4 else 2
    return struct.pack("!HH", family, port ^ (COOKIE >> 16)) + _xor(packed, tid)


def parse_xor_address(value: bytes, tid: bytes) -> tuple[str, int]:
    """(host, port) of an XOR-...-ADDRESS value.  Raises ValueError when it is not one."""
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        raise ValueError("not an XOR address")
    port = int.from_bytes(value[2:4]) ^ (COOKIE >> 16)
    return str(ip_address(_xor(value[4:], tid))), port


def error_code(value: bytes) -> tuple[int, str]:
    """(code, reason) of an ERROR-CODE value (14.8).  Raises ValueError when it is not one."""
    if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
        raise ValueError("not an error code")
    return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")


def pack_error(code: int, reason: str) -> bytes:
    """The value of an ERROR-CODE attribute for a code from 300 to 699."""
    return struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()


# ------------------------------------------------------------------ bytes


def _walk(data: bytes) -> tuple[int, bytes, Iterable[tuple[int, bytes, int]]]:
    """Type, transaction id and (kind, value, offset) of each attribute."""
    if not HEADER <= len(data) <= MAX_SIZE:
        raise ValueError("not a STUN message: size")
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind & 0xC000 or cookie != COOKIE or length % 4 or length != len(data) - HEADER:
        raise ValueError("not a STUN message: header")
    found: list[tuple[int, bytes, int]] = []
    at = HEADER
    while at < len(data):
        name, size = struct.unpack_from("!HH", data, at)
        if at + 4 + size > len(data) or (name == MESSAGE_INTEGRITY and size != _MI_SIZE):
            raise ValueError("not a STUN message: attribute")
        found.append((name, data[at + 4 : at + 4 + size], at))
        at += 4 + size + -size % 4
    return kind, data[8:HEADER], found


def _header(message: Message, length: int) -> bytes:
    return struct.pack("!HHI", message.type, length, COOKIE) + message.tid


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _mac(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, data, "sha1")


def _checksum(data: bytes) -> bytes:
    return struct.pack("!I", crc32(data) ^ 0x5354554E)


def _xor(packed: bytes, tid: bytes) -> bytes:
    mask = struct.pack("!I", COOKIE) + tid
    return bytes(a ^ b for a, b in zip(packed, mask, strict=False))
