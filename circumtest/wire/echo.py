"""The neutral packet: random-looking bytes of any size that only the secret's holders can make.

    8 nonce | 2 length, masked | 10 tag | filler, masked; in an answer it begins with an address

The tag authenticates direction, nonce and everything behind; masks come from secret and nonce, so
that no byte is constant.  It refuses to look like any protocol: the top two bits are set, which
STUN (00), TURN's channels (01) and RTP (10) never do (RFC 7983), whatever the rest happens to be.
"""

import hmac
import struct
from hashlib import shake_256
from ipaddress import IPv6Address, ip_address

MIN_SIZE = 20
ADDRESS_SIZE = 38
"""From this size on, an answer has room for the address that the far end saw."""
MAX_DATAGRAM = 1400
MAX_STREAM = 16384
_NONCE, _TAG = 8, 10
_TOP = 0xC0
_HEAD = _NONCE + 2
_ASK, _ANSWER = b"ask", b"answer"


def request(nonce: bytes, size: int, secret: bytes) -> bytes:
    """A request of `size` bytes for an 8-byte nonce, of which the top two bits do not count."""
    return _seal(bytes([nonce[0] | _TOP]) + nonce[1:], b"", size, secret, _ASK)


def answer(asked: bytes, host: str, port: int, secret: bytes) -> bytes:
    """The answer to a request, of its size, with the address it came from where there is room."""
    address = b""
    if len(asked) >= ADDRESS_SIZE:
        packed = ip_address(host).packed
        address = struct.pack("!H", port) + (packed if len(packed) == 16 else _mapped(packed))
    return _seal(asked[:_NONCE], address, len(asked), secret, _ANSWER)


def is_request(data: bytes, secret: bytes) -> bool:
    """Whether these bytes are one authentic request."""
    return _authentic(data, secret, _ASK)


def request_length(head: bytes, secret: bytes) -> int:
    """The length that the first 10 bytes of a stream announce; any number when they are foreign."""
    mask = _mask(head[:_NONCE], 2, secret, _ASK)
    return int.from_bytes(_xor(head[_NONCE:_HEAD], mask))


def parse_answer(data: bytes, asked: bytes, secret: bytes) -> tuple[str, int] | None:
    """(host, port) that the far end saw; None where the size leaves no room for it.

    Raises ValueError for anything but an authentic answer to this very request.
    """
    if data[:_NONCE] != asked[:_NONCE] or len(data) != len(asked):
        raise ValueError("answer to something else")
    if not _authentic(data, secret, _ANSWER):
        raise ValueError("answer not authentic")
    if len(data) < ADDRESS_SIZE:
        return None
    mask = _mask(data[:_NONCE], len(data) - _NONCE - _TAG, secret, _ANSWER)
    plain = _xor(data[_HEAD + _TAG : ADDRESS_SIZE], mask[2:])
    seen = IPv6Address(plain[2:])
    return str(seen.ipv4_mapped or seen), int.from_bytes(plain[:2])


# ------------------------------------------------------------------ bytes


def _seal(nonce: bytes, body: bytes, size: int, secret: bytes, direction: bytes) -> bytes:
    if size < MIN_SIZE or len(nonce) != _NONCE:
        raise ValueError("an echo has at least 20 bytes and a nonce of 8")
    plain = size.to_bytes(2) + body.ljust(size - MIN_SIZE, b"\0")
    masked = _xor(plain, _mask(nonce, len(plain), secret, direction))
    return nonce + masked[:2] + _tag(nonce + masked, secret, direction) + masked[2:]


def _authentic(data: bytes, secret: bytes, direction: bytes) -> bool:
    if len(data) < MIN_SIZE:
        return False
    head, tag, rest = data[:_HEAD], data[_HEAD : _HEAD + _TAG], data[_HEAD + _TAG :]
    return hmac.compare_digest(tag, _tag(head + rest, secret, direction))


def _tag(data: bytes, secret: bytes, direction: bytes) -> bytes:
    return hmac.digest(secret, direction + data, "sha256")[:_TAG]


def _mask(nonce: bytes, size: int, secret: bytes, direction: bytes) -> bytes:
    key = hmac.digest(secret, b"mask " + direction + nonce, "sha256")
    return shake_256(key).digest(size)


def _mapped(packed: bytes) -> bytes:
    return bytes(10) + b"\xff\xff" + packed


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=False))
