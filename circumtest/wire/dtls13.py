"""DTLS 1.3 in bytes: the unified header of sealed records, ACKs, and messages of TLS 1.3.

RFC 9147 4 and 7, RFC 8446 4.  It refuses to keep state and to know a secret; whatever is not well
formed is a ValueError and nothing else.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from circumtest.wire import dtls
from circumtest.wire.dtls import Extensions, Reader, Record, unpack_extensions, vector

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that is a HelloRetryRequest (RFC 8446 4.1.3)."""
MAX_ACKS = 32
"""Record numbers that are acknowledged at once."""
SAMPLE = 16
"""Bytes of a sealed body that its number is masked by (RFC 9147 4.2.3)."""
_FIXED, _CID, _LONG, _LENGTH = 0x20, 0x10, 0x08, 0x04


@dataclass(frozen=True, slots=True)
class Sealed:
    """A record with a unified header: the low bits of its epoch, its header, and its body.

    The last `seq_size` bytes of the number before the length are masked.
    """

    epoch: int
    header: bytes
    seq_size: int
    body: bytes


def records(datagram: bytes) -> Iterator[Record | Sealed]:
    """The records in a datagram, of either header.  Raises ValueError at the first that is none."""
    at = 0
    while at < len(datagram):
        if datagram[at] & 0xE0 == _FIXED:
            record, at = _unified(datagram, at)
            yield record
        else:
            plain = next(dtls.records(datagram[at:]))
            at += dtls.RECORD_HEADER + len(plain.body)
            yield plain


def _unified(datagram: bytes, at: int) -> tuple[Sealed, int]:
    flags = datagram[at]
    if flags & _CID:
        raise ValueError("a record with a connection id that was not agreed on")
    seq_size = 2 if flags & _LONG else 1
    head = 1 + seq_size + (2 if flags & _LENGTH else 0)
    header = datagram[at : at + head]
    if len(header) < head:
        raise ValueError("not a DTLS record: size")
    start = at + head
    size = int.from_bytes(header[-2:]) if flags & _LENGTH else len(datagram) - start
    if not SAMPLE <= size <= min(dtls.MAX_RECORD, len(datagram) - start):
        raise ValueError("not a DTLS record: length")
    body = datagram[start : start + size]
    return Sealed(flags & 3, header, seq_size, body), start + size


def header(epoch: int, seq: int, size: int) -> bytes:
    """A unified header with two bytes of the number, not masked yet, and a length."""
    flags = _FIXED | _LONG | _LENGTH | epoch & 3
    return struct.pack("!BHH", flags, seq & 0xFFFF, size)


def pack_ack(numbers: Iterable[tuple[int, int]]) -> bytes:
    """The body of an ACK of records, by (epoch, sequence number)."""
    return vector(b"".join(struct.pack("!QQ", *number) for number in numbers), 2)


def unpack_ack(body: bytes) -> tuple[tuple[int, int], ...]:
    """(epoch, sequence number) of what an ACK names.  Raises ValueError when it is none."""
    reader = Reader(body)
    data = reader.vector(2)
    reader.end()
    if len(data) % 16:
        raise ValueError("an ACK of half a record number")
    return tuple((epoch, seq) for epoch, seq in struct.iter_unpack("!QQ", data))


def inner(plain: bytes) -> tuple[int, bytes]:
    """(content type, content) of what a record sealed (RFC 8446 5.2).

    Raises ValueError for nothing but padding.
    """
    stripped = plain.rstrip(b"\0")
    if not stripped:
        raise ValueError("a record of nothing")
    return stripped[-1], stripped[:-1]


# ------------------------------------------------------------------ messages


def encrypted_extensions(body: bytes) -> Extensions:
    """The extensions in an EncryptedExtensions.  Raises ValueError when it is none."""
    reader = Reader(body)
    extensions = unpack_extensions(reader.vector(2))
    reader.end()
    return extensions


def certificate_request(body: bytes) -> tuple[bytes, Extensions]:
    """(context, extensions) of a CertificateRequest.  Raises ValueError when it is none."""
    reader = Reader(body)
    context, extensions = reader.vector(1), unpack_extensions(reader.vector(2))
    reader.end()
    return context, extensions


def pack_certificate(context: bytes, chain: Iterable[bytes]) -> bytes:
    """A Certificate message: certificates (DER) without extensions of their own."""
    entries = b"".join(vector(der, 3) + b"\0\0" for der in chain)
    return vector(context, 1) + vector(entries, 3)


def certificates(body: bytes) -> list[bytes]:
    """The certificates (DER) in a server's Certificate.  Raises ValueError when it is none."""
    reader = Reader(body)
    context, entries = reader.vector(1), Reader(reader.vector(3))
    reader.end()
    if context:
        raise ValueError("a server's certificate for somebody's request")
    chain = []
    while entries.more:
        chain.append(entries.vector(3))
        unpack_extensions(entries.vector(2))
    return chain


def certificate_verify(body: bytes) -> tuple[int, bytes]:
    """(scheme, signature) of a CertificateVerify.  Raises ValueError when it is none."""
    reader = Reader(body)
    scheme, signature = reader.number(2), reader.vector(2)
    reader.end()
    return scheme, signature


def server_share(body: bytes) -> tuple[int, bytes]:
    """(group, public value) of a server's key_share.  Raises ValueError when it is none."""
    reader = Reader(body)
    group, public = reader.number(2), reader.vector(2)
    reader.end()
    return group, public


def client_shares(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(group, public value) of a client's key_share, each.  Raises ValueError when it is none."""
    reader = Reader(body)
    shares = Reader(reader.vector(2))
    reader.end()
    while shares.more:
        yield shares.number(2), shares.vector(2)
