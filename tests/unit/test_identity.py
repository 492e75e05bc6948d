"""Certificates made from a secret: the same key each time, another one for another secret."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from circumtest.identity import certificate, names, public_key, shown_key


def der(secret: str, name: str = "relay.test") -> bytes:
    """The certificate, DER."""
    made = x509.load_pem_x509_certificate(certificate(secret, name).certificate)
    return made.public_bytes(Encoding.DER)


def test_the_certificate_shows_the_key_that_the_secret_gives() -> None:
    """Whatever its name."""
    assert shown_key(der("one")) == public_key("one")
    assert shown_key(der("one", "another.test")) == public_key("one")
    assert public_key("one") != public_key("two")


def test_the_private_key_belongs_to_the_certificate() -> None:
    """A server can be started with both."""
    made = certificate("one", "relay.test")
    key = load_pem_private_key(made.key, None)
    shown = x509.load_pem_x509_certificate(made.certificate)

    assert key.public_key() == shown.public_key()
    assert "relay.test" in shown.extensions[0].value.get_values_for_type(x509.DNSName)


@given(st.text(max_size=40), st.text("abcdefghijklmnop.-", min_size=1, max_size=200))
def test_any_secret_and_name_make_one(secret: str, name: str) -> None:
    """Names longer than X.509 allows are cut."""
    assert shown_key(der(secret, name)) == public_key(secret)


@given(st.binary(max_size=300))
def test_garbage_is_no_certificate(data: bytes) -> None:
    """ValueError, and nothing else."""
    with pytest.raises(ValueError):
        shown_key(data)


@pytest.mark.parametrize(
    ("shown", "name", "is_for"),
    [
        ("chat.test", "chat.test", True),
        ("CHAT.test", "chat.TEST", True),
        ("*.chat.test", "a.chat.test", True),
        ("*.chat.test", "chat.test", False),
        ("*.chat.test", "a.b.chat.test", False),
        ("other.test", "chat.test", False),
    ],
)
def test_whom_a_certificate_is_for(shown: str, name: str, is_for: bool) -> None:
    """Letters' case does not count, and a star is one label."""
    assert names(der("one", shown), name) is is_for


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_no_certificate_is_for_nobody(data: bytes, name: str) -> None:
    """Whatever it is."""
    assert not names(data, name)
