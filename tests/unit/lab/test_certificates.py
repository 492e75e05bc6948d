"""The lab's certificates, as the cryptography library reads them."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from circumtest.lab.certificates import certified


def test_a_certificate_is_for_its_hosts_and_from_its_authority() -> None:
    """Names and addresses of both families; the key is the certificate's."""
    made = certified(["vpn.example.com", "192.0.2.1", "2001:db8::1"])
    root, leaf = (x509.load_pem_x509_certificate(one.encode()) for one in made[:2])
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["vpn.example.com"]
    addresses = names.get_values_for_type(x509.IPAddress)
    assert [str(one) for one in addresses] == ["192.0.2.1", "2001:db8::1"]
    assert load_pem_private_key(made.key.encode(), None).public_key() == leaf.public_key()


def test_one_can_be_over() -> None:
    """For tests of what a client says of it."""
    leaf = x509.load_pem_x509_certificate(certified(["x"], days=-1).certificate.encode())
    assert leaf.not_valid_before_utc < leaf.not_valid_after_utc < datetime.now(UTC)
