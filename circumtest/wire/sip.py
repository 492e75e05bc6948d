"""SIP messages as values: RFC 3261 requests and responses, their headers, framing on streams.

A message keeps its headers as they came, in order, but for folds; names are compared as 7.3.1 and
7.3.3 want: without case, compact forms for what they stand for.  It refuses to know transactions
and methods.  What is not well formed, or beyond the bounds, is a ValueError and nothing else.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_SIZE = 16384
"""Bytes of a message that is looked at."""
MAX_HEADERS = 128
MAX_NUMBER = (1 << 31) - 1
"""CSeq numbers are below 2**31 (8.1.1.5)."""

_VERSION = "SIP/2.0"
_COMPACT = {
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "s": "subject",
    "t": "to",
    "v": "via",
}
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+\Z")  # 25.1
_FOLD = re.compile(r"\r\n[ \t]+")
_STATUS = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9]) ([^\r\n]*)\Z", re.IGNORECASE)
_END = b"\r\n\r\n"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Headers:
    """(name, value) in order, values without surrounding blanks."""

    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of that header, in order; comma-separated ones are not split."""
        wanted = canonical(name)
        return tuple(value for given, value in self.fields if canonical(given) == wanted)

    def get(self, name: str) -> str:
        """The first value of that header, "" where there is none."""
        return next(iter(self.all(name)), "")

    @property
    def cseq(self) -> tuple[int, str]:
        """The CSeq's number and method."""
        number, _, method = self.get("CSeq").partition(" ")
        return int(number), method.strip()


@dataclass(frozen=True, slots=True)
class Request(Headers):
    """A method and the URI that it is for."""

    method: str = ""
    uri: str = ""

    @property
    def start(self) -> str:
        return f"{self.method} {self.uri} {_VERSION}"


@dataclass(frozen=True, slots=True)
class Response(Headers):
    """A status from 100 to 699 and its words."""

    code: int = 0
    reason: str = ""

    @property
    def start(self) -> str:
        return f"{_VERSION} {self.code} {self.reason}"


Message = Request | Response


def canonical(name: str) -> str:
    """A header's name in lower case and in full."""
    lower = name.lower()
    return _COMPACT.get(lower, lower)


# ------------------------------------------------------------------ bytes


def pack(message: Message) -> bytes:
    """The bytes of a message, with a Content-Length that is right (20.14)."""
    lines = [message.start]
    lines += [f"{name}: {value}" for name, value in message.fields]
    lines += [f"Content-Length: {len(message.body)}", "", ""]
    return "\r\n".join(lines).encode() + message.body


def unpack(data: bytes) -> Message:
    """The message in a datagram; what follows its Content-Length is cut off (18.3).

    Raises ValueError for anything that is not a well-formed SIP message with the headers that
    every one must have (8.1.1), and for more than MAX_SIZE bytes.
    """
    if len(data) > MAX_SIZE:
        raise ValueError("SIP message too long")
    head, end, body = data.partition(_END)
    if not end:
        raise ValueError("SIP message without end of headers")
    start, fields = _head(head)
    length = _length(fields)
    if length is not None and length > len(body):
        raise ValueError("SIP body cut short")
    return _message(start, fields, body if length is None else body[:length])


