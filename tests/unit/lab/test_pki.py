"""The lab's authority: what it certifies, and for whom."""

from datetime import UTC, datetime

import pytest
from cryptography.x509 import DNSName, SubjectAlternativeName, load_pem_x509_certificate
from cryptography.x509.extensions import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID

from circumtest.lab.pki import Authority


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
