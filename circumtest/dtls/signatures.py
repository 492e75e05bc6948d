"""Signatures by TLS's schemes: ours by a P-256 key, a peer's by whatever key his certificate has.

It refuses chains and names: a call pins its peer's key or certificate (RFC 8827 6.5), nothing else.
"""

from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from circumtest.identity import Identity

ECDSA_SHA256 = 0x0403
"""What our own keys sign with: P-256 and SHA-256 (RFC 8446 4.2.3)."""

_HASHES: dict[int, type[hashes.HashAlgorithm]] = {
    2: hashes.SHA1,
    4: hashes.SHA256,
    5: hashes.SHA384,
    6: hashes.SHA512,
}
_PSS: dict[int, type[hashes.HashAlgorithm]] = {
    0x0804: hashes.SHA256,
    0x0805: hashes.SHA384,
    0x0806: hashes.SHA512,
}
_ED25519 = 0x0807
_RSA, _ECDSA = 1, 3


def fingerprint(der: bytes) -> bytes:
    """SHA-256 of a certificate (as in SDP, RFC 8122 5) or of a public key, both DER."""
    return sha256(der).digest()


def is_shown_by(expected: bytes, der: bytes) -> bool:
    """Whether `expected` is the fingerprint of this certificate (DER), or of the key in it.

    Raises ValueError for what is no certificate.
    """
    key = _public_key(der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return expected in (fingerprint(der), fingerprint(key))


def certificate_der(own: Identity) -> bytes:
    """The certificate of an identity, DER."""
    return x509.load_pem_x509_certificate(own.certificate).public_bytes(Encoding.DER)


def sign(own: Identity, data: bytes) -> bytes:
    """An ECDSA_SHA256 signature, DER.  It draws nothing: the same data gives the same bytes."""
    key = load_pem_private_key(own.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def verified(der: bytes, scheme: int, signature: bytes, data: bytes) -> bool:
    """Whether the key in a certificate (DER) made `signature` over `data` by `scheme`.

    Raises ValueError for what is no certificate, and for a scheme that its key cannot have.
    """
    key = _public_key(der)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and scheme & 0xFF == _ECDSA:
            key.verify(signature, data, ec.ECDSA(_hash(scheme)))
        elif isinstance(key, rsa.RSAPublicKey) and scheme in _PSS:
            pss = _PSS[scheme]()
            salt = padding.PSS(padding.MGF1(pss), pss.digest_size)
            key.verify(signature, data, salt, pss)
        elif isinstance(key, rsa.RSAPublicKey) and scheme & 0xFF == _RSA:
            key.verify(signature, data, padding.PKCS1v15(), _hash(scheme))
        elif isinstance(key, ed25519.Ed25519PublicKey) and scheme == _ED25519:
            key.verify(signature, data)
        else:
            raise ValueError(f"signature scheme {scheme:#06x} with another key")
    except InvalidSignature:
        return False
    return True


def _public_key(der: bytes) -> CertificatePublicKeyTypes:
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except UnsupportedAlgorithm:
        raise ValueError("a certificate with a key of no kind that is known here") from None


def _hash(scheme: int) -> hashes.HashAlgorithm:
    known = _HASHES.get(scheme >> 8)
    if known is None:
        raise ValueError(f"signature scheme {scheme:#06x} is not known here")
    return known()
