"""The ClientHello at the start of a TLS stream: records, a message in fragments, its extensions.

What an onlooker reads who has the first bytes that a client sent (RFC 8446 4.1.2 and 5.1).  It
refuses everything behind the hello, and to know a secret.  Whatever is not well formed is a
ValueError and nothing else; what has only begun is None.
"""

from circumtest.wire.dtls import (
    ALPN,
    HANDSHAKE,
    RANDOM,
    SERVER_NAME,
    SUPPORTED_VERSIONS,
    ClientHello,
    Reader,
    unpack_extensions,
)
from circumtest.wire.dtls import CLIENT_HELLO as _CLIENT_HELLO

ECH = 0xFE0D
"""encrypted_client_hello (draft-ietf-tls-esni-18 5); browsers send one with noise in it as well."""
RECORD_HEADER, MESSAGE_HEADER = 5, 4
MAX_RECORD = 1 << 14
"""Bytes of a record in clear text (RFC 8446 5.1)."""
MAX_HELLO = 1 << 16
"""Longer hellos are malformed here: with post-quantum key shares they have some 2000 bytes."""
_MAJOR, _LAST_MINOR = 3, 4
_DNS_NAME = 0


def begins(data: bytes) -> bool:
    """Whether a stream's first bytes, at least six, begin a record that holds a ClientHello."""
    return (
        len(data) > RECORD_HEADER
        and data[0] == HANDSHAKE
        and data[1] == _MAJOR
        and data[2] <= _LAST_MINOR
        and 0 < int.from_bytes(data[3:5]) <= MAX_RECORD
        and data[5] == _CLIENT_HELLO
    )


def message(data: bytes) -> tuple[bytes, int] | None:
    """The ClientHello's body, and how many bytes of the stream its records took up to its end.

    `data` are the stream's first bytes.  None while some are missing; ValueError for what is none.
    """
    body, at = bytearray(), 0
    while True:
        head = data[at : at + RECORD_HEADER]
        if not _possible(head):
            raise ValueError("not a TLS handshake record")
        if len(head) < RECORD_HEADER:
            return None
        at += RECORD_HEADER
        piece = data[at : at + int.from_bytes(head[3:])]
        body += piece
        at += len(piece)
        size = _size(body)
        if size is not None and len(body) >= size:
            return bytes(body[MESSAGE_HEADER:size]), at - (len(body) - size)
        if len(piece) < int.from_bytes(head[3:]):
            return None


def client_hello(data: bytes) -> ClientHello | None:
    """The ClientHello that a stream begins with, as `message` finds it."""
    found = message(data)
    return None if found is None else unpack(found[0])


def unpack(body: bytes) -> ClientHello:
    """The hello in a message's body, of TLS or of QUIC.  Raises ValueError when it is none."""
    reader = Reader(body)
    version, random = reader.number(2), reader.take(RANDOM)
    session, ciphers, compressions = reader.vector(1), reader.numbers(2), reader.vector(1)
    extensions = unpack_extensions(reader.vector(2)) if reader.more else ()
    reader.end()
    return ClientHello(random, ciphers, extensions, version, session, b"", compressions)


def server_name(hello: ClientHello) -> str:
    """Whom the client wants (RFC 6066 3), in lower case; "" for nobody.  Raises ValueError."""
    body = hello.get(SERVER_NAME)
    if not body:
        return ""
    names = Reader(Reader(body).vector(2))
    while names.more:
        kind, name = names.number(1), names.vector(2)
        if kind == _DNS_NAME:
            return name.decode("ascii", "backslashreplace").lower()
    return ""


def protocols(hello: ClientHello) -> tuple[bytes, ...]:
    """The application protocols that are offered (RFC 7301 3.1), best first.  Raises ValueError."""
    body = hello.get(ALPN)
    found = []
    names = Reader(b"" if body is None else Reader(body).vector(2))
    while names.more:
        found.append(names.vector(1))
    return tuple(found)


def versions(hello: ClientHello) -> tuple[int, ...]:
    """The versions that are offered, best first (RFC 8446 4.2.1).  Raises ValueError."""
    body = hello.get(SUPPORTED_VERSIONS)
    return (hello.version,) if body is None else Reader(body).numbers(1)


def encrypted(hello: ClientHello) -> bool:
    """Whether it has the extension of ECH: the name in clear text is then the outer one."""
    return hello.get(ECH) is not None


def _size(body: bytearray) -> int | None:
    """Bytes of the message with its header, None while that is not whole.  Raises ValueError."""
    if body and body[0] != _CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    if len(body) < MESSAGE_HEADER:
        return None
    size = int.from_bytes(body[1:MESSAGE_HEADER])
    if size > MAX_HELLO:
        raise ValueError("a ClientHello that is too long")
    return MESSAGE_HEADER + size


def _possible(head: bytes) -> bool:
    """Whether up to five bytes may be the header of a record with a handshake message in it."""
    return (
        head[:1] in (b"", bytes((HANDSHAKE,)))
        and head[1:2] in (b"", bytes((_MAJOR,)))
        and (len(head) < 3 or head[2] <= _LAST_MINOR)
        and (len(head) < RECORD_HEADER or 0 < int.from_bytes(head[3:]) <= MAX_RECORD)
    )
