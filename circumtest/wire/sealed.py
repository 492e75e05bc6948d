"""Sealed packets: bytes of a chosen size that only a secret's holders can make or read.

    8 nonce | 2 length, masked | 10 tag | the rest, masked

The tag authenticates direction, nonce and everything behind; masks come from secret and nonce, so
that no byte is constant.  It refuses to look like any protocol: the top two bits are set, which
STUN (00), TURN's channels (01) and RTP (10) never do (RFC 7983), whatever the rest happens to be.
"""

import hmac
from hashlib import shake_256

NONCE = 8
HEAD = NONCE + 2
"""Bytes of a stream that say how long a packet is."""
LEAST = 20
"""Bytes of a packet without a body."""
_TAG = 10
_TOP = 0xC0


def fresh(nonce: bytes) -> bytes:
    """8 random bytes as a nonce: the top two bits do not count."""
    return bytes([nonce[0] | _TOP]) + nonce[1:NONCE]


def seal(
    nonce: bytes,
    body: bytes,
    size: int,
    secret: bytes,
    direction: bytes,
    announced: int | None = None,
) -> bytes:
    """`body`, filled up with zeros, as a packet of `size` bytes.

    The length that it names is `announced`, by default its own.
    Raises ValueError for a nonce that is not one, or a size that the body does not fit.
    """
    if len(nonce) != NONCE or size < LEAST + len(body):
        raise ValueError(
            "a sealed packet has at least 20 bytes, a nonce of 8 and room for its body"
        )
    told = size if announced is None else announced
    plain = told.to_bytes(2) + body.ljust(size - LEAST, b"\0")
    masked = _xor(plain, _mask(nonce, len(plain), secret, direction))
    return nonce + masked[:2] + _tag(nonce + masked, secret, direction) + masked[2:]


def is_authentic(data: bytes, secret: bytes, direction: bytes) -> bool:
    """Whether these bytes are one packet sealed under `secret` for `direction`."""
    if len(data) < LEAST:
        return False
    head, tag, rest = data[:HEAD], data[HEAD : HEAD + _TAG], data[HEAD + _TAG :]
    return hmac.compare_digest(tag, _tag(head + rest, secret, direction))


def unseal(data: bytes, secret: bytes, direction: bytes) -> bytes:
    """The body with its filling.  Raises ValueError for anything that is not authentic."""
    if not is_authentic(data, secret, direction):
        raise ValueError("not authentic")
    mask = _mask(data[:NONCE], len(data) - NONCE - _TAG, secret, direction)
    return _xor(data[HEAD + _TAG :], mask[2:])


def length(head: bytes, secret: bytes, direction: bytes) -> int:
    """The size that the first 10 bytes of a stream announce; any number when they are foreign."""
    return int.from_bytes(_xor(head[NONCE:HEAD], _mask(head[:NONCE], 2, secret, direction)))


def _tag(data: bytes, secret: bytes, direction: bytes) -> bytes:
    return hmac.digest(secret, direction + data, "sha256")[:_TAG]


def _mask(nonce: bytes, size: int, secret: bytes, direction: bytes) -> bytes:
    key = hmac.digest(secret, b"mask " + direction + nonce, "sha256")
    return shake_256(key).digest(size)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=False))
