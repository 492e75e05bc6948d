"""WHIP (RFC 9725) as bytes: an offer posted over HTTP/1.1, the answer that comes back, the end.

It refuses redirects, chunks, and whatever else HTTP has: a caller and his far half need one request
each.  Whatever comes, a parser returns a value, None while octets are missing, or ValueError.
"""

import re
from typing import NamedTuple

from circumtest.wire import http, sdp

PATH = "/whip"
LIMIT = http.LIMIT + sdp.MAX_SIZE
"""Octets that a request or an answer may have."""
CREATED = 201

_BEGINS = (b"POST ", b"DELETE ")
_REQUEST = re.compile(rb"(POST|DELETE) (/[!-~]*) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_TAG = re.compile(r'"([!#-~]*)"')
_END = b"\r\n\r\n"


class Request(NamedTuple):
    """What a caller asks: a POST with an offer, or a DELETE of what the POST made."""

    method: str
    path: str
    body: bytes


class Reply(NamedTuple):
    """What he is told: status, entity tag without its quotes ("" for none), where the call is."""

    status: int
    reason: str
    tag: str
    location: str
    body: bytes


def post(host: str, port: int, offer: bytes) -> bytes:
    """The request that begins a call (4.2)."""
    return _pack(f"POST {PATH} HTTP/1.1", (("Host", _at(host, port)),), offer)


def delete(host: str, port: int, location: str) -> bytes:
    """The request that ends it."""
    return _pack(f"DELETE {location} HTTP/1.1", (("Host", _at(host, port)),), b"")


def created(answer: bytes, location: str, tag: str) -> bytes:
    """The answer to a POST: 201 with the description, where the call is, and its tag."""
    return _pack("HTTP/1.1 201 Created", (("Location", location), ("ETag", f'"{tag}"')), answer)


def plain(status: int, reason: str) -> bytes:
    """Any other answer."""
    return _pack(f"HTTP/1.1 {status} {reason}", (), b"")


def request(data: bytes) -> Request | None:
    """The request at the beginning of `data`, None while octets are missing.

    Raises ValueError for what is none, as soon as that is certain, or is larger than LIMIT.
    """
    if not any(data[: len(begins)] == begins[: len(data)] for begins in _BEGINS):
        raise ValueError("not a WHIP request")
    head, found, rest = data.partition(_END)
    if len(head) > http.LIMIT:
        raise ValueError("an HTTP head that is too long")
    if not found:
        return None
    first, *lines = head.split(b"\r\n")
    if (asked := _REQUEST.fullmatch(first)) is None:
        raise ValueError("not a WHIP request")
    fields = {}
    for line in lines:
        if (field := _FIELD.fullmatch(line)) is None:
            raise ValueError("not an HTTP field")
        fields[field[1].lower()] = field[2]
    body = _body(rest, fields.get(b"content-length", b"0").decode("latin-1"))
    return None if body is None else Request(asked[1].decode(), asked[2].decode(), body)


def reply(data: bytes) -> Reply | None:
    """The answer at the beginning of `data`; as `request`."""
    head = http.head(data)
    if head is None:
        return None
    body = _body(data[head.length :], head.fields.get("content-length", "0"))
    if body is None:
        return None
    tag = _TAG.fullmatch(head.fields.get("etag", ""))
    location = head.fields.get("location", "")
    return Reply(head.status, head.reason, tag[1] if tag else "", location, body)


def _body(rest: bytes, length: str) -> bytes | None:
    if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > sdp.MAX_SIZE:
        raise ValueError("a body of a length that no description has")
    return rest[: int(length)] if len(rest) >= int(length) else None


def _pack(first: str, fields: tuple[tuple[str, str], ...], body: bytes) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in fields)]
    if body:
        lines.append(f"Content-Type: {sdp.TYPE}")
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
