"""SOCKS version 5 as bytes: greeting, password, request, reply, datagram (RFC 1928, RFC 1929).

It refuses fragments, BIND and GSSAPI, keeps no state and reads no socket: `*_LENGTH` say how many
bytes to have before calling, and `reply` says None while it needs more.  Whatever bytes a proxy
sends, a parser here returns a value or raises ValueError.
"""

import ipaddress
from enum import IntEnum
from typing import NamedTuple

VERSION = 5
METHOD_LENGTH = 2
STATUS_LENGTH = 2
MAX_CREDENTIAL = 255
"""RFC 1929 section 2: user name and password are 1 to 255 bytes each."""

_IPV4, _NAME, _IPV6 = 1, 3, 4
_HEADER = 4


class Method(IntEnum):
    """How a client may prove who it is (RFC 1928 section 3)."""

    NONE = 0x00
    PASSWORD = 0x02
    UNACCEPTABLE = 0xFF


class Request(IntEnum):
    """What a client may ask for (RFC 1928 section 4); BIND is left out on purpose."""

    CONNECT = 1
    UDP_ASSOCIATE = 3


class Code(IntEnum):
    """What a proxy may answer (RFC 1928 section 6)."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_NOT_SUPPORTED = 8


class Reply(NamedTuple):
    """A proxy's answer: `host` is an IP address as text, or a name; `code` may be unknown."""

    code: int
    host: str
    port: int


class Datagram(NamedTuple):
    """What a relay passes on: whose it is (or whose it shall be) and the payload."""

    host: str
    port: int
    payload: bytes


def greeting(*methods: Method) -> bytes:
    """The client's first bytes: the methods that it offers (RFC 1928 section 3)."""
    return bytes([VERSION, len(methods), *methods])


def method(data: bytes) -> int:
    """The method that the proxy chose, from its METHOD_LENGTH bytes.  Raises ValueError."""
    if len(data) != METHOD_LENGTH or data[0] != VERSION:
        raise ValueError("not a SOCKS5 method selection")
    return data[1]


def credentials(user: bytes, password: bytes) -> bytes:
    """User name and password (RFC 1929 section 2).  Raises ValueError for a wrong length."""
    for what, value in (("user name", user), ("password", password)):
        if not 1 <= len(value) <= MAX_CREDENTIAL:
            raise ValueError(f"a SOCKS5 {what} has 1 to {MAX_CREDENTIAL} bytes")
    return bytes([1, len(user), *user, len(password), *password])


def granted(data: bytes) -> bool:
    """Whether the password was right, from the proxy's STATUS_LENGTH bytes.  Raises ValueError.

    Servers are found that answer with version 5 instead of 1; only the status matters.
    """
    if len(data) != STATUS_LENGTH or data[0] not in (1, VERSION):
        raise ValueError("not a SOCKS5 password status")
    return data[1] == 0


def request(what: Request, host: str, port: int) -> bytes:
    """A request for an IP address and port (RFC 1928 section 4).  Raises ValueError."""
    return bytes([VERSION, what, 0]) + _address(host, port)


def reply(data: bytes) -> Reply | None:
    """The proxy's answer (RFC 1928 section 6), None while bytes are missing.  Raises ValueError.

    A proxy that refuses may send the first two bytes and hang up, so a refusal needs only these.
    """
    if data[:1] not in (b"", bytes([VERSION])):
        raise ValueError("not a SOCKS5 reply")
    if len(data) >= 2 and data[1] != Code.SUCCEEDED:
        return Reply(data[1], "", 0)
    if len(data) <= _HEADER:
        return None
    end = _end(data)
    return Reply(data[1], *_host_port(data, end)) if len(data) >= end else None


def datagram(host: str, port: int, payload: bytes) -> bytes:
    """A datagram for the relay to pass on to an IP address (RFC 1928 section 7)."""
    return bytes(3) + _address(host, port) + payload


def parse_datagram(data: bytes) -> Datagram:
    """What the relay passes on (RFC 1928 section 7).

    Raises ValueError for what is not one, for a fragment (an implementation without reassembly
    MUST drop it) and for a name where an address belongs.
    """
    if len(data) <= _HEADER or data[:2] != b"\0\0":
        raise ValueError("not a SOCKS5 datagram")
    if data[2] != 0:
        raise ValueError("a fragment")
    if data[3] == _NAME:
        raise ValueError("a name instead of an address")
    end = _end(data)
    if len(data) < end:
        raise ValueError("a truncated SOCKS5 datagram")
    return Datagram(*_host_port(data, end), data[end:])


def _address(host: str, port: int) -> bytes:
    packed = ipaddress.ip_address(host).packed
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"port {port} is out of range")
    return bytes([_IPV4 if len(packed) == 4 else _IPV6]) + packed + port.to_bytes(2, "big")


def _end(data: bytes) -> int:
    """Where the address and port that begin at byte 3 end; `data` has at least five bytes."""
    sizes = {_IPV4: 4, _IPV6: 16, _NAME: 1 + data[_HEADER]}
    if data[3] not in sizes:
        raise ValueError(f"address type {data[3]}")
    return _HEADER + sizes[data[3]] + 2


def _host_port(data: bytes, end: int) -> tuple[str, int]:
    host, port = data[_HEADER : end - 2], int.from_bytes(data[end - 2 : end], "big")
    if data[3] == _NAME:
        return host[1:].decode("ascii", "backslashreplace"), port
    return str(ipaddress.ip_address(host)), port
