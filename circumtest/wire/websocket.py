"""WebSocket as bytes (RFC 6455): the upgrade, and frames of both halves.

It is here and no library's because all chance of a trial, the key and the masks too, is the
script's.  It refuses extensions, text, and messages that are longer than anybody here sends.
"""

import base64
import hashlib
from typing import NamedTuple

from circumtest.wire import http

KEY = 16
"""Random bytes in a request for the upgrade (4.1)."""
MASK = 4
MAX_PAYLOAD = 65536
"""Bytes of a frame; what is longer is garbage here."""
CONTINUATION, BINARY, CLOSE, PING, PONG = 0x0, 0x2, 0x8, 0x9, 0xA
_KNOWN = frozenset({CONTINUATION, BINARY, CLOSE, PING, PONG})
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    """One frame: whether it ends its message, its opcode, the payload unmasked, its octets."""

    final: bool
    opcode: int
    payload: bytes
    masked: bool
    length: int


def pack_request(host: str, path: str, key: bytes, origin: str) -> bytes:
    """The request for the upgrade (4.1); `key` is 16 random bytes."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Origin: {origin}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def parse_request(data: bytes) -> tuple[str, int] | None:
    """The key (base64) in a request for the upgrade, and its octets; None while some are missing.

    Raises ValueError for what is none.
    """
    if data[:4] != b"GET "[: len(data)]:
        raise ValueError("not a GET")
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > http.LIMIT:
            raise ValueError("an endless head")
        return None
    for line in data[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            return value.strip().decode("latin-1"), end + 4
    raise ValueError("no WebSocket key")


def accept(key: str) -> str:
    """What a server must say to a key (4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()  # noqa: S324


def pack_answer(key: str) -> bytes:
    """The server's consent."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept(key)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def parse_answer(data: bytes, key: bytes) -> tuple[int, int] | None:
    """The status of the answer to a request with that key, and its octets; None while some miss.

    Raises ValueError for what is no HTTP, and for a 101 that does not answer that key.
    """
    head = http.head(data)
    if head is None:
        return None
    told = head.fields.get("sec-websocket-accept", "")
    if head.status == 101 and told != accept(base64.b64encode(key).decode()):
        raise ValueError("the server has not read the key")
    return head.status, head.length


def pack_frame(payload: bytes, mask: bytes = b"", opcode: int = BINARY) -> bytes:
    """A whole message in one frame (5.2): masked from a client, with 4 random bytes."""
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        size = bytes([masked | len(payload)])
    elif len(payload) <= 0xFFFF:
        size = bytes([masked | 126]) + len(payload).to_bytes(2)
    else:
        raise ValueError("longer than anybody here sends")
    return bytes([0x80 | opcode]) + size + mask + _masked(payload, mask)


def parse_frame(data: bytes) -> Frame | None:
    """The frame at the beginning of `data`, None while octets are missing.  Raises ValueError."""
    if len(data) < 2:
        return None
    if data[0] & 0x70 or data[0] & 0xF not in _KNOWN:
        raise ValueError("a frame of an unknown kind")
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(data[2:at]) if len(data) >= at else 0
    if size > MAX_PAYLOAD:
        raise ValueError("a frame longer than anybody sends")
    mask = data[at : at + MASK] if data[1] & 0x80 else b""
    end = at + (MASK if data[1] & 0x80 else 0) + size
    if len(data) < end:
        return None
    payload = _masked(data[end - size : end], mask)
    return Frame(bool(data[0] & 0x80), data[0] & 0xF, payload, bool(mask), end)


def _masked(payload: bytes, mask: bytes) -> bytes:
    if not mask:
        return payload
    long = mask * (len(payload) // MASK + 1)
    return bytes(a ^ b for a, b in zip(payload, long, strict=False))
