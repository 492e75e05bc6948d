"""The ladder of DTLS 1.2 against OpenSSL's server in all that a server may choose."""

from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from circumtest import dtls, identity
from circumtest.dtls import Shape
from circumtest.dtls.client import Client
from circumtest.dtls.endpoint import EXPORTER
from circumtest.dtls.keys12 import SUITES
from tests.unit.dtls.test_signatures import certificate

OWN = identity.certificate("caller", "caller")
FAR = identity.certificate("callee", "callee")
RSA = rsa.generate_private_key(65537, 2048)
NAMES = {
    0xC02B: b"ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: b"ECDHE-ECDSA-AES256-GCM-SHA384",
    0xCCA9: b"ECDHE-ECDSA-CHACHA20-POLY1305",
    0xC009: b"ECDHE-ECDSA-AES128-SHA",
    0xC00A: b"ECDHE-ECDSA-AES256-SHA",
    0xC02F: b"ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: b"ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: b"ECDHE-RSA-CHACHA20-POLY1305",
    0xC013: b"ECDHE-RSA-AES128-SHA",
    0xC014: b"ECDHE-RSA-AES256-SHA",
}
NO_EXTENDED_MASTER_SECRET = 1
"""OpenSSL's SSL_OP_NO_EXTENDED_MASTER_SECRET, which pyOpenSSL has no name for."""
OFFERS = {0xC02C: Shape.PION, 0xC030: Shape.PION}


def context(suite: int = 0xC02B) -> SSL.Context:
    """A server of OpenSSL's that takes one suite."""
    made = SSL.Context(SSL.DTLS_SERVER_METHOD)
    if b"-RSA-" in NAMES[suite]:
        made.use_certificate(x509.load_der_x509_certificate(certificate(RSA)))
        made.use_privatekey(RSA)
    else:
        key = load_pem_private_key(FAR.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        made.use_certificate(x509.load_pem_x509_certificate(FAR.certificate))
        made.use_privatekey(key)
    made.set_cipher_list(NAMES[suite] + b":@SECLEVEL=0")
    made.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    return made


def handshake(
    made: SSL.Context, shape: Shape = Shape.LIBWEBRTC, mtu: int = 1400
) -> tuple[Client, SSL.Connection]:
    """Ours with a server of that context; the records of a flight each in a datagram."""
    client = dtls.client(shape, OWN, Random(1))
    assert isinstance(client, Client)
    server = SSL.Connection(made, None)
    server.set_accept_state()
    server.set_ciphertext_mtu(mtu)
    flying = client.start(0.0)
    for _ in range(20):
        for datagram in flying:
            server.bio_write(datagram)
            try:
                server.do_handshake()
            except SSL.WantReadError:
                continue
        flying = [answer for data in taken(server) for answer in client.receive(data, 0.0)]
        if client.established:
            return client, server
    raise AssertionError("it does not end")


def taken(server: SSL.Connection) -> list[bytes]:
    """What a server has written, record by record."""
    out = bytearray()
    try:
        while True:
            out += server.bio_read(1 << 16)
    except SSL.WantReadError:
        pass
    cut, at = [], 0
    while at < len(out):
        size = 13 + int.from_bytes(out[at + 11 : at + 13])
        cut.append(bytes(out[at : at + size]))
        at += size
    return cut


def same_keys(client: Client, server: SSL.Connection) -> bool:
    """Whether both export the same for SRTP."""
    keys = client.keys
    if keys is None:
        return False
    ours = keys.client_key + keys.server_key + keys.client_salt + keys.server_salt
    return server.export_keying_material(EXPORTER, len(ours), None) == ours


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_that_shapes_offer_is_spoken(suite: int) -> None:
    """With both kinds of certificates."""
    client, server = handshake(context(suite), OFFERS.get(suite, Shape.LIBWEBRTC))

    assert server.get_cipher_name() == NAMES[suite].decode()
    assert same_keys(client, server)


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_every_group_that_shapes_offer_is_agreed_in(group: str) -> None:
    """As the server chooses."""
    made = context()
    curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}.get(group)
    if curve is not None:
        made.set_tmp_ecdh(curve)
    client, server = handshake(made)

    assert same_keys(client, server)
    names = {"X25519": "x25519", "P-256": "secp256r1", "P-384": "secp384r1"}
    assert server.get_group_name() == names[group]


@pytest.mark.parametrize("asks", [True, False])
def test_a_certificate_is_shown_to_who_asks_for_it(asks: bool) -> None:
    """And to nobody else."""
    made = context()
    if asks:
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    client, server = handshake(made)
    shown = server.get_peer_certificate(as_cryptography=True)

    assert same_keys(client, server)
    assert (shown == x509.load_pem_x509_certificate(OWN.certificate)) is asks


def test_an_old_server_without_extended_master_secret_is_spoken_to() -> None:
    """RFC 7627 5.3 leaves that to the client; WebRTC's do."""
    made = context()
    made.set_options(NO_EXTENDED_MASTER_SECRET)

    assert same_keys(*handshake(made))


def test_a_ticket_is_read_over() -> None:
    """Servers give one to who offers the extension, as some random hellos do."""
    made = context()
    seeds = [seed for seed in range(40) if _offers_ticket(seed)]
    assert seeds
    client = dtls.client(Shape.RANDOM, OWN, Random(seeds[0]))
    server = SSL.Connection(made, None)
    server.set_accept_state()
    kinds = set()
    flying = client.start(0.0)
    while not client.established:
        for datagram in flying:
            server.bio_write(datagram)
            try:
                server.do_handshake()
            except SSL.WantReadError:
                continue
        records = taken(server)
        kinds |= {record[13] for record in records if record[3:5] == b"\0\0"}
        flying = [answer for data in records for answer in client.receive(data, 0.0)]

    assert 4 in kinds


def _offers_ticket(seed: int) -> bool:
    (datagram,) = dtls.client(Shape.RANDOM, OWN, Random(seed)).start(0.0)
    return b"\x00\x23\x00\x00" in datagram


def test_messages_in_many_small_fragments_are_put_together() -> None:
    """A server behind a small MTU."""
    assert same_keys(*handshake(context(), mtu=256))


def test_a_server_that_asks_for_a_cookie_gets_it() -> None:
    """OpenSSL's own exchange of cookies (RFC 6347 4.2.1)."""
    made = context()
    assert SSL.OP_COOKIE_EXCHANGE
    made.set_options(SSL.OP_COOKIE_EXCHANGE)
    made.set_cookie_generate_callback(lambda _: b"one cookie")
    made.set_cookie_verify_callback(lambda _, cookie: cookie == b"one cookie")

    assert same_keys(*handshake(made))


def test_without_a_profile_for_sound_there_are_no_keys() -> None:
    """The handshake is good all the same; who wants sound says what that means."""
    made = context()
    made.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_32")
    client, _ = handshake(made)

    assert client.established
    assert client.keys is None
