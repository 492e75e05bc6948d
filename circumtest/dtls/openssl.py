"""Both halves of DTLS 1.2 as OpenSSL makes them, by memory: its hello, its ladder, its records.

OpenSSL splits messages by the MTU but writes them into one stream, and looks at the machine's clock
when it decides to send again.  So datagrams are cut at records here, and where its timer has not
run out (time here is who calls's, and may be virtual) its last flight is sent again from here, with
new record numbers where they are not sealed.  It refuses DTLS 1.3, which this OpenSSL has not.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL

from circumtest.dtls.endpoint import EXPORTER, SrtpKeys, srtp_keys, srtp_size
from circumtest.dtls.flight import LONGEST_WAIT, MTU
from circumtest.dtls.signatures import is_shown_by
from circumtest.errors import HandshakeFailed
from circumtest.identity import Identity
from circumtest.model import Cause
from circumtest.wire.dtls import CHANGE_CIPHER_SPEC, HANDSHAKE, Record, records

PROFILES: dict[bytes, int] = {
    b"SRTP_AEAD_AES_256_GCM": 0x0008,
    b"SRTP_AEAD_AES_128_GCM": 0x0007,
    b"SRTP_AES128_CM_SHA1_80": 0x0001,
}
"""What a client offers, in this order, as aiortc 1.16 does."""
TAKEN = b"SRTP_AES128_CM_SHA1_80"
"""What a server takes: the one that every WebRTC implementation has (RFC 8827 6.5)."""
CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
)
"""Those of aiortc 1.16: what a WebRTC program on OpenSSL offers and takes."""
MAX_REPEATS = 16
"""How often an established half sends its last flight again for a peer that missed it."""
_FIRST_WAIT = 1.0
_BIO = 1 << 16


class OpenSsl:
    """A half by OpenSSL: an `endpoint.Endpoint`."""

    def __init__(self, own: Identity, peer: bytes | None, *, server: bool) -> None:
        self._peer = peer
        self._tls = SSL.Connection(_context(own, server=server), None)
        self._tls.set_ciphertext_mtu(MTU)
        (self._tls.set_accept_state if server else self._tls.set_connect_state)()
        self._flight: list[Record] = []
        self._number = 0
        self._wait = _FIRST_WAIT
        self._due: float | None = None
        self._repeats = 0
        self._failed = self._established = False
        self.closed = False
        """Whether the peer has ended the connection, once it was established."""

    @property
    def established(self) -> bool:
        return self._established

    @property
    def keys(self) -> SrtpKeys | None:
        profile = PROFILES.get(self._tls.get_selected_srtp_profile())
        if not self._established or profile is None:
            return None
        exported = self._tls.export_keying_material(EXPORTER, srtp_size(profile), None)
        return srtp_keys(profile, exported)

    def start(self, now: float) -> list[bytes]:
        return self._step(now)

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        if self._failed or self.closed or not datagram:
            return []
        self._tls.bio_write(datagram)
        if self._established:
            return self._idle(datagram)
        return self._step(now)

    def timer(self) -> float | None:
        return None if self._failed else self._due

    def tick(self, now: float) -> list[bytes]:
        due = self.timer()
        if due is None or now < due:
            return []
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._due = now + self._wait
        with suppress(SSL.Error):  # its own patience is over: ours is who calls's
            self._tls.DTLSv1_handle_timeout()
        self._flight = self._written() or self._flight
        return self._sent()

    # -------------------------------------------------------------- the ladder

    def _step(self, now: float) -> list[bytes]:
        """Let OpenSSL go on with what has come."""
        try:
            self._tls.do_handshake()
            self._check()
            self._established = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._failed = True
            raise _failure(error) from None
        flight = self._written()
        if flight:
            self._flight, self._wait = flight, _FIRST_WAIT
            self._due = now + self._wait
        if self._established:
            self._due = None
        return self._sent() if flight else []

    def _idle(self, datagram: bytes) -> list[bytes]:
        """What comes to a half that is done: its peer's last flight again, or the end."""
        try:
            while True:
                self._tls.recv(_BIO)
        except SSL.WantReadError:
            pass
        except SSL.Error:
            self.closed = True
        if flight := self._written():
            self._flight = flight
        elif not _is_flight(datagram):
            return []
        self._repeats += 1
        return self._sent() if self._repeats <= MAX_REPEATS else []

    def _check(self) -> None:
        if self._peer is None:
            return
        shown = self._tls.get_peer_certificate(as_cryptography=True)
        if shown is None or not is_shown_by(self._peer, shown.public_bytes(Encoding.DER)):
            self._failed = True
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "another certificate than the peer's")

    # -------------------------------------------------------------- records

    def _written(self) -> list[Record]:
        """The records that OpenSSL has written."""
        out = bytearray()
        with suppress(SSL.WantReadError):
            while True:
                out += self._tls.bio_read(_BIO)
        return list(records(bytes(out)))

    def _sent(self) -> list[bytes]:
        """The last flight in datagrams, with numbers that were never used where none is sealed."""
        datagrams: list[bytes] = []
        for record in self._numbered():
            data = record.pack()
            if datagrams and len(datagrams[-1]) + len(data) <= MTU:
                datagrams[-1] += data
            else:
                datagrams.append(data)
        return datagrams

    def _numbered(self) -> Iterator[Record]:
        for record in self._flight:
            if record.epoch:
                yield record
                continue
            yield replace(record, seq=self._number)
            self._number += 1


def _is_flight(datagram: bytes) -> bool:
    """Whether it has what only a flight has that came before: messages or a change of ciphers."""
    kinds: Iterable[int] = ()
    with suppress(ValueError):
        kinds = [record.kind for record in records(datagram)]
    return bool({HANDSHAKE, CHANGE_CIPHER_SPEC} & set(kinds))


def _failure(error: SSL.Error) -> HandshakeFailed:
    # A SysCallError holds a number and words, the others a list of reasons.
    told = error.args[0] if error.args else ()
    reasons = [str(one[-1]) for one in told if one] if isinstance(told, list) else []
    reason = (reasons or [str(error) or "handshake failure"])[0]
    # OpenSSL says of its own objections what they are, and of the peer's that they are alerts.
    if " alert " in f" {reason} ":
        return HandshakeFailed(Cause.ERROR_REPLY, f"DTLS: {reason}")
    return HandshakeFailed(Cause.MALFORMED, f"DTLS: {reason}")


def _context(own: Identity, *, server: bool) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_SERVER_METHOD if server else SSL.DTLS_CLIENT_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
    key = load_pem_private_key(own.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    context.use_certificate(x509.load_pem_x509_certificate(own.certificate))
    context.use_privatekey(key)
    # Whoever he is: calls pin their peer, and so does `_check`.
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_cipher_list(CIPHERS)
    context.set_tlsext_use_srtp(TAKEN if server else b":".join(PROFILES))
    return context
