"""WhatsApp's certificate chain, and XEdDSA, the signatures in it.

Two certificates: the root signs the intermediate, the intermediate signs the leaf, the leaf names
the server's static key.  `verify` is what the published clients do (whatsmeow, Baileys).  `sign`
is for a lab's test root only: it is not constant-time and its nonce is derived.  Source of XEdDSA:
Signal's "The XEdDSA and VXEdDSA Signature Schemes", revision 1.
"""

from dataclasses import dataclass
from hashlib import sha512
from itertools import product

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from circumtest.wire import protobuf

WHATSAPP_ROOT = "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
"""The root that every published client pins (X25519, hex)."""

_P = 2**255 - 19
_Q = 2**252 + 27742317777372353535851937790883648493
KEY = 32
_SIGNATURE = 64


@dataclass(frozen=True, slots=True)
class Certificate:
    """Serial, issuer's serial, X25519 key, validity in seconds since the Unix epoch."""

    serial: int
    issuer: int
    key: bytes
    not_before: int
    not_after: int

    def pack(self) -> bytes:
        return protobuf.pack(
            {1: self.serial, 2: self.issuer, 3: self.key, 4: self.not_before, 5: self.not_after}
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Certificate":
        """Raises ValueError when it is not one."""
        fields = protobuf.unpack(data)
        key = protobuf.data(fields, 3)
        if len(key) != KEY:
            raise ValueError("certificate with a key of another kind")
        numbers = {n: protobuf.integer(fields, n) for n in (1, 2, 4, 5)}
        return cls(numbers[1], numbers[2], key, numbers[4], numbers[5])

    def holds(self, at: float) -> bool:
        """Whether `at` lies in its validity; the published clients skip a bound that is missing."""
        return self.not_before <= at and (not self.not_after or at <= self.not_after)


def pack_chain(root: bytes, intermediate: bytes, static: bytes, validity: tuple[int, int]) -> bytes:
    """A chain for the public key `static`, signed by the private keys `root` and `intermediate`."""
    middle = Certificate(1, 0, _public(intermediate), *validity).pack()
    leaf = Certificate(2, 1, static, *validity).pack()
    return protobuf.pack(
        {
            1: protobuf.pack({1: leaf, 2: sign(intermediate, leaf)}),
            2: protobuf.pack({1: middle, 2: sign(root, middle)}),
        }
    )


def check_chain(data: bytes, root: bytes, static: bytes, at: float) -> str:
    """What is wrong with a chain at the time `at`; "" when `root` does vouch for `static`.

    Raises ValueError when it is not a chain at all.
    """
    chain = protobuf.unpack(data)
    (leaf, leaf_signature), (middle, middle_signature) = (_signed(chain, n) for n in (1, 2))
    if not verify(root, middle, middle_signature):
        return "the intermediate certificate is not signed by the root"
    intermediate, last = Certificate.unpack(middle), Certificate.unpack(leaf)
    if not verify(intermediate.key, leaf, leaf_signature):
        return "the leaf certificate is not signed by the intermediate"
    if intermediate.issuer != 0 or last.issuer != intermediate.serial:
        return "the certificates' serial numbers do not form a chain"
    if last.key != static:
        return "the leaf certificate names another key"
    if not (intermediate.holds(at) and last.holds(at)):
        return "a certificate is outside its validity"
    return ""


def _signed(chain: dict[int, protobuf.Field], number: int) -> tuple[bytes, bytes]:
    fields = protobuf.unpack(protobuf.data(chain, number))
    signature = protobuf.data(fields, 2)
    if len(signature) != _SIGNATURE:
        raise ValueError("signature of another length")
    return protobuf.data(fields, 1), signature


# ------------------------------------------------------------------ XEdDSA


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of the X25519 key `public` signed `message`.

    The sign of the Edwards point is the top bit of the signature, as libsignal writes it; in
    XEdDSA proper it is always 0.  A key that is no number below 2^255 - 19 is nobody's, as XEdDSA's
    verification has it: some are other names of points whose signatures anybody can make.
    """
    if int.from_bytes(public, "little") >= _P:
        return False
    point = _edwards(public, signature[63] >> 7)
    plain = signature[:63] + bytes([signature[63] & 0x7F])
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(plain, message)
    except InvalidSignature:
        return False
    return True


def sign(private: bytes, message: bytes) -> bytes:
    """A signature of `message` by an X25519 test key (32 bytes), 64 bytes.

    X25519 gives the products with the base point up to their sign: the right signs are those with
    which the signature verifies, so no curve arithmetic is needed.
    """
    scalar = _clamp(private)
    nonce = sha512(b"\xfe" + b"\xff" * 31 + private + message).digest()[:KEY]
    for r_sign, a_sign in product((0, 1), repeat=2):
        commitment = _edwards(_public(nonce), r_sign)
        # Calculating with the positive point -A is calculating with -a.
        point = _edwards(_public(private), a_sign)
        challenge = int.from_bytes(sha512(commitment + point + message).digest(), "little")
        s = (_clamp(nonce) + challenge * scalar) % _Q
        signature = bytearray(commitment + s.to_bytes(KEY, "little"))
        signature[63] |= a_sign << 7
        if verify(_public(private), message, bytes(signature)):
            return bytes(signature)
    raise ArithmeticError("no sign fits: the key is not an X25519 key")


def _public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _clamp(private: bytes) -> int:
    """The scalar that X25519 makes of 32 bytes (RFC 7748 5)."""
    return int.from_bytes(private, "little") & ((1 << 254) - 8) | 1 << 254


def _edwards(public: bytes, sign_bit: int) -> bytes:
    """The Edwards point of an X25519 key: y = (u - 1) / (u + 1) (RFC 7748 4.1), and its sign."""
    u = int.from_bytes(public, "little") & ((1 << 255) - 1)
    y = (u - 1) * pow(u + 1, _P - 2, _P) % _P
    return (y | sign_bit << 255).to_bytes(KEY, "little")