@dataclass(slots=True)
class Framer:
    """Messages of one direction of a stream, by Content-Length (18.3)."""

    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now.

        Raises ValueError for what cannot be framed, or is longer than MAX_SIZE: then nothing that
        comes later on this stream has a meaning.
        """
        self._buffer += data
        found: list[Message] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        # 7.5: blank lines before a message are skipped; they keep streams alive (RFC 5626 3.5.1).
        while self._buffer[:2] == b"\r\n":
            del self._buffer[:2]
        at = self._buffer.find(_END)
        if at < 0:
            if len(self._buffer) > MAX_SIZE:
                raise ValueError("SIP headers without end")
            return None
        start, fields = _head(bytes(self._buffer[:at]))
        length = _length(fields)
        if length is None:
            raise ValueError("SIP message without Content-Length on a stream")
        end = at + len(_END) + length
        if end > MAX_SIZE:
            raise ValueError("SIP message too long")
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[at + len(_END) : end])
        del self._buffer[:end]
        return _message(start, fields, body)


def _head(head: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    try:
        lines = _FOLD.sub(" ", head.decode()).split("\r\n")
    except UnicodeDecodeError:
        raise ValueError("SIP headers are not UTF-8") from None
    if len(lines) > MAX_HEADERS:
        raise ValueError("too many SIP headers")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.match(name.rstrip()) or _CONTROL.search(value):
            raise ValueError("not a SIP header")
        fields.append((name.rstrip(), value.strip()))
    return lines[0], tuple(fields)


def _length(fields: Iterable[tuple[str, str]]) -> int | None:
    values = {value for name, value in fields if canonical(name) == "content-length"}
    if not values:
        return None
    if len(values) > 1:
        raise ValueError("two lengths")
    return number(values.pop(), MAX_SIZE)


def _message(start: str, fields: tuple[tuple[str, str], ...], body: bytes) -> Message:
    fields = tuple(one for one in fields if canonical(one[0]) != "content-length")
    message: Message
    if status := _STATUS.match(start):
        message = Response(fields, body, int(status[1]), status[2])
    else:
        method, _, rest = start.partition(" ")
        uri, _, version = rest.partition(" ")
        if version.upper() != _VERSION or not _TOKEN.match(method) or not uri:
            raise ValueError("not a SIP message")
        if _CONTROL.search(uri):
            raise ValueError("not a URI")
        message = Request(fields, body, method, uri)
    _check(message)
    return message


def _check(message: Message) -> None:
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        if not message.get(name):
            raise ValueError(f"SIP message without {name}")
    text, _, method = message.get("CSeq").partition(" ")
    number(text, MAX_NUMBER)
    if not _TOKEN.match(method.strip()):
        raise ValueError("not a CSeq")
    if isinstance(message, Request) and method.strip() != message.method:
        raise ValueError("the CSeq is another method's")


def number(text: str, most: int) -> int:
    """Decimal digits as a number up to `most`.  Raises ValueError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > most:
        raise ValueError("not a number within its bounds")
    return int(text)


# ------------------------------------------------------------------ what stands in headers


def split(value: str, separator: str = ",") -> list[str]:
    """The parts of a header's value: separators within quotes or angle brackets do not count."""
    parts, part, quoted, angle, escaped = [], "", False, False, False
    for char in value:
        if char == separator and not quoted and not angle:
            parts.append(part.strip())
            part = ""
            continue
        if quoted:
            if char == '"' and not escaped:
                quoted = False
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "<>":
            angle = char == "<"
        part += char
    parts.append(part.strip())
    return parts


def parameters(value: str) -> dict[str, str]:
    """The `;name=value` behind a header's value, names in lower case; flags have the value ""."""
    found = {}
    for part in split(value, ";")[1:]:
        name, _, given = part.partition("=")
        found[name.strip().lower()] = given.strip().strip('"')
    return found


def uri_in(value: str) -> str:
    """The URI of a name-addr or addr-spec (20.10), "" where there is none."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", value)
    if "<" in bare:
        return bare.partition("<")[2].partition(">")[0].strip()
    return bare.partition(";")[0].strip()


def branch(message: Message) -> str:
    """The branch of the topmost Via: which transaction it is of (17.1.3, 17.2.3)."""
    return parameters(split(message.get("Via"))[0]).get("branch", "")


def tag(value: str) -> str:
    """The tag of a From or To value, "" where there is none."""
    return parameters(value).get("tag", "")


def seen_at(message: Message) -> tuple[str, int]:
    """Where the far end saw the request come from: `received` and `rport` (18.2.1, RFC 3581 4).

    The port is 0 where it does not say.  Raises ValueError where it names no address.
    """
    found = parameters(split(message.get("Via"))[0])
    host = found.get("received", "").removeprefix("[").removesuffix("]")
    port = number(found.get("rport") or "0", 65535)
    return str(ipaddress.ip_address(host)), port


def host_of(address: str) -> str:
    """An IP address as it stands in URIs and Vias: IPv6 in brackets (RFC 3261 25.1)."""
    return f"[{address}]" if ":" in address else address
