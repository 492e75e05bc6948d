"""The caller's ladder of DTLS 1.2, from the ServerHello on (RFC 5246 7.3, RFC 6347 4.2, RFC 8422).

Extended master secret (RFC 7627), a client's certificate where the server asks for one, SRTP's keys
by the exporter (RFC 5705, RFC 5764).  It refuses renegotiation, resumption and static RSA.
"""

from hashlib import new

from circumtest.dtls import groups, signatures
from circumtest.dtls.endpoint import EXPORTER, srtp_keys, srtp_size
from circumtest.dtls.flight import Message, Piece, cut
from circumtest.dtls.keys12 import (
    MASTER,
    SUITES,
    Protection,
    Suite,
    prf,
    protections,
    record_seal,
    verify_data,
)
from circumtest.dtls.session import ClientSession, Ladder
from circumtest.wire.dtls import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    CHANGE_CIPHER_SPEC,
    CLIENT_KEY_EXCHANGE,
    EXTENDED_MASTER_SECRET,
    FINISHED,
    NEW_SESSION_TICKET,
    SERVER_HELLO_DONE,
    SERVER_KEY_EXCHANGE,
    USE_SRTP,
    Reader,
    Record,
    ServerHello,
    vector,
)

_NAMED_CURVE = 3


class Twelve:
    """One climb; `opener` opens the server's records once there are keys."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._server: Protection | None = None

    def open(self, record: Record) -> bytes:
        """What a sealed record says.  Raises ValueError for what was not sealed with our keys."""
        if self._server is None or record.epoch != 1:
            raise ValueError("a record of another epoch")
        return self._server.open(record.kind, record.epoch << 48 | record.seq, record.body)

    def climb(self, theirs: ServerHello) -> Ladder:
        """From behind the ServerHello to the end.  Raises ValueError and HandshakeFailed."""
        session = self._session
        suite = SUITES.get(theirs.cipher)
        if suite is None:
            raise ValueError(f"cipher suite {theirs.cipher:#06x} cannot be spoken here")
        message = yield from session.wait({0: (CERTIFICATE,)})
        der = session.check_certificate(_chain(message.body))
        message = yield from session.wait({0: (SERVER_KEY_EXCHANGE,)})
        share = self._exchange(message.body, theirs, der)
        message = yield from session.wait({0: (CERTIFICATE_REQUEST, SERVER_HELLO_DONE)})
        asked = message.kind == CERTIFICATE_REQUEST
        if asked:
            _check_request(message.body)
            message = yield from session.wait({0: (SERVER_HELLO_DONE,)})
        if message.body:
            raise ValueError("a ServerHelloDone that says something")
        yield from self._finish(theirs, suite, share, asked)

    def _exchange(self, body: bytes, theirs: ServerHello, der: bytes) -> tuple[bytes, bytes]:
        """(the shared secret, our share) for a ServerKeyExchange (RFC 8422 5.4)."""
        reader = Reader(body)
        kind, group, public = reader.number(1), reader.number(2), reader.vector(1)
        signed = body[: 4 + len(public)]
        scheme, signature = reader.number(2), reader.vector(2)
        reader.end()
        if kind != _NAMED_CURVE:
            raise ValueError("a key exchange without a named curve")
        self._session.check_signature(
            der, scheme, signature, self._session.hello.random + theirs.random + signed
        )
        ours = groups.share(group, self._session.rng)
        return ours.agree(public), ours.public

    def _finish(
        self, theirs: ServerHello, suite: Suite, share: tuple[bytes, bytes], asked: bool
    ) -> Ladder:
        session = self._session
        shared, public = share
        flight: list[Piece] = []
        if asked:
            chain = vector(vector(signatures.certificate_der(session.own), 3), 3)
            flight += cut(session.message(CERTIFICATE, chain))
        flight += cut(session.message(CLIENT_KEY_EXCHANGE, vector(public, 1)))
        master = self._master(suite, theirs, shared)
        if asked:
            signature = signatures.sign(session.own, _bytes(session.transcript))
            body = signatures.ECDSA_SHA256.to_bytes(2) + vector(signature, 2)
            flight += cut(session.message(CERTIFICATE_VERIFY, body))
        randoms = session.hello.random, theirs.random
        client, self._server = protections(suite, master, *randoms, session.rng.randbytes)
        session.use(1, record_seal(client, 1))
        flight.append(Piece(0, CHANGE_CIPHER_SPEC, b"\1"))
        done = verify_data(suite.digest, master, b"client", self._hash(suite))
        flight += cut(session.message(FINISHED, done, epoch=1))
        session.flight(flight)
        # A ticket comes unsealed, a Finished sealed; what comes first may be either.
        message = yield from session.wait({0: (NEW_SESSION_TICKET,), 1: (FINISHED,)}, hashed=False)
        if message.kind == NEW_SESSION_TICKET:
            session.transcript.append(message)
            message = yield from session.wait({1: (FINISHED,)}, hashed=False)
        if message.body != verify_data(suite.digest, master, b"server", self._hash(suite)):
            raise ValueError("a Finished of another handshake")
        self._export(theirs, suite, master)
        session.sender.rest()
        session.established = True

    def _master(self, suite: Suite, theirs: ServerHello, shared: bytes) -> bytes:
        if theirs.get(EXTENDED_MASTER_SECRET) is not None:
            seen = self._hash(suite)  # RFC 7627 3: up to and with the ClientKeyExchange
            return prf(suite.digest, shared, b"extended master secret", seen, MASTER)
        randoms = self._session.hello.random + theirs.random
        return prf(suite.digest, shared, b"master secret", randoms, MASTER)

    def _export(self, theirs: ServerHello, suite: Suite, master: bytes) -> None:
        body = theirs.get(USE_SRTP)
        if body is None:
            return
        profile = chosen_profile(body)
        randoms = self._session.hello.random + theirs.random
        exported = prf(suite.digest, master, EXPORTER, randoms, srtp_size(profile))
        self._session.keys = srtp_keys(profile, exported)

    def _hash(self, suite: Suite) -> bytes:
        return new(suite.digest, _bytes(self._session.transcript)).digest()


def chosen_profile(body: bytes) -> int:
    """The profile in a server's use_srtp (RFC 5764 4.1.1).  Raises ValueError when it is none."""
    reader = Reader(body)
    profiles = reader.numbers(2)
    reader.vector(1)
    reader.end()
    if len(profiles) != 1:
        raise ValueError("not one SRTP profile")
    return profiles[0]


def _bytes(transcript: list[Message]) -> bytes:
    return b"".join(message.long() for message in transcript)


def _chain(body: bytes) -> list[bytes]:
    """The certificates (DER) in a Certificate message (RFC 5246 7.4.2)."""
    reader = Reader(body)
    entries = Reader(reader.vector(3))
    reader.end()
    chain = []
    while entries.more:
        chain.append(entries.vector(3))
    return chain


def _check_request(body: bytes) -> None:
    """A CertificateRequest (RFC 5246 7.4.4) that our key can answer."""
    reader = Reader(body)
    reader.vector(1)
    schemes = reader.numbers(2)
    reader.vector(2)
    reader.end()
    if signatures.ECDSA_SHA256 not in schemes:
        raise ValueError("no certificate of ours would do")
