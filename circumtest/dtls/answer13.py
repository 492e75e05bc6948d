"""The callee's ladder of DTLS 1.3, from the ClientHello on (RFC 9147 5, RFC 8446 4).

What is agreed on is chosen here: suite, group, profile for sound.  HelloRetryRequest with a cookie
where a share is missing; the caller's certificate is always asked for.  It refuses what the other
ladder does: tickets, early data, key updates and connection ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from circumtest.dtls import groups, keys13, signatures
from circumtest.dtls.endpoint import srtp_keys, srtp_size
from circumtest.dtls.flight import MTU, Message, Piece, cut
from circumtest.dtls.groups import P256, P384, X25519, X25519MLKEM768
from circumtest.dtls.keys13 import CLIENT, SERVER, SUITES, Suite, signed
from circumtest.dtls.records13 import DATA_EPOCH, HANDSHAKE_EPOCH, Records
from circumtest.dtls.session import Climb, Ladder, Session
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire import dtls13
from circumtest.wire.dtls import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CERTIFICATE_VERIFY,
    CLIENT_HELLO,
    COOKIE,
    ENCRYPTED_EXTENSIONS,
    FINISHED,
    GROUPS,
    KEY_SHARE,
    MESSAGE_HASH,
    RANDOM,
    SERVER_HELLO,
    SIGNATURES,
    SUPPORTED_VERSIONS,
    USE_SRTP,
    V12,
    V13,
    ClientHello,
    Extensions,
    Reader,
    numbers,
    pack_extensions,
    vector,
)

TAKEN_GROUPS = (X25519MLKEM768, X25519, P256, P384)
"""What is taken, the best first; but a group whose share is there before one without."""
TAKEN_PROFILES = (0x0001, 0x0007, 0x0008)
"""The one that every WebRTC implementation has (RFC 8827 6.5) before the others."""
_VERIFIED = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807)
"""Schemes of a caller's CertificateVerify: those of `signatures` that DTLS 1.3 allows."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What is taken of a hello; `share` is the caller's, None where he has to send one."""

    cipher: int
    group: int
    share: bytes | None
    profile: int | None


class Answering(Records):
    """One climb; it opens the caller's records, too."""

    def __init__(self, session: Session, taken: Sequence[int] = TAKEN_GROUPS) -> None:
        super().__init__(session)
        self._groups = taken

    def climb(self) -> Ladder:
        """To the caller's Finished.  Raises ValueError and HandshakeFailed."""
        session = self._session
        message = yield from session.wait({0: (CLIENT_HELLO,)})
        hello = ClientHello.unpack(message.body)
        agreed = choose(hello, self._groups)
        if agreed.share is None:
            agreed = yield from self._retry(message, hello, agreed)
        yield from self._authenticate(*self._answer(agreed, agreed.share or b""))
        session.sender.rest()
        session.established = True
        yield {}  # what comes now needs no ladder

    def _retry(self, first: Message, hello: ClientHello, agreed: Agreed) -> Climb[Agreed]:
        """Ask for a share (RFC 8446 4.1.4): what is agreed on by the second hello."""
        session, cookie = self._session, self._session.rng.randbytes(RANDOM)
        digest = SUITES[agreed.cipher].hash(first.short())
        session.transcript = [Message(MESSAGE_HASH, 0, digest)]
        extensions = (
            (SUPPORTED_VERSIONS, V13.to_bytes(2)),
            (KEY_SHARE, agreed.group.to_bytes(2)),
            (COOKIE, vector(cookie, 2)),
        )
        body = _server_hello(dtls13.RETRY, agreed.cipher, extensions)
        session.flight(cut(session.message(SERVER_HELLO, body), MTU))
        message = yield from session.wait({0: (CLIENT_HELLO,)})
        second = ClientHello.unpack(message.body)
        if replace(second, extensions=()) != replace(hello, extensions=()):
            raise ValueError("a second hello that is another")
        if second.get(COOKIE) != vector(cookie, 2):
            raise ValueError("a second hello without its cookie")
        again = choose(second, (agreed.group,))
        if again.share is None or replace(again, share=None) != agreed:
            raise ValueError("a second hello without the share that was asked for")
        return again

    def _answer(self, agreed: Agreed, share: bytes) -> tuple[Suite, bytes]:
        """Our only flight; the suite, and the caller's secret in the handshake."""
        session, suite = self._session, SUITES[agreed.cipher]
        public, shared = groups.answer(agreed.group, share, session.rng)
        extensions = (
            (SUPPORTED_VERSIONS, V13.to_bytes(2)),
            (KEY_SHARE, agreed.group.to_bytes(2) + vector(public, 2)),
        )
        body = _server_hello(session.rng.randbytes(RANDOM), agreed.cipher, extensions)
        flight = cut(session.message(SERVER_HELLO, body), MTU)
        secret = keys13.handshake_secret(suite, shared)
        theirs, ours = self._secrets(suite, secret, b"c hs traffic", b"s hs traffic")
        self.use(HANDSHAKE_EPOCH, suite, theirs, ours)
        session.newest = True
        flight += self._shown(suite, ours, agreed.profile)
        master = keys13.master_secret(suite, secret)
        self.use(DATA_EPOCH, suite, *self._secrets(suite, master, b"c ap traffic", b"s ap traffic"))
        if agreed.profile is not None:
            size = srtp_size(agreed.profile)
            material = keys13.exported(suite, master, self._hash(suite), size)
            session.keys = srtp_keys(agreed.profile, material)
        self.forget()
        session.flight(flight)
        return suite, theirs

    def _shown(self, suite: Suite, secret: bytes, profile: int | None) -> list[Piece]:
        """What is sealed of the flight, up to our Finished."""
        srtp = () if profile is None else ((USE_SRTP, numbers((profile,)) + b"\0"),)
        flight = self._say(ENCRYPTED_EXTENSIONS, vector(pack_extensions(srtp), 2))
        wanted = pack_extensions(((SIGNATURES, numbers(_VERIFIED)),))
        flight += self._say(CERTIFICATE_REQUEST, vector(b"", 1) + vector(wanted, 2))
        own = self._session.own
        chain = [signatures.certificate_der(own)]
        flight += self._say(CERTIFICATE, dtls13.pack_certificate(b"", chain))
        signature = signatures.sign(own, signed(SERVER, self._hash(suite)))
        body = signatures.ECDSA_SHA256.to_bytes(2) + vector(signature, 2)
        flight += self._say(CERTIFICATE_VERIFY, body)
        return flight + self._say(FINISHED, keys13.verify_data(suite, secret, self._hash(suite)))

    def _authenticate(self, suite: Suite, secret: bytes) -> Climb[None]:
        """The caller's flight.  Raises HandshakeFailed WRONG_IDENTITY for somebody else's."""
        session, epoch = self._session, HANDSHAKE_EPOCH
        message = yield from session.wait({epoch: (CERTIFICATE,)})
        session.flight(())  # he has all of ours; when the rest of his takes long there is an ACK
        chain = dtls13.certificates(message.body)
        if chain:
            der = session.check_certificate(chain)
            said = signed(CLIENT, self._hash(suite))
            message = yield from session.wait({epoch: (CERTIFICATE_VERIFY,)})
            scheme, signature = dtls13.certificate_verify(message.body)
            if scheme not in _VERIFIED:
                raise ValueError(f"signature scheme {scheme:#06x} was not asked for")
            session.check_signature(der, scheme, signature, said)
        elif session.peer is not None:
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "no certificate instead of the peer's")
        expected = keys13.verify_data(suite, secret, self._hash(suite))
        message = yield from session.wait({epoch: (FINISHED,)})
        if message.body != expected:
            raise ValueError("a Finished of another handshake")

    def _say(self, kind: int, body: bytes) -> list[Piece]:
        return cut(self._session.message(kind, body, HANDSHAKE_EPOCH))

    def _secrets(self, suite: Suite, secret: bytes, *labels: bytes) -> list[bytes]:
        seen = self._hash(suite)
        return [keys13.derive(suite, secret, label, seen) for label in labels]

    def _hash(self, suite: Suite) -> bytes:
        return suite.hash(b"".join(message.short() for message in self._session.transcript))


