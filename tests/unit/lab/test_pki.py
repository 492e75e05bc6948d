"""The lab's authority: what it certifies, and for whom."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import DNSName, IPAddress, SubjectAlternativeName, load_pem_x509_certificate
from cryptography.x509.extensions import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID

from circumtest.lab.pki import Authority, certified


def test_servers_and_clients_are_certified_for_their_purpose_only() -> None:
    """OpenVPN and stunnel look at it."""
    authority = Authority()
    root = load_pem_x509_certificate(authority.certificate.encode())
    for pair, purpose in (
        (authority.server("vpn.example"), ExtendedKeyUsageOID.SERVER_AUTH),
        (authority.client("vpn.example"), ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        leaf = load_pem_x509_certificate(pair.certificate.encode())
        leaf.verify_directly_issued_by(root)
        assert list(leaf.extensions.get_extension_for_class(ExtendedKeyUsage).value) == [purpose]
        names = leaf.extensions.get_extension_for_class(SubjectAlternativeName).value
        assert names.get_values_for_type(DNSName) == ["vpn.example"]
        assert leaf.not_valid_before_utc < datetime.now(UTC) < leaf.not_valid_after_utc


@pytest.mark.parametrize("over", [False, True])
def test_an_authority_can_be_over(over: bool) -> None:
    """And everything of it."""
    authority = Authority(over=over)
    for text in (authority.certificate, authority.client("me").certificate):
        read = load_pem_x509_certificate(text.encode())
        assert (read.not_valid_after_utc < datetime.now(UTC)) is over


def test_a_certificate_is_for_its_hosts_and_from_its_authority() -> None:
    """Names and addresses of both families; the key is the certificate's."""
    made = certified(["vpn.example.com", "192.0.2.1", "2001:db8::1"])
    root, leaf = (load_pem_x509_certificate(one.encode()) for one in made[:2])
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert names.get_values_for_type(DNSName) == ["vpn.example.com"]
    addresses = names.get_values_for_type(IPAddress)
    assert [str(one) for one in addresses] == ["192.0.2.1", "2001:db8::1"]
    assert load_pem_private_key(made.key.encode(), None).public_key() == leaf.public_key()


def test_one_can_be_over() -> None:
    """For tests of what a client says of it."""
    leaf = load_pem_x509_certificate(certified(["x"], over=True).certificate.encode())
    assert leaf.not_valid_before_utc < leaf.not_valid_after_utc < datetime.now(UTC)
