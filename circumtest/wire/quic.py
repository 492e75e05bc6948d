"""QUIC's Initial packets, opened as any onlooker can: their keys come from a field in clear text.

Versions 1 (RFC 9000, RFC 9001) and 2 (RFC 9369).  From a client's first datagrams to the
ClientHello in them.  It refuses packets under secret keys, and versions that it has no salt for.
Whatever is not well formed is a ValueError and nothing else; what has only begun is None.
"""

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from circumtest.wire import tls
from circumtest.wire.dtls import CLIENT_HELLO, ClientHello, Reader

V1, V2 = 1, 0x6B3343CF
MIN_DATAGRAM = 1200
"""Bytes of a datagram with a client's Initial, at least (RFC 9000 14.1)."""
MAX_CID = 20
TAG = 16
_SALTS = {
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),  # RFC 9001 5.2
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),  # RFC 9369 3.3.1
}
_LABELS = {V1: b"quic ", V2: b"quicv2 "}
_INITIAL = {V1: 0, V2: 1}
_RETRY = {V1: 3, V2: 0}
"""Types of long headers (RFC 9000 17.2, RFC 9369 3.2)."""
_SAMPLE = 16
_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO, _CLOSE = 0, 1, 2, 3, 6, 0x1C
_KEYS = 256


@dataclass(frozen=True, slots=True)
class Initial:
    """A sealed Initial: `header` up to its number, `rest` the number and what is sealed."""

    version: int
    dcid: bytes
    scid: bytes
    token: bytes
    header: bytes
    rest: bytes


class Keys(NamedTuple):
    """What protects Initials of one direction: payload key, its nonce, the header's key."""

    key: bytes
    iv: bytes
    hp: bytes


@lru_cache(_KEYS)
def client_keys(version: int, dcid: bytes) -> Keys:
    """The client's keys, from the destination id of its first Initial (RFC 9001 5.2)."""
    initial = hmac.digest(_SALTS[version], dcid, "sha256")
    secret = _expand(initial, b"client in", 32)
    label = _LABELS[version]
    return Keys(
        _expand(secret, label + b"key", 16),
        _expand(secret, label + b"iv", 12),
        _expand(secret, label + b"hp", 16),
    )


def initials(datagram: bytes) -> Iterator[Initial]:
    """The Initials in a datagram, whose other packets are passed over (RFC 9000 12.2).

    Raises ValueError where a long header is none, or is of a version unknown here.
    """
    at = 0
    while at < len(datagram) and datagram[at] & 0x80:
        data = datagram[at:]
        reader = _Reader(data)
        first, version = reader.number(1), reader.number(4)
        if version not in _SALTS or not first & 0x40:
            raise ValueError("not QUIC version 1 or 2")
        dcid, scid = reader.vector(1), reader.vector(1)
        if len(dcid) > MAX_CID or len(scid) > MAX_CID:
            raise ValueError("a connection id of more than 20 bytes")
        kind = first >> 4 & 3
        if kind == _RETRY[version]:
            return
        token = reader.take(reader.varint()) if kind == _INITIAL[version] else b""
        length = reader.varint()
        start = reader.at
        rest = reader.take(length)
        if kind == _INITIAL[version]:
            yield Initial(version, dcid, scid, token, data[:start], rest)
        at += reader.at


def opened(packet: Initial, keys: Keys) -> bytes:
    """The frames in an Initial (RFC 9001 5.3, 5.4).  Raises ValueError under other keys."""
    if len(packet.rest) < 4 + _SAMPLE:
        raise ValueError("a QUIC packet too short to be sampled")
    mask = _mask(keys.hp, packet.rest[4 : 4 + _SAMPLE])
    first = packet.header[0] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(packet.rest[:size], mask[1:], strict=False))
    header = bytes((first,)) + packet.header[1:] + number
    nonce = bytes(a ^ b for a, b in zip(keys.iv, number.rjust(len(keys.iv), b"\0"), strict=True))
    try:
        return AESGCM(keys.key).decrypt(nonce, packet.rest[size:], header)
    except InvalidTag:
        raise ValueError("a QUIC packet under other keys") from None


