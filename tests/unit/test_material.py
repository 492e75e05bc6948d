"""Certificates and keys: what is read, and what is refused with a date and a place."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from circumtest import material
from circumtest.errors import ConfigError
from circumtest.lab.pki import Authority, Pair
from circumtest.material import Given

NOW = datetime.now(UTC)
AUTHORITY = Authority()
PAIR = AUTHORITY.client("me")


def given_(text: str) -> Given:
    """As a block of a file."""
    return Given(text, "vpn.ovpn", "line 7, cert")


def identity(pair: Pair, passphrase: str | None = None, now: datetime = NOW) -> material.Identity:
    """The pair, read."""
    certificate, key = map(given_, pair)
    return material.identity(certificate, key, passphrase, now)


def encrypted(pair: Pair, passphrase: str) -> Pair:
    """With the key encrypted."""
    key = load_pem_private_key(pair.key.encode(), None)
    how = BestAvailableEncryption(passphrase.encode())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()
    return pair._replace(key=text)


def test_a_certificate_and_its_key_are_written_anew() -> None:
    """What stands around them is left out."""
    found = identity(Pair(f"Subject: me\n{PAIR.certificate}\njunk", f"junk\n{PAIR.key}"))
    assert found.certificate.strip() == PAIR.certificate.strip()
    assert (found.key, found.names) == (PAIR.key, ("me",))


def test_an_encrypted_key_needs_its_passphrase() -> None:
    """It is then written in the clear."""
    locked = encrypted(PAIR, "sesame")
    assert identity(locked, "sesame").key == PAIR.key
    for passphrase, said in ((None, "there is no passphrase"), ("other", "does not open")):
        with pytest.raises(ConfigError, match=said):
            identity(locked, passphrase)


def test_a_certificate_that_is_over_or_not_yet_valid_is_refused_with_its_day() -> None:
    """The server would refuse it too."""
    with pytest.raises(ConfigError, match=r"over since \d{4}-\d\d-\d\d") as caught:
        identity(Authority(over=True).client("me"))
    assert caught.value.place == "line 7, cert"
    with pytest.raises(ConfigError, match="clock"):
        identity(PAIR, now=NOW - timedelta(days=9))


def test_a_key_of_another_certificate_is_refused() -> None:
    """The commonest mix-up of files."""
    with pytest.raises(ConfigError, match="does not belong"):
        identity(PAIR._replace(key=AUTHORITY.client("you").key))


def test_authorities_that_are_over_are_told_and_refused_only_when_all_are() -> None:
    """A bundle often holds an old one beside the new."""
    old = Authority(over=True).certificate
    text, notes = material.authorities(given_(old + AUTHORITY.certificate), NOW)
    assert text.count("BEGIN CERTIFICATE") == 2
    assert "over since" in notes[0]
    with pytest.raises(ConfigError, match="every authority"):
        material.authorities(given_(old), NOW)


def test_a_pkcs12_file_is_taken_apart() -> None:
    """Certificate, key, and the authority where it holds one."""
    key = load_pem_private_key(PAIR.key.encode(), None)
    certificate, authority = (
        load_pem_x509_certificate(text.encode())
        for text in (PAIR.certificate, AUTHORITY.certificate)
    )
    raw = pkcs12.serialize_key_and_certificates(
        b"me",
        key,  # type: ignore[arg-type]
        certificate,
        [authority],
        BestAvailableEncryption(b"sesame"),
    )
    found, others = material.bundle(given_(""), raw, "sesame", NOW)
    assert found.key == PAIR.key
    assert others == AUTHORITY.certificate
    with pytest.raises(ConfigError, match="passphrase is another"):
        material.bundle(given_(""), raw, "other", NOW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no certificate in PEM"),
        ("not a certificate", "no certificate in PEM"),
        (PAIR.certificate.replace("M", "!", 3), "cannot be read"),
        (PAIR.certificate[:200] + PAIR.certificate[260:], "cannot be read"),
    ],
)
def test_a_damaged_certificate_is_refused(text: str, said: str) -> None:
    """And so is one that is none."""
    with pytest.raises(ConfigError, match=said):
        identity(PAIR._replace(certificate=text))


@given(st.text(max_size=60), st.integers(0, 400), st.integers(0, 60))
def test_mangled_texts_are_material_or_a_config_error(text: str, place: int, cut: int) -> None:
    """Nothing else comes out, and no key is told."""

    def mangled(whole: str) -> str:
        return whole[:place] + text + whole[place + cut :]

    tries = [
        PAIR._replace(certificate=mangled(PAIR.certificate)),
        PAIR._replace(key=mangled(PAIR.key)),
    ]
    secret = PAIR.key.splitlines()[1]
    try:
        for pair in tries:
            identity(pair)
        material.revoked(given_(mangled(PAIR.certificate)))
    except ConfigError as error:
        assert secret not in str(error)  # noqa: PT017
