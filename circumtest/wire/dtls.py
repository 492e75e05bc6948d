"""DTLS 1.2 in bytes: records, fragments of handshake messages, and the hellos (RFC 6347, RFC 5246).

It refuses to keep state and to know a secret: how fragments become messages and records are opened
is `circumtest.dtls`'s.  Whatever is not well formed is a ValueError and nothing else.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

V10, V12, V13 = 0xFEFF, 0xFEFD, 0xFEFC
"""Versions on the wire; records with a first ClientHello say V10, whatever is offered in it."""

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, ACK = 20, 21, 22, 23, 26
"""Content types of records (RFC 5246 6.2.1, RFC 9147 4)."""

CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST, NEW_SESSION_TICKET = 1, 2, 3, 4
ENCRYPTED_EXTENSIONS, CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST = 8, 11, 12, 13
SERVER_HELLO_DONE, CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, FINISHED = 14, 15, 16, 20
MESSAGE_HASH = 254
"""Types of handshake messages (RFC 5246 7.4, RFC 6347 4.3.2, RFC 8446 4)."""

SERVER_NAME, GROUPS, SIGNATURES, USE_SRTP, ALPN = 0, 10, 13, 14, 16
EXTENDED_MASTER_SECRET, SUPPORTED_VERSIONS, COOKIE, KEY_SHARE = 23, 43, 44, 51
"""Extensions that something here has to know."""

RECORD_HEADER = 13
MESSAGE_HEADER = 12
MAX_RECORD = (1 << 14) + 2048
"""Bytes of a record's body, sealed (RFC 5246 6.2.3)."""
RANDOM = 32
_VERSIONS = (V10, V12)

ALERTS = {
    0: "close notify",
    10: "unexpected message",
    20: "bad record mac",
    22: "record overflow",
    40: "handshake failure",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    47: "illegal parameter",
    48: "unknown ca",
    49: "access denied",
    50: "decode error",
    51: "decrypt error",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    86: "inappropriate fallback",
    90: "user canceled",
    109: "missing extension",
    110: "unsupported extension",
    116: "certificate required",
    120: "no application protocol",
}
"""Descriptions of alerts by their numbers (RFC 8446 6, RFC 5246 7.2)."""


# ------------------------------------------------------------------ vectors


class Reader:
    """Reads big-endian numbers and vectors; each method raises ValueError where there is less."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self._data) - self._at:
            raise ValueError("a DTLS message ends early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        """A number of `size` bytes."""
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """A vector behind a length of `size` bytes."""
        return self.take(self.number(size))

    def numbers(self, size: int) -> tuple[int, ...]:
        """A vector of two-byte numbers."""
        data = self.vector(size)
        if len(data) % 2:
            raise ValueError("a list of two-byte numbers of odd length")
        return struct.unpack(f"!{len(data) // 2}H", data)

    @property
    def more(self) -> bool:
        """Whether something is left."""
        return self._at < len(self._data)

    def end(self) -> None:
        """Nothing may be left."""
        if self.more:
            raise ValueError("a DTLS message has more than it says")


def vector(data: bytes, size: int) -> bytes:
    """`data` behind its length in `size` bytes."""
    return len(data).to_bytes(size) + data


def numbers(values: tuple[int, ...], size: int = 2) -> bytes:
    """A vector of two-byte numbers behind its length in `size` bytes."""
    return vector(struct.pack(f"!{len(values)}H", *values), size)


# ------------------------------------------------------------------ records and fragments


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its content type, version, epoch, 48-bit sequence number and body."""

    kind: int
    epoch: int
    seq: int
    body: bytes
    version: int = V12

    def pack(self) -> bytes:
        """Its bytes (RFC 6347 4.1)."""
        number = self.epoch << 48 | self.seq
        return struct.pack("!BHQH", self.kind, self.version, number, len(self.body)) + self.body


