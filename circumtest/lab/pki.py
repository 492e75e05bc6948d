"""An authority made for one lab that certifies servers and their clients.

Keys are new each time and live as long as the lab: it is no place to learn how to keep them.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, PEM texts."""

    certificate: str
    key: str


class Authority:
    """`certificate` is its own, in PEM.

    Everything is valid from yesterday to tomorrow, or, made with `over`, was until yesterday.
    """

    def __init__(self, *, over: bool = False) -> None:
        now = datetime.now(UTC)
        self._from, self._until = (now - 2 * _DAY, now - _DAY) if over else (now - _DAY, now + _DAY)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("the lab's authority")
        root = self._begun(self._name, self._key)
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        root = root.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        self.certificate = _pem(root.sign(self._key, SHA256()))

    def server(self, host: str) -> Pair:
        """For a server that is known by the name `host`."""
        return self._issue(host, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str) -> Pair:
        """For a client."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(self, name: str, purpose: x509.ObjectIdentifier) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._begun(_name(name), key)
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        leaf = leaf.add_extension(names, critical=False).add_extension(issuer, critical=False)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        leaf = leaf.add_extension(_usage(digital_signature=True), critical=True)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return Pair(
            _pem(leaf.sign(self._key, SHA256())),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        )

    def _begun(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=self._from,
            not_valid_after=self._until,
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _usage(**what: bool) -> x509.KeyUsage:
    every: tuple[str, ...] = ("digital_signature", "content_commitment", "key_encipherment")
    every += ("data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    every += ("encipher_only", "decipher_only")
    return x509.KeyUsage(**{one: what.get(one, False) for one in every})


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
