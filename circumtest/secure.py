"""TLS over a stream, both halves, by memory: a script's, and an answerer's that wraps another one.

The caller checks whom it speaks to: the key that the secret gives, or a name under the system's
roots.  It refuses to choose a ClientHello: what it sends is OpenSSL's, and the pages of handshakes
say so.  DTLS is elsewhere (`circumtest.dtls`).
"""

import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from circumtest import identity
from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream
from circumtest.model import Cause, Transport
from circumtest.script import Answerer, Arrival, Emit, Flow, Script, Send, now, send

MAX_FLOWS = 512
"""Streams that an answerer speaks TLS on; the oldest is forgotten first."""
MAX_RECORD = 1 << 14
"""Bytes of plaintext in a record (RFC 8446 5.1)."""

_HANDSHAKE = b"\x16"  # the content type that TLS begins with (RFC 8446 5.1)


class TlsStream:
    """The caller's half on a connected stream: like a `Stream`, but for what the network sees.

    With a `secret` the far half must show the key that it gives, whatever name its certificate has;
    without one its certificate must be for `name` and end at a root of this system.  `rootless`
    asks for the name alone, for a service whose root is its own: anybody can call himself so.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        name: str,
        secret: str = "",
        alpn: Sequence[str] = (),
        rootless: bool = False,
    ) -> None:
        self.channel = stream.channel
        self._stream, self._secret, self._name = stream, secret, name if rootless else ""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = _client(pinned=bool(secret) or rootless, alpn=tuple(alpn))
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._buffer = bytearray()

    def handshake(self, until: float) -> Script[None]:
        """Agree on keys and check who is there.

        Raises HandshakeFailed WRONG_IDENTITY for somebody else, ERROR_REPLY for an alert, MALFORMED
        for what is no TLS, TIMEOUT at `until`, or with the Cause for which the stream ended.
        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield from self._flush()
                self._in.write((yield from self._stream.read_some(until)))
            except ssl.SSLError as error:
                yield from self._flush()  # our alert
                raise _failure(error) from None
        yield from self._flush()
        self._check()

    @property
    def alpn(self) -> str:
        """The application's protocol that the far half chose, or ""."""
        return self._tls.selected_alpn_protocol() or ""

    def send(self, data: bytes) -> Script[None]:
        """Send more of the stream."""
        item = self.encode(data)
        yield from send(item.channel, item.data)

    def encode(self, data: bytes) -> Send:
        """How more of the stream is sent, for who sends it himself.

        Nothing once the far half has ended the session: as with a broken stream, reading tells.
        """
        with suppress(ssl.SSLError):
            for at in range(0, len(data), MAX_RECORD):
                self._tls.write(data[at : at + MAX_RECORD])
        return self._stream.encode(self._out.read())

    def decode(self, arrival: Arrival) -> bytes:
        """What has come with `arrival`, behind what was not read yet; b"" for what is not ours.

        Raises HandshakeFailed MALFORMED for what was not sealed with our keys, EOF at the end.
        """
        if data := self._stream.decode(arrival):
            self._take(data)
        got = bytes(self._buffer)
        self._buffer.clear()
        return got

    def read_exactly(self, count: int, until: float) -> Script[bytes]:
        """The next `count` bytes.  Raises like `ladders.Stream`, and MALFORMED like `decode`."""
        while len(self._buffer) < count:
            self._take((yield from self._stream.read_some(until)))
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def read_some(self, until: float) -> Script[bytes]:
        """Whatever has come, at least one byte.  Raises like `read_exactly`."""
        first = yield from self.read_exactly(1, until)
        rest = bytes(self._buffer)
        self._buffer.clear()
        return first + rest

    def _take(self, data: bytes) -> None:
        self._in.write(data)
        try:
            while plain := self._tls.read(MAX_RECORD):
                self._buffer += plain
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise _failure(error) from None
        if not self._buffer:
            raise HandshakeFailed(Cause.EOF, "the far half ended the TLS session")

    def _flush(self) -> Script[None]:
        if data := self._out.read():
            yield from self._stream.send(data)

    def _check(self) -> None:
        certificate = self._tls.getpeercert(binary_form=True) or b""
        if self._name and not self._secret and not identity.names(certificate, self._name):
            raise HandshakeFailed(Cause.WRONG_IDENTITY, f"it does not call itself {self._name}")
        if not self._secret:
            return  # OpenSSL has checked name and roots
        try:
            shown = identity.shown_key(certificate)
        except (ValueError, TypeError):
            shown = b""
        if shown != identity.public_key(self._secret):
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "another key than the far half's own")