def records(datagram: bytes) -> Iterator[Record]:
    """The records in a datagram, one by one.  Raises ValueError at the first that is none."""
    at = 0
    while at < len(datagram):
        if len(datagram) - at < RECORD_HEADER:
            raise ValueError("not a DTLS record: size")
        kind, version, number, length = struct.unpack_from("!BHQH", datagram, at)
        at += RECORD_HEADER
        if version not in _VERSIONS or not CHANGE_CIPHER_SPEC <= kind <= ACK:
            raise ValueError("not a DTLS record: header")
        if length > MAX_RECORD or length > len(datagram) - at:
            raise ValueError("not a DTLS record: length")
        body = datagram[at : at + length]
        at += length
        yield Record(kind, number >> 48, number & (1 << 48) - 1, body, version)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a handshake message: type, whole length, sequence number, its place and data."""

    kind: int
    length: int
    seq: int
    offset: int
    data: bytes

    def pack(self) -> bytes:
        """Its bytes (RFC 6347 4.2.2)."""
        head = self.kind << 24 | self.length, self.seq
        place = self.offset.to_bytes(3) + len(self.data).to_bytes(3)
        return struct.pack("!IH", *head) + place + self.data


def fragments(body: bytes) -> Iterator[Fragment]:
    """The fragments in a handshake record.  Raises ValueError at the first that is none."""
    reader = Reader(body)
    while reader.more:
        kind, length, seq = reader.number(1), reader.number(3), reader.number(2)
        offset, size = reader.number(3), reader.number(3)
        if offset + size > length or (not size and length):
            raise ValueError("a fragment beyond its message")
        yield Fragment(kind, length, seq, offset, reader.take(size))


def alert(body: bytes) -> tuple[bool, str]:
    """(whether it ends the connection, its name).  Raises ValueError for what is no alert."""
    if len(body) != 2 or body[0] not in (1, 2):
        raise ValueError("not an alert")
    return body[0] == 2 or body[1] == 0, ALERTS.get(body[1], f"alert {body[1]}")


# ------------------------------------------------------------------ hellos


Extensions = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class ClientHello:
    """A ClientHello: what of it identifies a program is order and content of its lists."""

    random: bytes
    ciphers: tuple[int, ...]
    extensions: Extensions
    version: int = V12
    session: bytes = b""
    cookie: bytes = b""
    compressions: bytes = b"\0"

    def pack(self) -> bytes:
        """The message's body (RFC 6347 4.2.1)."""
        return (
            self.version.to_bytes(2)
            + self.random
            + vector(self.session, 1)
            + vector(self.cookie, 1)
            + numbers(self.ciphers)
            + vector(self.compressions, 1)
            + vector(pack_extensions(self.extensions), 2)
        )

    @classmethod
    def unpack(cls, body: bytes) -> "ClientHello":
        """The hello in a message's body.  Raises ValueError when it is none."""
        reader = Reader(body)
        version, random = reader.number(2), reader.take(RANDOM)
        session, cookie = reader.vector(1), reader.vector(1)
        ciphers, compressions = reader.numbers(2), reader.vector(1)
        extensions = unpack_extensions(reader.vector(2)) if reader.more else ()
        reader.end()
        return cls(random, ciphers, extensions, version, session, cookie, compressions)

    def get(self, kind: int) -> bytes | None:
        """The body of an extension, None where there is none."""
        return next((body for name, body in self.extensions if name == kind), None)


@dataclass(frozen=True, slots=True)
class ServerHello:
    """A ServerHello, of DTLS 1.2 or 1.3."""

    version: int
    random: bytes
    session: bytes
    cipher: int
    extensions: Extensions

    @classmethod
    def unpack(cls, body: bytes) -> "ServerHello":
        """The hello in a message's body.  Raises ValueError when it is none."""
        reader = Reader(body)
        version, random, session = reader.number(2), reader.take(RANDOM), reader.vector(1)
        cipher, compression = reader.number(2), reader.number(1)
        extensions = unpack_extensions(reader.vector(2)) if reader.more else ()
        reader.end()
        if version != V12 or compression or len(session) > RANDOM:
            raise ValueError("a ServerHello of another kind")
        return cls(version, random, session, cipher, extensions)

    def get(self, kind: int) -> bytes | None:
        """The body of an extension, None where there is none."""
        return next((body for name, body in self.extensions if name == kind), None)


def hello_verify_cookie(body: bytes) -> bytes:
    """The cookie of a HelloVerifyRequest.  Raises ValueError when it is none."""
    reader = Reader(body)
    reader.take(2)  # RFC 6347 4.2.1: this version says nothing about the one to come
    cookie = reader.vector(1)
    reader.end()
    return cookie


def pack_extensions(extensions: Extensions) -> bytes:
    """Extensions one after another, without the length before them."""
    return b"".join(kind.to_bytes(2) + vector(body, 2) for kind, body in extensions)


def unpack_extensions(data: bytes) -> Extensions:
    """Extensions in their order.  Raises ValueError for what are none, or one twice."""
    reader = Reader(data)
    found: dict[int, bytes] = {}
    while reader.more:
        kind = reader.number(2)
        if kind in found:
            raise ValueError("an extension twice")
        found[kind] = reader.vector(2)
    return tuple(found.items())