def crypto(frames: bytes) -> Iterator[tuple[int, bytes]]:
    """Offset and data of each CRYPTO frame (RFC 9000 19.6), the other frames of an Initial passed.

    Raises ValueError for what none of 12.4's is.
    """
    reader = _Reader(frames)
    while reader.more:
        kind = reader.number(1)
        if kind in (_PADDING, _PING):
            continue
        if kind == _CRYPTO:
            offset = reader.varint()
            yield offset, reader.take(reader.varint())
        elif kind in (_ACK, _ACK_ECN):
            _pass_ack(reader, kind)
        elif kind == _CLOSE:
            return
        else:
            raise ValueError("a frame that no Initial may hold")


def client_hello(datagrams: Iterable[bytes]) -> ClientHello | None:
    """The ClientHello in a client's first datagrams, whose frames may come in any order.

    None while some of it is missing, and where no datagram has a client's Initial.  Raises
    ValueError where it is malformed.  Packets that are something else are passed over.
    """
    pieces: dict[int, bytes] = {}
    origin: bytes | None = None
    for datagram in datagrams:
        for packet in _initials(datagram):
            origin = packet.dcid if origin is None else origin
            for offset, data in _crypto(packet, origin):
                if len(data) > len(pieces.get(offset, b"")):
                    pieces[offset] = data
    body = joined(pieces)
    if len(body) < tls.MESSAGE_HEADER:
        return None
    size = int.from_bytes(body[1 : tls.MESSAGE_HEADER])
    if body[0] != CLIENT_HELLO or size > tls.MAX_HELLO:
        raise ValueError("not a ClientHello")
    body = body[tls.MESSAGE_HEADER :]
    return tls.unpack(body[:size]) if len(body) >= size else None


def joined(pieces: dict[int, bytes]) -> bytes:
    """What pieces of a message, by their offsets, hold from its first byte to the first gap."""
    body = b""
    for offset in sorted(pieces):
        if offset > len(body):
            break
        body += pieces[offset][len(body) - offset :]
    return body


def _initials(datagram: bytes) -> Iterator[Initial]:
    """`initials`, up to the first bytes that are none."""
    try:
        yield from initials(datagram)
    except ValueError:
        return


def _crypto(packet: Initial, origin: bytes) -> list[tuple[int, bytes]]:
    """CRYPTO frames of the client's; none in a packet that its keys do not open.

    The keys stay those of the first Initial's destination id, unless there was a Retry: then they
    are those of the packet's own (RFC 9001 5.2).
    """
    for dcid in dict.fromkeys((origin, packet.dcid)):
        try:
            return list(crypto(opened(packet, client_keys(packet.version, dcid))))
        except ValueError:
            continue
    return []


class _Reader(Reader):
    """A reader that knows QUIC's numbers, and where it is."""

    @property
    def at(self) -> int:
        return self._at

    def varint(self) -> int:
        """A number of 1, 2, 4 or 8 bytes, as its first two bits say (RFC 9000 16)."""
        first = self.number(1)
        size = (1 << (first >> 6)) - 1
        return (first & 0x3F) << size * 8 | self.number(size)


def _pass_ack(reader: _Reader, kind: int) -> None:
    """Skip what follows the type of an ACK frame (RFC 9000 19.3)."""
    for _ in range(2):
        reader.varint()
    ranges = reader.varint()
    for _ in range(1 + 2 * ranges + (3 if kind == _ACK_ECN else 0)):
        reader.varint()


def _mask(hp: bytes, sample: bytes) -> bytes:
    """RFC 9001 5.4.3."""
    return Cipher(algorithms.AES(hp), modes.ECB()).encryptor().update(sample)  # noqa: S305


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of at most 32 bytes, no context (RFC 8446 7.1, RFC 5869 2.3)."""
    name = b"tls13 " + label
    info = size.to_bytes(2) + bytes((len(name),)) + name + b"\0\x01"
    return hmac.digest(secret, info, "sha256")[:size]
