"""The time asked for in one datagram (NTP, RFC 5905; the client's half of SNTP): bytes and values.

It refuses to tell the time: what counts is that an answer to this very question came back, of the
same size.  As RFC 9109's and the data-minimisation drafts have it, the question carries nothing but
its version, its mode and 8 random bytes where the time would stand.
"""

from typing import NamedTuple

PORT = 123
SIZE = 48
COOKIE = 8
"""Bytes of the transmit timestamp, which an answer gives back as its origin."""
_CLIENT, _SERVER = 3, 4
_VERSION = 4
_ORIGIN, _TRANSMIT = slice(24, 32), slice(40, 48)


class Answer(NamedTuple):
    """What a server said: `stratum` 1 to 15, or 0 with `code`, the four letters of a refusal."""

    stratum: int
    code: str


def pack_request(cookie: bytes) -> bytes:
    """The 48 bytes of a question; `cookie` is 8 random bytes.  Raises ValueError."""
    if len(cookie) != COOKIE:
        raise ValueError("a cookie is 8 bytes")
    return bytes([_VERSION << 3 | _CLIENT]).ljust(SIZE - COOKIE, b"\0") + cookie


def parse_request(data: bytes) -> bytes:
    """The cookie of a question.  Raises ValueError for what is none."""
    if len(data) != SIZE or data[0] & 7 != _CLIENT:
        raise ValueError("not a client's request")
    return data[_TRANSMIT]


def pack_answer(cookie: bytes, now: bytes, *, stratum: int = 2, code: bytes = b"") -> bytes:
    """An answer to the question with `cookie`; `now` is the 8 bytes of a time stamp."""
    head = bytes([_VERSION << 3 | _SERVER, stratum, 6, 0xEC]) + bytes(8) + code.ljust(4, b"\0")
    return head + now + cookie + now + now


def parse_answer(data: bytes, cookie: bytes) -> Answer | None:
    """The answer to the question with `cookie`, None for one to another question.

    What follows the 48 bytes (extensions, a MAC) is not looked at.  Raises ValueError for what is
    no answer of a server.
    """
    if len(data) < SIZE or data[0] & 7 != _SERVER:
        raise ValueError("not a server's answer")
    if data[_ORIGIN] != cookie:
        return None
    stratum = data[1]
    if stratum > 15 or (stratum and not any(data[_TRANSMIT])):
        raise ValueError("an answer without a time")
    return Answer(stratum, "" if stratum else data[12:16].rstrip(b"\0").decode("latin-1"))
