"""CONNECT through an HTTP proxy as bytes: the request, the head of the answer (RFC 9110, RFC 9112).

It refuses bodies and everything but the head: what follows a 2xx answer is the target's already.
Whatever a proxy sends, the parser returns a value or raises ValueError, and it keeps no more than
LIMIT octets waiting.
"""

import base64
import ipaddress
import re
from typing import NamedTuple

LIMIT = 16384
"""Octets that a head may have; the RFC leaves it open, common servers stop at 8 to 16 KiB."""

_BEGINS = b"HTTP/1."
_END = re.compile(rb"\r?\n\r?\n")  # a bare LF may end a line (RFC 9112 section 2.2)
_STATUS = re.compile(rb"HTTP/1\.\d ([1-9]\d\d)(?: ([^\r\n]*))?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")


class Head(NamedTuple):
    """An answer's head: fields by lower-case name, and its length in octets, empty line included.

    Of a field that is given several times, the values are joined by commas (RFC 9110 section 5.3).
    """

    status: int
    reason: str
    fields: dict[str, str]
    length: int


def connect(host: str, port: int, user: str = "", password: str = "") -> bytes:
    """The request for a tunnel to an IP address (RFC 9110 section 9.3.6), with Basic (RFC 7617)."""
    at = f"[{host}]:{port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{port}"
    lines = [f"CONNECT {at} HTTP/1.1", f"Host: {at}"]
    if user:
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    return "\r\n".join([*lines, "", ""]).encode()


def head(data: bytes) -> Head | None:
    """The head at the beginning of `data`, None while octets are missing.

    Raises ValueError for what is no HTTP/1 answer, as soon as that is certain, and for a head that
    is longer than LIMIT.
    """
    if data[: len(_BEGINS)] != _BEGINS[: len(data)]:
        raise ValueError("not an HTTP answer")
    end = _END.search(data, 0, LIMIT)
    if end is None:
        if len(data) >= LIMIT:
            raise ValueError(f"an HTTP head of more than {LIMIT} octets")
        return None
    first, *rest = re.split(rb"\r?\n", data[: end.start()])
    status = _STATUS.fullmatch(first)
    if status is None:
        raise ValueError("not an HTTP status line")
    fields: dict[str, str] = {}
    for line in rest:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise ValueError("not an HTTP field")
        name, value = field[1].decode().lower(), field[2].decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Head(int(status[1]), (status[2] or b"").decode("latin-1"), fields, end.end())