def tls(stream: Stream, patience: float, *, name: str, secret: str = "") -> Script[TlsStream]:
    """`stream` with TLS on it, agreed on within `patience` seconds.  Raises like `handshake`."""
    secured = TlsStream(stream, name=name, secret=secret)
    yield from secured.handshake((yield from now()) + patience)
    return secured


@lru_cache(maxsize=16)
def _client(*, pinned: bool, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if pinned:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the key is compared instead
    else:
        context.load_default_certs()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _failure(error: ssl.SSLError) -> HandshakeFailed:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        return HandshakeFailed(Cause.WRONG_IDENTITY, error.verify_message or reason)
    # OpenSSL says of its own objections what they are, and of the peer's that they are alerts.
    alert = " alert " in f" {reason} " and "unexpected" not in reason
    return HandshakeFailed(Cause.ERROR_REPLY if alert else Cause.MALFORMED, f"TLS: {reason}")


# ------------------------------------------------------------------ the far half


class TlsAnswerer:
    """Speaks TLS on streams and hands what is inside to `inner`; datagrams go to it as they are.

    What is no TLS is not answered, and its stream is closed.
    """

    def __init__(self, inner: Answerer, secret: str, name: str, alpn: Sequence[str] = ()) -> None:
        self._inner = inner
        self._context = _server(secret, name, tuple(alpn))
        self._sessions: dict[Flow, SSL.Connection] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            return self._inner.receive(flow, data, now)
        if not data:
            self._sessions.pop(flow, None)
            return self._inner.receive(flow, b"", now)
        return self._streamed(flow, data, now)

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._sealed(self._inner.tick(now))

    def _streamed(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        known = flow in self._sessions
        session = self._session(flow)
        try:
            session.bio_write(data)
            plain = _plain(session)
        except SSL.Error:
            self._sessions.pop(flow, None)
            # What never was TLS may be meant for somebody else at the same place.
            if known or data[:1] == _HANDSHAKE:
                yield Emit(flow, _pending(session), close=True)
            return
        if out := _pending(session):
            yield Emit(flow, out)
        if plain:
            yield from self._sealed(self._inner.receive(flow, plain, now))

    def _sealed(self, emits: Iterable[Emit]) -> Iterable[Emit]:
        for emit in emits:
            session = self._sessions.get(emit.flow)
            if session is None:
                yield emit
                continue
            for at in range(0, len(emit.data), MAX_RECORD):
                session.send(emit.data[at : at + MAX_RECORD])
            if emit.close:
                with suppress(SSL.Error):
                    session.shutdown()
                self._sessions.pop(emit.flow, None)
            yield Emit(emit.flow, _pending(session), emit.close)

    def _session(self, flow: Flow) -> SSL.Connection:
        session = self._sessions.get(flow)
        if session is None:
            if len(self._sessions) >= MAX_FLOWS:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[flow] = SSL.Connection(self._context, None)
            session.set_accept_state()
        return session


def _plain(session: SSL.Connection) -> bytes:
    """What can be read now.  Raises SSL.Error for what is no TLS."""
    got = bytearray()
    with suppress(SSL.WantReadError, SSL.ZeroReturnError):
        session.do_handshake()
        while True:
            got += session.recv(MAX_RECORD)
    return bytes(got)


def _pending(session: SSL.Connection) -> bytes:
    """What waits to be sent."""
    out = bytearray()
    with suppress(SSL.WantReadError):
        while True:
            out += session.bio_read(1 << 16)
    return bytes(out)


@lru_cache(maxsize=16)
def _server(secret: str, name: str, alpn: tuple[str, ...]) -> SSL.Context:
    made = identity.certificate(secret, name)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    key = load_pem_private_key(made.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    context.use_certificate(x509.load_pem_x509_certificate(made.certificate))
    context.use_privatekey(key)
    if alpn:
        context.set_alpn_select_callback(
            lambda _, offered: next(
                (one for one in offered if one.decode("latin-1") in alpn),
                SSL.NO_OVERLAPPING_PROTOCOLS,
            )
        )
    return context
