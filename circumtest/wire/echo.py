"""The neutral packet: random-looking bytes of any size that only the secret's holders can make.

A sealed packet (`circumtest.wire.sealed`) of zeros; in an answer they begin with an address.  An
answer is as long as what it answers, or shorter where a datagram asks for that: then the way there
is measured alone.  It refuses to be longer.
"""

import struct
from ipaddress import IPv6Address, ip_address

from circumtest.wire import sealed

MIN_SIZE = sealed.LEAST
ADDRESS_SIZE = 38
"""From this size on, an answer has room for the address that the far end saw."""
MAX_DATAGRAM = 1400
MAX_STREAM = 16384
_ASK, _ANSWER = b"ask", b"answer"


def request(nonce: bytes, size: int, secret: bytes, back: int | None = None) -> bytes:
    """A request of `size` bytes for an 8-byte nonce, of which the top two bits do not count.

    The answer is to have `back` bytes, by default as many; over streams it always does.
    """
    return sealed.seal(sealed.fresh(nonce), b"", size, secret, _ASK, back)


def answer(asked: bytes, host: str, port: int, secret: bytes) -> bytes:
    """The answer to a request, with the address it came from where there is room.

    It has the size that was asked for, and never more bytes than the request.
    """
    address = b""
    size = min(len(asked), max(sealed.length(asked[: sealed.HEAD], secret, _ASK), MIN_SIZE))
    if size >= ADDRESS_SIZE:
        packed = ip_address(host).packed
        address = struct.pack("!H", port) + (packed if len(packed) == 16 else _mapped(packed))
    return sealed.seal(asked[: sealed.NONCE], address, size, secret, _ANSWER)


def is_request(data: bytes, secret: bytes) -> bool:
    """Whether these bytes are one authentic request."""
    return sealed.is_authentic(data, secret, _ASK)


def request_length(head: bytes, secret: bytes) -> int:
    """The length that the first 10 bytes of a stream announce; any number when they are foreign."""
    return sealed.length(head, secret, _ASK)


def parse_answer(
    data: bytes, asked: bytes, secret: bytes, back: int | None = None
) -> tuple[str, int] | None:
    """(host, port) that the far end saw; None where the size leaves no room for it.

    Raises ValueError for anything but an authentic answer to this very request.
    """
    size = len(asked) if back is None else min(back, len(asked))
    if data[: sealed.NONCE] != asked[: sealed.NONCE] or len(data) != size:
        raise ValueError("answer to something else")
    plain = sealed.unseal(data, secret, _ANSWER)
    if len(data) < ADDRESS_SIZE:
        return None
    seen = IPv6Address(plain[2:18])
    return str(seen.ipv4_mapped or seen), int.from_bytes(plain[:2])


def _mapped(packed: bytes) -> bytes:
    return bytes(10) + b"\xff\xff" + packed