# ------------------------------------------------------------------ choosing


def offers(hello: ClientHello) -> bool:
    """Whether a hello offers DTLS 1.3.  Raises ValueError for versions that are none."""
    versions = hello.get(SUPPORTED_VERSIONS)
    return versions is not None and V13 in Reader(versions).numbers(1)


def choose(hello: ClientHello, taken: Sequence[int] = TAKEN_GROUPS) -> Agreed:
    """What is taken of an offer.  Raises ValueError where nothing of it would do."""
    if (hello.version, hello.cookie, hello.compressions) != (V12, b"", b"\0"):
        raise ValueError("a hello of DTLS 1.3 with more of DTLS 1.2 than it may have")  # 9147 5.3
    cipher = _first(SUITES, hello.ciphers, "cipher suite")
    offered = _numbers(hello, GROUPS)
    shares = {
        group: public
        for group, public in dtls13.client_shares(hello.get(KEY_SHARE) or b"\0\0")
        if group in offered
    }
    shared = [group for group in taken if group in shares]
    group = shared[0] if shared else _first(taken, offered, "group")
    if signatures.ECDSA_SHA256 not in _numbers(hello, SIGNATURES):
        raise ValueError("no signature of ours would do")
    return Agreed(cipher, group, shares.get(group), _profile(hello))


def _profile(hello: ClientHello) -> int | None:
    if (body := hello.get(USE_SRTP)) is None:
        return None
    reader = Reader(body)
    offered = reader.numbers(2)
    reader.vector(1)
    reader.end()
    return next((one for one in TAKEN_PROFILES if one in offered), None)


def _first(taken: Sequence[int] | dict[int, Suite], offered: Sequence[int], what: str) -> int:
    for one in taken:
        if one in offered:
            return one
    raise ValueError(f"no {what} that is known here")


def _numbers(hello: ClientHello, kind: int) -> tuple[int, ...]:
    """An extension that is a list.  Raises ValueError where there is none (RFC 8446 9.2)."""
    body = hello.get(kind)
    if body is None:
        raise ValueError(f"a hello of DTLS 1.3 without extension {kind}")
    return Reader(body).numbers(2)


def _server_hello(random: bytes, cipher: int, extensions: Extensions) -> bytes:
    """RFC 9147 5.4: the session's id is not echoed."""
    head = V12.to_bytes(2) + random + b"\0" + cipher.to_bytes(2) + b"\0"
    return head + vector(pack_extensions(extensions), 2)
