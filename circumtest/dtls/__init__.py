"""DTLS for calls (RFC 5764): two halves without I/O, and a ClientHello of a chosen shape.

`docs/dtls.md` says what of it is real.  TLS over streams is `circumtest.secure`'s.
"""

from random import Random, SystemRandom

from circumtest.dtls.client import Client
from circumtest.dtls.endpoint import Endpoint, SrtpKeys
from circumtest.dtls.openssl import OpenSsl
from circumtest.dtls.server import Server
from circumtest.dtls.shapes import Shape, shaped
from circumtest.dtls.signatures import fingerprint
from circumtest.identity import Identity

__all__ = ["Endpoint", "Shape", "SrtpKeys", "client", "fingerprint", "server"]


def client(
    shape: Shape, identity: Identity, rng: Random, peer_fingerprint: bytes | None = None
) -> Endpoint:
    """The half that says hello, as a program of `shape` would.

    `peer_fingerprint` is `fingerprint` of the peer's certificate or of his key, None for anybody's.
    """
    if shape is Shape.OPENSSL:
        return OpenSsl(identity, peer_fingerprint, server=False)
    return Client(shaped(shape, rng), identity, peer_fingerprint, rng)


def server(
    identity: Identity, peer_fingerprint: bytes | None = None, rng: Random | None = None
) -> Endpoint:
    """The half that answers hellos, in DTLS 1.3 where one offers it, asking for a certificate.

    It takes no cookies: who has not passed an ICE check is not to be handed to it.  `rng` is where
    DTLS 1.3 has its chance from; OpenSSL has its own, and so has None.
    """
    return Server(identity, peer_fingerprint, rng or SystemRandom())
