"""Certificates and keys that people have, taken apart before anything starts.

PEM, DER and PKCS#12 come in, PEM goes out: daemons need to know neither formats nor passwords.  It
refuses what is over, not yet valid, or does not belong together, and never tells a key.
"""

import base64
import binascii
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from circumtest.errors import ConfigError

_PEM = b"-----BEGIN "


class Place(NamedTuple):
    """Where a thing was given, for messages: the file or kind, and the key or line in it."""

    where: str
    key: str = ""

    def wrong(self, problem: str, remedy: str = "") -> ConfigError:
        return ConfigError(self.where, self.key, problem, remedy)


class Identity(NamedTuple):
    """Who somebody is, as PEM: the certificate, those between it and an authority, its key.

    `name` is its common name, or its first other name, "" when it has neither.
    """

    certificate: str
    chain: str
    key: str
    name: str

    def __repr__(self) -> str:
        return "Identity()"


def content(file: str) -> bytes:
    """What a file holds.  Raises ConfigError."""
    try:
        return Path(file).expanduser().read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or "is no name of a file"
        raise ConfigError(file, "", f"cannot be read: {said}") from None


def given(file: str, text: str, place: Place) -> bytes:
    """What a file holds, or what was given in its place, b"" for neither.  Raises ConfigError."""
    if file and text:
        raise place.wrong("is given twice", "a file, or what it holds")
    return content(file) if file else text.encode()


def exposed(file: str) -> tuple[str, ...]:
    """A note about the file of a key when others than its owner may read it."""
    if file and Path(file).expanduser().stat().st_mode & 0o077:
        return (f"{file} holds a key and can be read by others: chmod 600",)
    return ()


def unbase64(text: str, place: Place) -> bytes:
    """What base64 holds, line breaks allowed.  Raises ConfigError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise place.wrong("is not base64") from None


def identity(certificate: bytes, key: bytes, password: str, place: Place) -> Identity:
    """From a certificate and a key, or a PKCS#12 archive (then `key` is b"").

    A PEM certificate may have its key in the same file.  Raises ConfigError.
    """
    if _is_archive(certificate):
        private, found = _archive(certificate, password, place)
    else:
        found = _certificates(certificate, place)
        private = _key(key or certificate, password, place)
    leaf = next((one for one in found if _belong(one, private)), None)
    if leaf is None:
        raise place.wrong("the key belongs to another certificate")
    _valid(leaf, place)
    chain = "".join(_pem(one) for one in found if one is not leaf and one.subject != one.issuer)
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(_pem(leaf), chain, text.decode(), _name(leaf))


def authorities(data: bytes, place: Place) -> str:
    """Certificates that are trusted, as PEM.  Raises ConfigError, also when one is over."""
    found = _certificates(data, place)
    for one in found:
        _valid(one, place)
    return "".join(_pem(one) for one in found)


def is_authority(pem: str) -> bool:
    """Whether the first certificate may certify others (RFC 5280, section 4.2.1.9)."""
    (first, *_) = x509.load_pem_x509_certificates(pem.encode())
    try:
        found = first.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return first.subject == first.issuer
    return found.value.ca


def in_archive(data: bytes, password: str, place: Place) -> str:
    """The authorities that a PKCS#12 archive brings along, as PEM, "" for none."""
    _, found = _archive(data, password, place)
    return "".join(_pem(one) for one in found if one.subject == one.issuer)


def _is_archive(data: bytes) -> bool:
    """A sequence that begins with the number 3 (RFC 7292, section 4)."""
    return data[:1] == b"\x30" and b"\x02\x01\x03\x30" in data[:12]


def _archive(
    data: bytes, password: str, place: Place
) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    archive = None
    # An empty password is written in two ways.
    for secret in (password.encode(),) if password else (None, b""):
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            archive = load_pkcs12(data, secret)
            break
    if archive is None:
        remedy = "give its password" if not password else "look at the password"
        raise place.wrong("cannot be opened as PKCS#12", remedy)
    if archive.key is None or archive.cert is None:
        raise place.wrong("has no certificate with a key in it")
    others = [one.certificate for one in archive.additional_certs]
    return archive.key, [archive.cert.certificate, *others]


def _certificates(data: bytes, place: Place) -> list[x509.Certificate]:
    try:
        if _PEM in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError:
        raise place.wrong("is no certificate", "PEM: -----BEGIN CERTIFICATE-----") from None


def _key(data: bytes, password: str, place: Place) -> PrivateKeyTypes:
    try:
        if _PEM not in data:
            return load_der_private_key(data, password.encode() or None)
        # The other things that may be in the same file come before or behind.
        block = data[max(_begins(data), 0) :]
        return load_pem_private_key(block, password.encode() or None)
    except TypeError:
        if password:
            return _key(data, "", place)  # it is not encrypted: a password does no harm
        raise place.wrong("its key is encrypted", "give the password of the key") from None
    except (ValueError, UnsupportedAlgorithm):
        problem = "is no private key that can be read"
        remedy = "look at the password of the key" if password else "PEM, PKCS#8 or PKCS#12"
        raise place.wrong(problem, remedy) from None


def _begins(data: bytes) -> int:
    """Where the first block begins that is a private key."""
    at = data.find(_PEM)
    while at >= 0:
        if b"PRIVATE KEY-----" in data[at:].partition(b"\n")[0]:
            return at
        at = data.find(_PEM, at + 1)
    return -1


def _belong(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    except (ValueError, UnsupportedAlgorithm):  # a kind of key that nobody knows
        return False


def _valid(certificate: x509.Certificate, place: Place) -> None:
    now = datetime.now(UTC)
    if now > (end := certificate.not_valid_after_utc):
        raise place.wrong(f"the certificate expired on {end:%Y-%m-%d}", "ask for a new one")
    if now < (begin := certificate.not_valid_before_utc):
        raise place.wrong(
            f"the certificate is not valid before {begin:%Y-%m-%d}", "is the clock right?"
        )


def _name(certificate: x509.Certificate) -> str:
    for attribute in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
        return str(attribute.value)
    return ""


def _pem(certificate: x509.Certificate) -> str:
    return ssl.DER_cert_to_PEM_cert(certificate.public_bytes(Encoding.DER))
