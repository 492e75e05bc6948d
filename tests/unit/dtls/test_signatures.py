"""Signatures and fingerprints: of every kind of key that a peer may have, and of none."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from circumtest import identity
from circumtest.dtls import signatures
from circumtest.dtls.signatures import fingerprint, is_shown_by, verified

OWN = identity.certificate("one", "peer")
DATA = b"what is signed"
RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP384R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def certificate(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A self-signed certificate, DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def test_our_signature_is_verified_and_no_other() -> None:
    """It draws nothing, so that the same handshake has the same bytes."""
    der = signatures.certificate_der(OWN)
    made = signatures.sign(OWN, DATA)

    assert made == signatures.sign(OWN, DATA)
    assert verified(der, signatures.ECDSA_SHA256, made, DATA)
    assert not verified(der, signatures.ECDSA_SHA256, made, DATA + b"!")
    assert not verified(der, signatures.ECDSA_SHA256, b"", DATA)
    other = signatures.certificate_der(identity.certificate("two", "peer"))
    assert not verified(other, signatures.ECDSA_SHA256, made, DATA)


@pytest.mark.parametrize(
    ("scheme", "der", "signature"),
    [
        (0x0401, certificate(RSA), RSA.sign(DATA, padding.PKCS1v15(), hashes.SHA256())),
        (
            0x0805,
            certificate(RSA),
            RSA.sign(DATA, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384()),
        ),
        (0x0503, certificate(CURVE), CURVE.sign(DATA, ec.ECDSA(hashes.SHA384()))),
        (0x0603, certificate(CURVE), CURVE.sign(DATA, ec.ECDSA(hashes.SHA512()))),
        (0x0807, certificate(EDWARDS), EDWARDS.sign(DATA)),
    ],
    ids=["rsa", "pss", "p256-sha384", "p256-sha512", "ed25519"],  # the bytes are new each time
)
def test_every_scheme_that_shapes_offer_is_known(scheme: int, der: bytes, signature: bytes) -> None:
    """RSA with both paddings, other curves, Ed25519."""
    assert verified(der, scheme, signature, DATA)
    assert not verified(der, scheme, signature, b"else")


@pytest.mark.parametrize("scheme", [0x0401, 0x0804, 0x0807, 0x0903])
def test_a_scheme_that_the_key_cannot_have_is_a_value_error(scheme: int) -> None:
    """And one whose hash is none."""
    with pytest.raises(ValueError, match="scheme"):
        verified(signatures.certificate_der(OWN), scheme, b"", DATA)


def test_a_peer_is_pinned_by_his_certificate_or_by_his_key() -> None:
    """Signalling brings the one, a secret gives the other."""
    der = signatures.certificate_der(OWN)

    assert is_shown_by(fingerprint(der), der)
    assert is_shown_by(fingerprint(identity.public_key("one")), der)
    assert not is_shown_by(fingerprint(identity.public_key("two")), der)
    assert not is_shown_by(b"", der)


def test_a_key_of_another_kind_verifies_nothing() -> None:
    """DSA is none of TLS 1.3's."""
    with pytest.raises(ValueError, match="another key"):
        verified(certificate(dsa.generate_private_key(2048)), 0x0402, b"", DATA)


@given(st.binary(max_size=300))
def test_garbage_for_a_certificate_is_a_value_error(data: bytes) -> None:
    """Whatever is asked of it."""
    with pytest.raises(ValueError):
        is_shown_by(b"", data)
    with pytest.raises(ValueError):
        verified(data, 0x0403, b"", DATA)
