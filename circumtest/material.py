"""Certificates and keys of a configuration: read, checked, and written anew in the plainest form.

What a server is sure to refuse is refused here, with a date and a place.  It refuses to tell
anything of a key, and to judge a certificate's cryptography: that is the daemon's business.
"""

import binascii
import re
import ssl
import warnings
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from circumtest.errors import ConfigError

_CERTIFICATE = re.compile(
    r"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?"
    r"-----END (?:TRUSTED |X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_KEY = re.compile(
    r"-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL
)


class Given(NamedTuple):
    """A text of a configuration and where it stands: file (`where`) and spot in it (`place`)."""

    text: str
    where: str
    place: str

    def wrong(self, problem: str, remedy: str = "") -> ConfigError:
        return ConfigError(self.where, self.place, problem, remedy)


class Identity(NamedTuple):
    """What a client shows: PEM texts, with the key in the clear; `names` are its common names."""

    certificate: str
    key: str
    names: tuple[str, ...]


def authorities(given: Given, now: datetime) -> tuple[str, tuple[str, ...]]:
    """The certificates in `given` in PEM, and notes on those of them that are over.

    Raises ConfigError when there is none, one is broken, or all are over.
    """
    blocks = _blocks(given)
    read = [_parsed(block, given) for block in blocks]
    over = [one for one in read if one and one.not_valid_after_utc < now]
    notes = tuple(
        f"{given.place}: an authority's certificate is over since {_day(one.not_valid_after_utc)}"
        for one in over
    )
    if len(over) == len(blocks):
        last = _day(max(one.not_valid_after_utc for one in over))
        problem = f"every authority's certificate is over, since {last}: no server can be trusted"
        raise given.wrong(problem, "get a new configuration from whoever runs the server")
    return "\n".join(blocks) + "\n", notes


def identity(certificate: Given, key: Given, passphrase: str | None, now: datetime) -> Identity:
    """The client's certificate (and those behind it), and the key that belongs to it.

    Raises ConfigError when either is broken or encrypted without a passphrase, when they do not
    belong together, and when the certificate is over or not yet valid.
    """
    blocks = _blocks(certificate)
    private = _private(key, passphrase)
    own = _parsed(blocks[0], certificate)
    if own is not None:
        if days := _outside(own, now):
            raise certificate.wrong(*days)
        if _public(own) not in (None, _public(private)):
            raise key.wrong("does not belong to the certificate", "take both from the same place")
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Identity("\n".join(blocks) + "\n", text, _names(own))


def bundle(
    given: Given, raw: bytes, passphrase: str | None, now: datetime
) -> tuple[Identity, str | None]:
    """A PKCS#12 file taken apart: the identity, and the authorities in PEM where it has them."""
    try:
        found = pkcs12.load_pkcs12(raw, passphrase.encode() if passphrase else None)
    except ValueError:
        remedy = "askpass FILE, with the passphrase on its first line"
        raise given.wrong("is no PKCS#12, or its passphrase is another", remedy) from None
    if found.key is None or found.cert is None:
        raise given.wrong("holds no certificate with its key")
    key = found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    certificate = found.cert.certificate.public_bytes(Encoding.PEM).decode()
    whole = identity(given._replace(text=certificate), given._replace(text=key), None, now)
    others = [one.certificate.public_bytes(Encoding.PEM).decode() for one in found.additional_certs]
    return whole, "".join(others) or None


def base64_of(given: Given) -> bytes:
    """The bytes of an inline PKCS#12.  Raises ConfigError."""
    try:
        return binascii.a2b_base64("".join(given.text.split()), strict_mode=True)
    except (binascii.Error, ValueError):
        raise given.wrong("is not base64", "what `base64 FILE` prints") from None


def revoked(given: Given) -> str:
    """A list of revoked certificates in PEM.  Raises ConfigError."""
    try:
        read = x509.load_pem_x509_crl(given.text.encode())
    except ValueError:
        raise given.wrong("is no list of revoked certificates in PEM") from None
    return read.public_bytes(Encoding.PEM).decode()


# ------------------------------------------------------------------ one certificate, one key


def _blocks(given: Given) -> list[str]:
    if not (blocks := [found[0] for found in _CERTIFICATE.finditer(given.text)]):
        remedy = "the lines from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
        raise given.wrong("holds no certificate in PEM", remedy)
    return blocks


def _parsed(block: str, given: Given) -> x509.Certificate | None:
    """None for one that OpenSSL takes and this library, which is stricter, does not."""
    wrong = given.wrong(
        "holds a certificate that cannot be read", "get the file again: it is damaged"
    )
    if not block.isascii():
        raise wrong
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old authorities: the daemon has a word to say of them
        try:
            read = x509.load_pem_x509_certificate(block.encode())
            _ = read.subject, read.not_valid_before_utc, read.not_valid_after_utc  # read when asked
            return read
        except ValueError:
            pass
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=block)
    except (ssl.SSLError, ValueError):
        raise wrong from None
    return None


def _private(given: Given, passphrase: str | None) -> Any:
    if (found := _KEY.search(given.text)) is None:
        remedy = "the lines from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----"
        raise given.wrong("holds no private key in PEM", remedy)
    locked = "ENCRYPTED" in found[0]
    if locked and not passphrase:
        remedy = "askpass FILE, with the passphrase on its first line"
        raise given.wrong("is encrypted, and there is no passphrase", remedy)
    try:
        return load_pem_private_key(
            found[0].encode(), passphrase.encode() if locked and passphrase else None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "does not open with the passphrase" if locked else "cannot be read"
        raise given.wrong(f"the private key {why}", "get the file again") from None


def _public(of: Any) -> bytes | None:
    """The public key of a certificate or a private key, None for a kind that is not known here."""
    try:
        told: bytes = of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return told


def _outside(own: x509.Certificate, now: datetime) -> tuple[str, str] | None:
    if own.not_valid_after_utc < now:
        problem = f"the client's certificate is over since {_day(own.not_valid_after_utc)}"
        return problem, "get a new configuration from whoever runs the server"
    if own.not_valid_before_utc > now:
        problem = f"the client's certificate begins on {_day(own.not_valid_before_utc)} only"
        return problem, "is the clock of this machine right?"
    return None


def _names(own: x509.Certificate | None) -> tuple[str, ...]:
    if own is None:
        return ()
    found = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return tuple(str(one.value) for one in found)


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"
