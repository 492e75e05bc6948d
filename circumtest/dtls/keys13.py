"""DTLS 1.3's secrets: TLS 1.3's key schedule with DTLS's labels, and how records are sealed.

RFC 8446 7, RFC 9147 4.2 and 5.9.  It refuses pre-shared keys: calls have none.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import new

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from circumtest.dtls.endpoint import EXPORTER
from circumtest.wire import dtls13
from circumtest.wire.dtls import vector
from circumtest.wire.dtls13 import SAMPLE, Sealed

_IV = 12


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite: its hash, and the bytes of its key."""

    digest: str
    key: int
    chacha: bool = False

    @property
    def size(self) -> int:
        """Bytes of its hash."""
        return new(self.digest).digest_size

    def hash(self, data: bytes) -> bytes:
        return new(self.digest, data).digest()


SUITES: dict[int, Suite] = {
    0x1301: Suite("sha256", 16),
    0x1302: Suite("sha384", 32),
    0x1303: Suite("sha256", 32, chacha=True),
}
"""The suites by their numbers (RFC 8446 B.4)."""


# ------------------------------------------------------------------ secrets


def expand(suite: Suite, secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1), with "dtls13" for its prefix (RFC 9147 5.9)."""
    info = size.to_bytes(2) + vector(b"dtls13" + label, 1) + vector(context, 1)
    algorithm = hashes.SHA384() if suite.digest == "sha384" else hashes.SHA256()
    return HKDFExpand(algorithm, size, info).derive(secret)


def derive(suite: Suite, secret: bytes, label: bytes, transcript: bytes) -> bytes:
    """Derive-Secret (RFC 8446 7.1), for the hash of a transcript."""
    return expand(suite, secret, label, transcript, suite.size)


def handshake_secret(suite: Suite, shared: bytes) -> bytes:
    """What the keys of the handshake come from (RFC 8446 7.1), without a pre-shared key."""
    early = hmac.digest(bytes(suite.size), bytes(suite.size), suite.digest)
    return _next(suite, early, shared)


def master_secret(suite: Suite, handshake: bytes) -> bytes:
    """What everything behind the handshake comes from."""
    return _next(suite, handshake, bytes(suite.size))


def exported(suite: Suite, master: bytes, transcript: bytes, size: int) -> bytes:
    """SRTP's material (RFC 8446 7.5, RFC 5764 4.2), with no context.

    `transcript` is the hash up to and with the server's Finished.
    """
    exporter = derive(suite, master, b"exp master", transcript)
    secret = derive(suite, exporter, EXPORTER, suite.hash(b""))
    return expand(suite, secret, b"exporter", suite.hash(b""), size)


def verify_data(suite: Suite, secret: bytes, transcript: bytes) -> bytes:
    """The body of a Finished, under its sender's traffic secret (RFC 8446 4.4.4)."""
    key = expand(suite, secret, b"finished", b"", suite.size)
    return hmac.digest(key, transcript, suite.digest)


SERVER, CLIENT = (b"TLS 1.3, %s CertificateVerify" % who for who in (b"server", b"client"))
"""Who signs a transcript."""


def signed(who: bytes, transcript: bytes) -> bytes:
    """What a CertificateVerify of SERVER or CLIENT signs (RFC 8446 4.4.3)."""
    return b" " * 64 + who + b"\0" + transcript


def _next(suite: Suite, secret: bytes, material: bytes) -> bytes:
    salt = derive(suite, secret, b"derived", suite.hash(b""))
    return hmac.digest(salt, material, suite.digest)


# ------------------------------------------------------------------ records


class Protection:
    """One direction's keys in one epoch."""

    def __init__(self, suite: Suite, secret: bytes, epoch: int) -> None:
        self.epoch = epoch
        key = expand(suite, secret, b"key", b"", suite.key)
        number_key = expand(suite, secret, b"sn", b"", suite.key)
        self._iv = int.from_bytes(expand(suite, secret, b"iv", b"", _IV))
        self._aead = ChaCha20Poly1305(key) if suite.chacha else AESGCM(key)
        self._mask = _chacha_mask(number_key) if suite.chacha else _aes_mask(number_key)
        self._expected = 0

    def seal(self, kind: int, seq: int, body: bytes) -> bytes:
        """A record (RFC 9147 4.2)."""
        plain = body + kind.to_bytes(1)
        head = dtls13.header(self.epoch, seq, len(plain) + 16)
        sealed = self._aead.encrypt(self._nonce(seq), plain, head)
        number = _xor(head[1:3], self._mask(sealed[:SAMPLE]))
        return head[:1] + number + head[3:] + sealed

    def open(self, record: Sealed) -> tuple[int, int, bytes]:
        """(content type, sequence number, content); ValueError for what was not sealed with it."""
        size = record.seq_size
        number = _xor(record.header[1 : 1 + size], self._mask(record.body[:SAMPLE]))
        head = record.header[:1] + number + record.header[1 + size :]
        seq = self._whole(int.from_bytes(number), 1 << 8 * size)
        try:
            plain = self._aead.decrypt(self._nonce(seq), record.body, head)
        except InvalidTag:
            raise ValueError("a record that was not sealed with these keys") from None
        self._expected = max(self._expected, seq + 1)
        kind, content = dtls13.inner(plain)
        return kind, seq, content

    def _whole(self, low: int, span: int) -> int:
        """The number nearest to the expected one that ends like this (RFC 9147 4.2.2)."""
        base = self._expected - self._expected % span + low
        near = [value for value in (base - span, base, base + span) if value >= 0]
        return min(near, key=lambda value: abs(value - self._expected))

    def _nonce(self, seq: int) -> bytes:
        return (self._iv ^ seq).to_bytes(_IV)


def _aes_mask(key: bytes) -> Callable[[bytes], bytes]:
    def mask(sample: bytes) -> bytes:
        # RFC 9147 4.2.3: one block, as a mask.
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
        return encryptor.update(sample)

    return mask


def _chacha_mask(key: bytes) -> Callable[[bytes], bytes]:
    def mask(sample: bytes) -> bytes:
        # The sample's first four bytes are the counter, the others the nonce; so they are here.
        return Cipher(algorithms.ChaCha20(key, sample), None).encryptor().update(bytes(SAMPLE))

    return mask


def _xor(data: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
