"""TURN as bytes: methods, attributes, ChannelData, messages on a stream, keys from passwords.

It refuses to hold an allocation: who may do what, and for how long, is the two halves' question.
Sources: RFC 8656 (TURN), RFC 8489 (STUN), and for passwords that expire the TURN REST convention
(draft-uberti-behave-turn-rest-00).
"""

import hashlib
import hmac
import struct
from base64 import b64encode

from circumtest.wire import stun

ALLOCATE = 0x0003
REFRESH = 0x0004
CREATE_PERMISSION = 0x0008
CHANNEL_BIND = 0x0009
SEND_INDICATION = 0x0016
DATA_INDICATION = 0x0017
OK = 0x0100
ERROR = 0x0110
"""A response's type is its request's with one of these bits (RFC 8489 5)."""

USERNAME = 0x0006
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA = 0x0013
REALM = 0x0014
NONCE = 0x0015
REQUESTED_ADDRESS_FAMILY = 0x0017
EVEN_PORT = 0x0018
REQUESTED_TRANSPORT = 0x0019
DONT_FRAGMENT = 0x001A
RESERVATION_TOKEN = 0x0022
SOFTWARE = 0x8022

UDP = b"\x11\0\0\0"
"""REQUESTED-TRANSPORT's only value here: protocol 17."""
FIRST_CHANNEL, LAST_CHANNEL = 0x4000, 0x7FFE
"""RFC 8656 12 leaves only those up to 0x4fff; clients of RFC 5766 use the rest, and coturn, too."""
MAX_NONCE = 763
"""Bytes that a NONCE or a REALM may have (RFC 8489 14.9, 14.10)."""
_CHANNEL_HEADER = 4


def family(version: int) -> bytes:
    """REQUESTED-ADDRESS-FAMILY's value for IP version 4 or 6 (RFC 8656 18.6)."""
    return bytes((1 if version == 4 else 2, 0, 0, 0))


def seconds(value: bytes | None) -> int:
    """LIFETIME's value (18.2).  Raises ValueError when it is not one."""
    if value is None or len(value) != 4:
        raise ValueError("not a LIFETIME")
    return int.from_bytes(value)


def channel_number(value: bytes | None) -> int:
    """CHANNEL-NUMBER's value (18.1).  Raises ValueError when it is not one that may be bound."""
    number = int.from_bytes(value[:2]) if value is not None and len(value) == 4 else 0
    if not FIRST_CHANNEL <= number <= LAST_CHANNEL:
        raise ValueError("not a channel's number")
    return number


def password(secret: str, user: str) -> str:
    """What the secret gives a user: HMAC-SHA1, as base64 text."""
    return b64encode(hmac.digest(secret.encode(), user.encode(), "sha1")).decode()


def long_term_key(user: str, realm: str, word: str) -> bytes:
    """The key of requests and answers (RFC 8489 9.2.2).  No SASLprep: ours are all ASCII."""
    text = f"{user}:{realm}:{word}".encode()
    return hashlib.md5(text, usedforsecurity=False).digest()


# ------------------------------------------------------------------ ChannelData


def is_channel_data(message: bytes) -> bool:
    """Whether a message is of channel data, by its first two bits (RFC 8656 12)."""
    return bool(message) and message[0] >> 6 == 1


def pack_channel_data(number: int, payload: bytes, *, stream: bool) -> bytes:
    """Number, length, payload; on a stream padded to whole words (12.4)."""
    padding = bytes(-len(payload) % 4) if stream else b""
    return struct.pack("!HH", number, len(payload)) + payload + padding


def parse_channel_data(message: bytes) -> tuple[int, bytes]:
    """(number, payload).  Bytes behind the payload are padding.  Raises ValueError."""
    if len(message) < _CHANNEL_HEADER or not is_channel_data(message):
        raise ValueError("not channel data")
    number, size = struct.unpack_from("!HH", message)
    if len(message) < _CHANNEL_HEADER + size:
        raise ValueError("channel data cut short")
    return number, message[_CHANNEL_HEADER : _CHANNEL_HEADER + size]


# ------------------------------------------------------------------ streams


class Framer:
    """The messages in a stream: STUN by its length, ChannelData by its own and padding.

    It keeps the beginning of one message, so at most 64 KiB.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now.  Raises ValueError for what can be neither kind."""
        self._buffer += data
        whole = []
        while len(self._buffer) >= _CHANNEL_HEADER:
            size = _size(bytes(self._buffer[:_CHANNEL_HEADER]))
            if len(self._buffer) < size:
                break
            whole.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return whole


def _size(head: bytes) -> int:
    """Bytes that a message has on a stream, by its first four."""
    length = int.from_bytes(head[2:4])
    if is_channel_data(head):
        return _CHANNEL_HEADER + length + -length % 4
    if head[0] >> 6 or length % 4 or stun.HEADER + length > stun.MAX_SIZE:
        raise ValueError("neither STUN nor channel data")
    return stun.HEADER + length


# ------------------------------------------------------------------ what may be looked at


def is_signed(data: bytes) -> bool:
    """Whether a well-formed message carries a MESSAGE-INTEGRITY, whoever made it."""
    at = stun.HEADER
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        if kind == stun.MESSAGE_INTEGRITY:
            return True
        at += 4 + size + -size % 4
    return False
