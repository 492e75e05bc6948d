"""An authority made for one lab, which certifies servers and their clients.

Keys are new each time and live as long as the lab: it is no place to learn how to keep them.
"""

import ipaddress
from collections.abc import Iterable
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


class Certified(NamedTuple):
    """PEM texts: an authority's certificate, its server's, and the server's key."""

    authority: str
    certificate: str
    key: str


def certified(hosts: Iterable[str], *, over: bool = False) -> Certified:
    """A server's certificate for `hosts`, of an authority that certifies nobody else."""
    authority = Authority()
    return Certified(authority.certificate, *authority.server(*hosts, over=over))


class Authority:
    """`certificate` is its own, in PEM.

    Everything is valid from yesterday to tomorrow, or, made with `over`, was until yesterday.
    """

    def __init__(self, *, over: bool = False) -> None:
        self._over = over
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("the lab's authority")
        root = self._begun(self._name, self._key, over=over)
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        root = root.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        self.certificate = _pem(root.sign(self._key, SHA256()))

    def server(self, *hosts: str, over: bool = False) -> Pair:
        """For a server that is known by `hosts`, names and addresses; `over`: until yesterday."""
        return self._issue(hosts, ExtendedKeyUsageOID.SERVER_AUTH, over=over)

    def client(self, name: str) -> Pair:
        """For a client."""
        return self._issue((name,), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self, hosts: tuple[str, ...], purpose: x509.ObjectIdentifier, *, over: bool = False
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._begun(_name(hosts[0]), key, over=over or self._over)
        names = x509.SubjectAlternativeName([_general(host) for host in hosts])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        leaf = leaf.add_extension(names, critical=False).add_extension(issuer, critical=False)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        leaf = leaf.add_extension(_usage(digital_signature=True), critical=True)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return Pair(
            _pem(leaf.sign(self._key, SHA256())),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        )

    def _begun(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, over: bool
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - 2 * _DAY if over else now - _DAY,
            not_valid_after=now - _DAY if over else now + _DAY,
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _usage(**what: bool) -> x509.KeyUsage:
    every: tuple[str, ...] = ("digital_signature", "content_commitment", "key_encipherment")
    every += ("data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    every += ("encipher_only", "decipher_only")
    return x509.KeyUsage(**{one: what.get(one, False) for one in every})


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
