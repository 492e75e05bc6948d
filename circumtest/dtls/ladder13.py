"""The caller's ladder of DTLS 1.3, from the ServerHello on (RFC 9147 5, RFC 8446 4).

HelloRetryRequest, a client's certificate where the server asks for one, ACKs, SRTP's keys by the
exporter.  It refuses tickets, early data, key updates and connection ids.
"""

from dataclasses import replace

from circumtest.dtls import groups, keys13, signatures
from circumtest.dtls.endpoint import srtp_keys, srtp_size
from circumtest.dtls.flight import Message, Piece, cut
from circumtest.dtls.keys13 import CLIENT, SERVER, SUITES, Suite, signed
from circumtest.dtls.ladder12 import chosen_profile
from circumtest.dtls.records13 import DATA_EPOCH, HANDSHAKE_EPOCH, Records
from circumtest.dtls.session import ClientSession, Climb, Ladder
from circumtest.dtls.shapes import key_shares
from circumtest.wire import dtls13
from circumtest.wire.dtls import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    COOKIE,
    ENCRYPTED_EXTENSIONS,
    FINISHED,
    KEY_SHARE,
    MESSAGE_HASH,
    SERVER_HELLO,
    SIGNATURES,
    SUPPORTED_VERSIONS,
    USE_SRTP,
    V13,
    Reader,
    ServerHello,
    numbers,
)
from circumtest.wire.dtls13 import RETRY


class Thirteen(Records):
    """One climb; it opens the server's records, too."""

    def __init__(self, session: ClientSession) -> None:
        super().__init__(session)
        self._session: ClientSession = session
        self._srtp: bytes | None = None

    def acknowledged(self, body: bytes) -> bool:
        """The ACK of our last flight is what says that everybody has the keys."""
        over = super().acknowledged(body)
        if over and DATA_EPOCH in self._opens:
            self._session.established = True
        return over

    # -------------------------------------------------------------- the ladder

    def climb(self, theirs: ServerHello) -> Ladder:
        """From the ServerHello to our own Finished.  Raises ValueError and HandshakeFailed."""
        session = self._session
        if theirs.random == RETRY:
            theirs = yield from self._retry(theirs)
        if theirs.get(SUPPORTED_VERSIONS) != V13.to_bytes(2):
            raise ValueError("a version that was not offered")
        suite = SUITES.get(theirs.cipher)
        if suite is None:
            raise ValueError(f"cipher suite {theirs.cipher:#06x} is none of DTLS 1.3")
        group, public = dtls13.server_share(theirs.get(KEY_SHARE) or b"")
        if group not in session.shares:
            raise ValueError(f"a share of group {group:#06x} for none of ours")
        secret = keys13.handshake_secret(suite, session.shares[group].agree(public))
        ours, his = (
            keys13.derive(suite, secret, label, self._hash(suite))
            for label in (b"c hs traffic", b"s hs traffic")
        )
        self.use(HANDSHAKE_EPOCH, suite, his, ours)
        session.newest = True
        session.flight(())  # our hello is answered; when this takes too long there is an ACK
        context = yield from self._authenticate(suite, his)
        self._finish(suite, secret, ours, context)
        yield {}  # what comes now needs no ladder

    def _retry(self, theirs: ServerHello) -> Climb[ServerHello]:
        """Answer a HelloRetryRequest (RFC 8446 4.1.4): another share, a cookie, or both."""
        session = self._session
        changed = dict(session.hello.extensions)
        if (cookie := theirs.get(COOKIE)) is not None:
            changed[COOKIE] = cookie
        if (wanted := theirs.get(KEY_SHARE)) is not None:
            group = int.from_bytes(wanted)
            if len(wanted) != 2 or group in session.shares:
                raise ValueError("a retry for a share that it has")
            session.shares = {group: groups.share(group, session.rng)}
            changed[KEY_SHARE] = key_shares(list(session.shares.values()))
        if (suite := SUITES.get(theirs.cipher)) is None:
            raise ValueError("a retry with a suite of another version")
        first, request = session.transcript
        digest = suite.hash(first.short())
        session.transcript = [Message(MESSAGE_HASH, 0, digest), request]
        session.again_with(replace(session.hello, extensions=tuple(changed.items())))
        session.say_hello()
        message = yield from session.wait({0: (SERVER_HELLO,)})
        again = session.accept(message)
        if again.random == RETRY or again.cipher != theirs.cipher:
            raise ValueError("a second retry")
        return again

    def _authenticate(self, suite: Suite, secret: bytes) -> Climb[bytes | None]:
        """The server's flight; the context of its request for our certificate, if there is one."""
        session, epoch = self._session, HANDSHAKE_EPOCH
        message = yield from session.wait({epoch: (ENCRYPTED_EXTENSIONS,)})
        extensions = dict(dtls13.encrypted_extensions(message.body))
        self._srtp = extensions.get(USE_SRTP)
        message = yield from session.wait({epoch: (CERTIFICATE_REQUEST, CERTIFICATE)})
        context: bytes | None = None
        if message.kind == CERTIFICATE_REQUEST:
            context = _asked(message.body)
            message = yield from session.wait({epoch: (CERTIFICATE,)})
        der = session.check_certificate(dtls13.certificates(message.body))
        said = signed(SERVER, self._hash(suite))
        message = yield from session.wait({epoch: (CERTIFICATE_VERIFY,)})
        session.check_signature(der, *dtls13.certificate_verify(message.body), said)
        expected = keys13.verify_data(suite, secret, self._hash(suite))
        message = yield from session.wait({epoch: (FINISHED,)})
        if message.body != expected:
            raise ValueError("a Finished of another handshake")
        return context

    def _finish(self, suite: Suite, secret: bytes, ours: bytes, context: bytes | None) -> None:
        """Our last flight, which the server acknowledges; then everybody has the keys."""
        session, epoch = self._session, HANDSHAKE_EPOCH
        master, seen = keys13.master_secret(suite, secret), self._hash(suite)
        if self._srtp is not None:
            profile = chosen_profile(self._srtp)
            material = keys13.exported(suite, master, seen, srtp_size(profile))
            session.keys = srtp_keys(profile, material)
        client, server = (
            keys13.derive(suite, master, label, seen)
            for label in (b"c ap traffic", b"s ap traffic")
        )
        flight: list[Piece] = []
        if context is not None:
            chain = [signatures.certificate_der(session.own)]
            body = dtls13.pack_certificate(context, chain)
            flight += cut(session.message(CERTIFICATE, body, epoch))
            signature = signatures.sign(session.own, signed(CLIENT, self._hash(suite)))
            body = signatures.ECDSA_SHA256.to_bytes(2) + len(signature).to_bytes(2) + signature
            flight += cut(session.message(CERTIFICATE_VERIFY, body, epoch))
        done = keys13.verify_data(suite, ours, self._hash(suite))
        flight += cut(session.message(FINISHED, done, epoch))
        self.use(DATA_EPOCH, suite, server, client)
        self.forget()
        session.flight(flight)

    def _hash(self, suite: Suite) -> bytes:
        return suite.hash(b"".join(message.short() for message in self._session.transcript))


def _asked(body: bytes) -> bytes:
    """The context of a request that our key can answer."""
    context, extensions = dtls13.certificate_request(body)
    schemes = Reader(dict(extensions).get(SIGNATURES) or numbers(())).numbers(2)
    if signatures.ECDSA_SHA256 not in schemes:
        raise ValueError("no certificate of ours would do")
    return context
