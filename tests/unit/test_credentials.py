"""Certificates and keys that people have."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import credentials
from circumtest.credentials import Place
from circumtest.errors import ConfigError
from circumtest.lab.pki import Authority

HERE = Place("vpn.conf", "line 3")
AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.client("caller")
PRIVATE = load_pem_private_key(KEY.encode(), None)


def locked(password: bytes) -> bytes:
    """The key, encrypted."""
    how = BestAvailableEncryption(password)
    return PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def archive(password: bytes) -> bytes:
    """All of it as PKCS#12."""
    read = x509.load_pem_x509_certificate
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return serialize_key_and_certificates(
        b"caller",
        PRIVATE,  # type: ignore[arg-type]
        read(CERTIFICATE.encode()),
        [read(AUTHORITY.certificate.encode())],
        how,
    )


def test_every_form_gives_the_same_identity() -> None:
    """PEM in two files or one, DER, an encrypted key, PKCS#12 with a password and without."""
    der = x509.load_pem_x509_certificate(CERTIFICATE.encode()).public_bytes(Encoding.DER)
    plain = PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    whole = credentials.identity(CERTIFICATE.encode(), KEY.encode(), "", HERE)
    assert whole.name == "caller"
    assert whole.certificate == CERTIFICATE
    for certificate, key, password in (
        ((CERTIFICATE + KEY).encode(), b"", ""),
        ((KEY + CERTIFICATE).encode(), b"", "needless"),
        (CERTIFICATE.encode(), locked(b"open"), "open"),
        (der, plain, ""),
        (archive(b"open"), b"", "open"),
        (archive(b""), b"", ""),
    ):
        assert credentials.identity(certificate, key, password, HERE) == whole


def test_the_chain_is_kept_without_the_authority_itself() -> None:
    """What stands between is sent along; a root is known by the other side or not at all."""
    bundle = CERTIFICATE + AUTHORITY.certificate
    assert credentials.identity(bundle.encode(), KEY.encode(), "", HERE).chain == ""
    assert credentials.in_archive(archive(b"open"), "open", HERE) == AUTHORITY.certificate
    assert credentials.is_authority(AUTHORITY.certificate)
    assert not credentials.is_authority(CERTIFICATE)


def test_what_cannot_be_used_is_refused_by_name() -> None:
    """Where it stands, what is wrong, and never the key or its password."""
    old, old_key = Authority(over=True).client("caller")
    for certificate, key, password, said in (
        ("", "", "", "is no certificate"),
        (CERTIFICATE, "", "", "is no private key"),
        (CERTIFICATE, "nonsense", "", "is no private key"),
        (CERTIFICATE, locked(b"open").decode(), "", "give the password"),
        (CERTIFICATE, locked(b"open").decode(), "closed", "look at the password"),
        (CERTIFICATE, AUTHORITY.client("caller").key, "", "another certificate"),
        (old, old_key, "", "expired on"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            credentials.identity(certificate.encode(), key.encode(), password, HERE)
        assert str(caught.value).startswith("vpn.conf: line 3: ")
        assert "closed" not in str(caught.value)
    for password, said in (("", "give its password"), ("closed", "look at the password")):
        with pytest.raises(ConfigError, match=said):
            credentials.identity(archive(b"open"), b"", password, HERE)
    with pytest.raises(ConfigError, match="expired on"):
        credentials.authorities(Authority(over=True).certificate.encode(), HERE)


def test_files_are_read_or_named(tmp_path: Path) -> None:
    """One that is missing, one that is given twice, one that others can read."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        credentials.content(str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="is given twice"):
        credentials.given("a.pem", CERTIFICATE, HERE)
    file = tmp_path / "key.pem"
    file.write_text(KEY)
    file.chmod(0o644)
    assert credentials.given(str(file), "", HERE) == KEY.encode()
    (note,) = credentials.exposed(str(file))
    assert "chmod 600" in note
    file.chmod(0o600)
    assert credentials.exposed(str(file)) == ()


def test_base64_may_have_line_breaks_and_nothing_else() -> None:
    """As it is in profiles."""
    assert credentials.unbase64(base64.encodebytes(b"x" * 90).decode(), HERE) == b"x" * 90
    with pytest.raises(ConfigError, match="is not base64"):
        credentials.unbase64("§§§", HERE)


def test_an_identity_shows_nothing_of_itself() -> None:
    """Its repr may be logged."""
    whole = credentials.identity(CERTIFICATE.encode(), KEY.encode(), "", HERE)
    assert repr(whole) == "Identity()"


@settings(max_examples=300)
@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=9), st.integers(0, 2))
def test_garbage_is_refused_and_nothing_else_happens(
    certificate: bytes, key: bytes, password: str, kind: int
) -> None:
    """Whatever comes in, a ConfigError comes out."""
    begun = (b"", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x80\x02\x01\x03\x30")[kind]
    with pytest.raises(ConfigError):
        credentials.identity(begun + certificate, key, password, HERE)
    with pytest.raises(ConfigError):
        credentials.authorities(begun + certificate, HERE)
