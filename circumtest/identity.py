"""Who a far half of ours is: a certificate whose key is made from the secret both halves know.

A caller pins the key, so that a middlebox with any other certificate, however well signed, is told
apart from the far half.  Whoever knows the secret can be the far half: as with everything that the
secret gives.  It refuses to be a certificate authority.
"""

import datetime
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

# The order of P-256 (FIPS 186-5, SP 800-186 3.2.1.3): keys are 1 to one less.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Fixed, since nothing below the I/O line has a clock: valid whenever this is read.
_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_UNTIL = datetime.datetime(2099, 12, 31, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """A self-signed certificate and its P-256 key, both PEM."""

    certificate: bytes
    key: bytes


@lru_cache(maxsize=64)
def certificate(secret: str, name: str) -> Identity:
    """The identity that `secret` gives; `name` is what the certificate is said to be for.

    The key is the same each time.  The certificate is not, but for one process: its signature is
    random.
    """
    key = _key(secret)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(_digest(secret, b"serial")[:8]) | 1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(made.public_bytes(Encoding.PEM), private)


def public_key(secret: str) -> bytes:
    """The key that a far half with `secret` shows: SubjectPublicKeyInfo, DER."""
    return _spki(_key(secret).public_key())


def shown_key(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo (DER) in a certificate (DER).

    Raises ValueError when it is none, or its key is of no kind that is known here.
    """
    key = x509.load_der_x509_certificate(der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def names(der: bytes, name: str) -> bool:
    """Whether a certificate (DER) says that it is for the host `name`, as `is_for` has it.

    False for what is no certificate.
    """
    try:
        return is_for(x509.load_der_x509_certificate(der), name)
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False


def is_for(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for the host `name` (RFC 6125 6.4.3: `*.` stands for one label).

    Raises ValueError, ExtensionNotFound or DuplicateExtension for one that names no host.
    """
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    name = name.lower()
    wild = "*." + name.partition(".")[2]
    hosts = extension.value.get_values_for_type(x509.DNSName)
    return any(one.lower() in (name, wild) for one in hosts)


@lru_cache(maxsize=64)
def _key(secret: str) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(_digest(secret, b"key")) % (_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _digest(secret: str, purpose: bytes) -> bytes:
    return hashlib.sha512(b"identity\0" + purpose + b"\0" + secret.encode()).digest()


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
