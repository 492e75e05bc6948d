"""WhatsApp's first bytes: framing, and two messages of its dialect of Noise XX (AESGCM, SHA256).

The dialect deviates from the Noise specification (revision 34) in one thing: the empty payload of
message 1 is not mixed into the hash.  Both halves are here, because the lab's server speaks it too.
It refuses to go on to ClientFinish, which carries a login; certificates are `wire.wacert`.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from circumtest.wire import protobuf

INTRO = bytes.fromhex("4544000100000408050802")
"""Edge routing, as native clients send it on reconnects: "ED", version, length, opaque hint."""
MAGIC = bytes.fromhex("57410603")
"""WA, protocol 6, dictionary 3; it is the prologue of the handshake too."""
MAX_FRAME = 16384
"""Bytes: a ServerHello with its certificates is some 300; anything like this is garbage."""

_NAME = b"Noise_XX_25519_AESGCM_SHA256".ljust(32, b"\0")
_TAG = 16
_KEY = 32


def frame(body: bytes) -> bytes:
    """A frame: 24-bit length and body."""
    return len(body).to_bytes(3) + body


def frame_length(head: bytes) -> int:
    """The length in a frame's first three bytes.  Raises ValueError beyond MAX_FRAME and for 0."""
    length = int.from_bytes(head)
    if not 0 < length <= MAX_FRAME:
        raise ValueError(f"frame of {length} bytes")
    return length


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 key pair made from 32 random bytes."""

    private: X25519PrivateKey
    public: bytes

    @classmethod
    def of(cls, seed: bytes) -> "KeyPair":
        private = X25519PrivateKey.from_private_bytes(seed)
        return cls(private, private.public_key().public_bytes_raw())

    def agree(self, public: bytes) -> bytes:
        """The shared secret.  Raises ValueError for a key of low order or wrong length."""
        return self.private.exchange(X25519PublicKey.from_public_bytes(public))


class _Symmetric:
    """The symmetric state (Noise 5.2), as far as two messages need it."""

    def __init__(self) -> None:
        self._chain = self._hash = _NAME
        self._key = _NAME
        self._nonce = 0
        self.mix_hash(MAGIC)

    def mix_hash(self, data: bytes) -> None:
        self._hash = sha256(self._hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        pseudo = hmac.digest(self._chain, secret, "sha256")
        self._chain = hmac.digest(pseudo, b"\x01", "sha256")
        self._key = hmac.digest(pseudo, self._chain + b"\x02", "sha256")
        self._nonce = 0

    def encrypt(self, plain: bytes) -> bytes:
        sealed = AESGCM(self._key).encrypt(self._iv(), plain, self._hash)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        try:
            plain = AESGCM(self._key).decrypt(self._iv(), sealed, self._hash)
        except InvalidTag:
            raise ValueError("Noise message not authentic") from None
        self.mix_hash(sealed)
        return plain

    def _iv(self) -> bytes:
        self._nonce += 1
        return (self._nonce - 1).to_bytes(12)


def client_hello(ephemeral: KeyPair) -> bytes:
    """The 36-byte ClientHello message: field 2 { field 1: ephemeral }."""
    return protobuf.pack({2: protobuf.pack({1: ephemeral.public})})


def parse_client_hello(body: bytes) -> bytes:
    """The ephemeral key of a ClientHello.  Raises ValueError when it is not an XX ClientHello."""
    hello = protobuf.unpack(protobuf.data(protobuf.unpack(body), 2))
    ephemeral = protobuf.data(hello, 1)
    if set(hello) != {1} or len(ephemeral) != _KEY:
        raise ValueError("not an XX ClientHello")
    return ephemeral


def server_hello(theirs: bytes, ephemeral: KeyPair, static: KeyPair, certificates: bytes) -> bytes:
    """The ServerHello message for a client's ephemeral key.  Raises ValueError for a bad key."""
    state = _Symmetric()
    state.mix_hash(theirs)
    state.mix_hash(ephemeral.public)
    state.mix_key(ephemeral.agree(theirs))
    sealed = state.encrypt(static.public)
    state.mix_key(static.agree(theirs))
    hello = {1: ephemeral.public, 2: sealed, 3: state.encrypt(certificates)}
    return protobuf.pack({3: protobuf.pack(hello)})


def open_server_hello(body: bytes, ephemeral: KeyPair) -> tuple[bytes, bytes]:
    """(the server's static key, its certificates) out of a ServerHello message.

    Raises ValueError when it is not one, or was not made for `ephemeral` by the holder of that key.
    """
    hello = protobuf.unpack(protobuf.data(protobuf.unpack(body), 3))
    theirs, sealed = protobuf.data(hello, 1), protobuf.data(hello, 2)
    if len(theirs) != _KEY or len(sealed) != _KEY + _TAG:
        raise ValueError("not an XX ServerHello")
    state = _Symmetric()
    state.mix_hash(ephemeral.public)
    state.mix_hash(theirs)
    state.mix_key(ephemeral.agree(theirs))
    static = state.decrypt(sealed)
    state.mix_key(ephemeral.agree(static))
    return static, state.decrypt(protobuf.data(hello, 3))
