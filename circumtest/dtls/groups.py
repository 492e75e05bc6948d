"""Key agreement by named groups: X25519, P-256, P-384 and X25519MLKEM768, from a given chance.

It refuses to choose a group: shapes offer, servers choose.  Whatever the other side's share is, it
is agreed on or a ValueError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P256, P384, X25519, X25519MLKEM768 = 0x0017, 0x0018, 0x001D, 0x11EC
"""Named groups (RFC 8422 5.1.1, RFC 8446 4.2.7, draft-ietf-tls-ecdhe-mlkem)."""

# Orders of the curves (SP 800-186 3.2.1): keys are 1 to one less.
_CURVES: dict[int, tuple[type[ec.EllipticCurve], int]] = {
    P256: (ec.SECP256R1, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    P384: (
        ec.SECP384R1,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
_MLKEM_CIPHERTEXT, _MLKEM_KEY = 1088, 1184


@dataclass(frozen=True, slots=True)
class Share:
    """Our half of an agreement: the group, what the peer is told, and how his half ends it."""

    group: int
    public: bytes
    agree: Callable[[bytes], bytes]
    """The shared secret from the peer's share.  Raises ValueError for what is none."""


def share(group: int, rng: Random) -> Share:
    """A fresh half in `group`.  Raises ValueError for a group that is not known here."""
    if group == X25519:
        return _x25519(rng)
    if group == X25519MLKEM768:
        return _hybrid(rng)
    if group in _CURVES:
        return _curve(group, rng)
    raise ValueError(f"group {group:#06x} is not known here")


def answer(group: int, theirs: bytes, rng: Random) -> tuple[bytes, bytes]:
    """A server's share for a client's, and the secret that both have.

    Raises ValueError for what is no share of `group`.
    """
    if group != X25519MLKEM768:
        ours = share(group, rng)
        return ours.public, ours.agree(theirs)
    lattice, classic = theirs[:_MLKEM_KEY], _x25519(rng)
    end = classic.agree(theirs[_MLKEM_KEY:])
    # Encapsulating draws chance of its own: cryptography lets nobody choose it.
    secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(lattice).encapsulate()
    return ciphertext + classic.public, secret + end


def _x25519(rng: Random) -> Share:
    key = X25519PrivateKey.from_private_bytes(rng.randbytes(32))

    def agree(theirs: bytes) -> bytes:
        return key.exchange(X25519PublicKey.from_public_bytes(theirs))

    return Share(X25519, key.public_key().public_bytes_raw(), agree)


def _curve(group: int, rng: Random) -> Share:
    curve, order = _CURVES[group]
    key = ec.derive_private_key(rng.randrange(1, order), curve())

    def agree(theirs: bytes) -> bytes:
        if theirs[:1] != b"\4":  # RFC 8422 5.4.1: nothing but uncompressed points
            raise ValueError("a compressed point")
        point = ec.EllipticCurvePublicKey.from_encoded_point(curve(), theirs)
        return key.exchange(ec.ECDH(), point)

    shown = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Share(group, shown, agree)


def _hybrid(rng: Random) -> Share:
    """draft-ietf-tls-ecdhe-mlkem 4.1: ML-KEM's part first, X25519's behind it, of all three."""
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(rng.randbytes(64))
    classic = _x25519(rng)

    def agree(theirs: bytes) -> bytes:
        if len(theirs) != _MLKEM_CIPHERTEXT + 32:
            raise ValueError("an X25519MLKEM768 share of another size")
        return lattice.decapsulate(theirs[:_MLKEM_CIPHERTEXT]) + classic.agree(
            theirs[_MLKEM_CIPHERTEXT:]
        )

    return Share(X25519MLKEM768, lattice.public_key().public_bytes_raw() + classic.public, agree)
