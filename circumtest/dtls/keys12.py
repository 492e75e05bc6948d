"""DTLS 1.2's secrets: the PRF, the key block, and how its cipher suites seal records.

AEADs (RFC 5288, RFC 7905) and the CBC suites with HMAC-SHA1 that shapes offer (RFC 5246 6.2.3.2).
It refuses suites without an ephemeral key: a server that takes one is not spoken to.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from circumtest.wire.dtls import V12, Record

MASTER = 48
_VERIFY = 12
_BLOCK = 16
_MAC = 20

Draw = Callable[[int], bytes]
"""So many random bytes."""


class Protection(Protocol):
    """One direction's keys: bodies of records sealed and opened."""

    def seal(self, kind: int, number: int, plain: bytes) -> bytes: ...
    def open(self, kind: int, number: int, sealed: bytes) -> bytes:
        """Raises ValueError for what was not sealed with these keys."""
        ...


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite: the hash of its PRF, bytes of MAC key, key and fixed IV, what it makes."""

    digest: str
    mac: int
    key: int
    iv: int
    make: Callable[[bytes, bytes, bytes, Draw], Protection]


# ------------------------------------------------------------------ secrets


def prf(digest: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """RFC 5246 5: P_hash(secret, label + seed), `size` bytes of it."""
    seed = label + seed
    out, link = b"", seed
    while len(out) < size:
        link = hmac.digest(secret, link, digest)
        out += hmac.digest(secret, link + seed, digest)
    return out[:size]


def verify_data(digest: str, master: bytes, who: bytes, transcript: bytes) -> bytes:
    """The body of a Finished (RFC 5246 7.4.9); `who` is b"client" or b"server"."""
    return prf(digest, master, who + b" finished", transcript, _VERIFY)


def protections(
    suite: Suite, master: bytes, client: bytes, server: bytes, draw: Draw
) -> tuple[Protection, Protection]:
    """The client's and the server's keys, of both randoms (RFC 5246 6.3)."""
    sizes = [suite.mac, suite.mac, suite.key, suite.key, suite.iv, suite.iv]
    block = prf(suite.digest, master, b"key expansion", server + client, sum(sizes))
    parts, at = [], 0
    for size in sizes:
        parts.append(block[at : at + size])
        at += size
    return (
        suite.make(parts[0], parts[2], parts[4], draw),
        suite.make(parts[1], parts[3], parts[5], draw),
    )


# ------------------------------------------------------------------ records


class _Gcm:
    def __init__(self, mac: bytes, key: bytes, iv: bytes, draw: Draw) -> None:
        del mac, draw  # it has neither
        self._aead, self._salt = AESGCM(key), iv

    def seal(self, kind: int, number: int, plain: bytes) -> bytes:
        nonce = number.to_bytes(8)  # RFC 5288 3: the sequence number may be the explicit part
        aad = _aad(kind, number, len(plain))
        return nonce + self._aead.encrypt(self._salt + nonce, plain, aad)

    def open(self, kind: int, number: int, sealed: bytes) -> bytes:
        aad = _aad(kind, number, len(sealed) - 24)
        return _opened(self._aead, self._salt + sealed[:8], sealed[8:], aad)


class _ChaCha:
    def __init__(self, mac: bytes, key: bytes, iv: bytes, draw: Draw) -> None:
        del mac, draw  # it has neither
        self._aead, self._iv = ChaCha20Poly1305(key), int.from_bytes(iv)

    def seal(self, kind: int, number: int, plain: bytes) -> bytes:
        aad = _aad(kind, number, len(plain))
        return self._aead.encrypt(self._nonce(number), plain, aad)

    def open(self, kind: int, number: int, sealed: bytes) -> bytes:
        return _opened(
            self._aead, self._nonce(number), sealed, _aad(kind, number, len(sealed) - 16)
        )

    def _nonce(self, number: int) -> bytes:
        return (self._iv ^ number).to_bytes(12)  # RFC 7905 2


class _Cbc:
    """MAC, then pad, then encrypt.  Nothing here can be timed: one wrong record ends nothing."""

    def __init__(self, mac: bytes, key: bytes, iv: bytes, draw: Draw) -> None:
        del iv  # each record brings its own
        self._mac, self._key, self._draw = mac, algorithms.AES(key), draw

    def seal(self, kind: int, number: int, plain: bytes) -> bytes:
        data = plain + self._digest(kind, number, plain)
        fill = -(len(data) + 1) % _BLOCK
        iv = self._draw(_BLOCK)
        encryptor = Cipher(self._key, modes.CBC(iv)).encryptor()
        return iv + encryptor.update(data + bytes([fill]) * (fill + 1)) + encryptor.finalize()

    def open(self, kind: int, number: int, sealed: bytes) -> bytes:
        if len(sealed) < _BLOCK + _MAC + 1 or len(sealed) % _BLOCK:
            raise ValueError("a record that is not sealed")
        decryptor = Cipher(self._key, modes.CBC(sealed[:_BLOCK])).decryptor()
        data = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
        fill = data[-1] + 1
        if fill + _MAC > len(data) or data[-fill:] != bytes([fill - 1]) * fill:
            raise ValueError("a record with wrong padding")
        plain, mac = data[: -fill - _MAC], data[-fill - _MAC : -fill]
        if not hmac.compare_digest(mac, self._digest(kind, number, plain)):
            raise ValueError("a record that was not sealed with these keys")
        return plain

    def _digest(self, kind: int, number: int, plain: bytes) -> bytes:
        return hmac.digest(self._mac, _aad(kind, number, len(plain)) + plain, "sha1")


def _aad(kind: int, number: int, size: int) -> bytes:
    """What is authenticated beside the content (RFC 5246 6.2.3.3, RFC 6347 4.1.2.1)."""
    if size < 0:
        raise ValueError("a record that is too short to be sealed")
    return number.to_bytes(8) + kind.to_bytes(1) + V12.to_bytes(2) + size.to_bytes(2)


def _opened(aead: AESGCM | ChaCha20Poly1305, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    try:
        return aead.decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise ValueError("a record that was not sealed with these keys") from None


_GCM128 = Suite("sha256", 0, 16, 4, _Gcm)
_GCM256 = Suite("sha384", 0, 32, 4, _Gcm)
_CHACHA = Suite("sha256", 0, 32, 12, _ChaCha)
_CBC128 = Suite("sha256", _MAC, 16, 0, _Cbc)
_CBC256 = Suite("sha256", _MAC, 32, 0, _Cbc)

SUITES: dict[int, Suite] = {
    0xC02B: _GCM128,  # with ECDSA
    0xC02F: _GCM128,  # with RSA
    0xC02C: _GCM256,
    0xC030: _GCM256,
    0xCCA9: _CHACHA,
    0xCCA8: _CHACHA,
    0xC009: _CBC128,
    0xC013: _CBC128,
    0xC00A: _CBC256,
    0xC014: _CBC256,
}
"""The suites that can be spoken, by their numbers: all have an ephemeral key (RFC 8422)."""


def record_seal(protection: Protection, epoch: int) -> Callable[[int, int, bytes], bytes]:
    """How `flight.Sender` makes records of an epoch with these keys."""

    def seal(kind: int, seq: int, body: bytes) -> bytes:
        sealed = protection.seal(kind, epoch << 48 | seq, body)
        return Record(kind, epoch, seq, sealed).pack()

    return seal
