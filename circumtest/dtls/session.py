"""What the ladders of DTLS 1.2 and 1.3 climb on: a half's messages, keys and transcript.

A ladder yields which messages may come next, by epoch, and is given the next one.  It refuses to
know any ladder.
"""

from collections.abc import Generator, Sequence
from random import Random
from typing import TypeVar

from circumtest.dtls import signatures
from circumtest.dtls.endpoint import SrtpKeys
from circumtest.dtls.flight import MTU, Message, Piece, Seal, Sender, cut
from circumtest.dtls.groups import Share
from circumtest.errors import HandshakeFailed
from circumtest.identity import Identity
from circumtest.model import Cause
from circumtest.wire.dtls import CLIENT_HELLO, COOKIE, SERVER_HELLO, ClientHello, ServerHello

Awaited = dict[int, tuple[int, ...]]
"""Types of messages that may come next, by the epoch that they must come in."""
T = TypeVar("T")
Climb = Generator[Awaited, Message, T]
Ladder = Climb[None]


class Session:
    """A half between the first hello and its keys."""

    def __init__(self, own: Identity, peer: bytes | None, rng: Random, sender: Sender) -> None:
        self.own, self.peer, self.rng, self.sender = own, peer, rng, sender
        self.transcript: list[Message] = []
        self.out: list[bytes] = []
        self.now = 0.0
        self.established = False
        self.keys: SrtpKeys | None = None
        self.newest = False
        """Whether DTLS 1.3 was agreed on, so that plain alerts and epochs are over."""
        self._seq = 0

    # -------------------------------------------------------------- sending and waiting

    def message(self, kind: int, body: bytes, epoch: int = 0) -> Message:
        """Our next message; it is part of the transcript from now on."""
        made = Message(kind, self._seq, body, epoch)
        self._seq += 1
        self.transcript.append(made)
        return made

    def flight(self, pieces: Sequence[Piece]) -> None:
        """Send these, and again until they are answered."""
        self.out += self.sender.begin(pieces, self.now)

    def use(self, epoch: int, seal: Seal) -> None:
        """Seal what is sent in an epoch."""
        self.sender.seal(epoch, seal)

    def wait(self, awaited: Awaited, *, hashed: bool = True) -> Climb[Message]:
        """The next message.  Raises ValueError for one of another type in an epoch awaited."""
        message = yield awaited
        if message.kind not in awaited[message.epoch]:
            raise ValueError(f"handshake message {message.kind} at the wrong place")
        if hashed:
            self.transcript.append(message)
        return message

    # -------------------------------------------------------------- checks

    def check_certificate(self, chain: Sequence[bytes]) -> bytes:
        """The peer's own certificate, DER.  Raises HandshakeFailed WRONG_IDENTITY for another's."""
        if not chain:
            raise ValueError("a peer without a certificate")
        shown = signatures.is_shown_by(self.peer or b"", chain[0])
        if self.peer is not None and not shown:
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "another certificate than the peer's")
        return chain[0]

    def check_signature(self, der: bytes, scheme: int, signature: bytes, data: bytes) -> None:
        """Raises HandshakeFailed WRONG_IDENTITY where the certificate's key did not sign."""
        if not signatures.verified(der, scheme, signature, data):
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "he has not the key of his certificate")


class ClientSession(Session):
    """A client's: `hello` as it now is, and our halves of the agreements that it offers."""

    def __init__(
        self,
        hello: ClientHello,
        shares: dict[int, Share],
        own: Identity,
        peer: bytes | None,
        rng: Random,
        sender: Sender,
    ) -> None:
        super().__init__(own, peer, rng, sender)
        self.hello, self.shares = hello, shares
        self.answered = False
        """Whether a ServerHello has come: records say what was agreed on from then on."""

    def say_hello(self) -> None:
        """Send our hello as it now is."""
        self.flight(cut(self.message(CLIENT_HELLO, self.hello.pack()), MTU))

    def again_with(self, hello: ClientHello) -> None:
        """A second hello in place of the first."""
        self.hello = hello

    def accept(self, message: Message) -> ServerHello:
        """The ServerHello in a message, if it took something of what was offered."""
        if message.kind != SERVER_HELLO:
            raise ValueError("no ServerHello")
        theirs = ServerHello.unpack(message.body)
        self.answered = True
        if theirs.cipher not in self.hello.ciphers:
            raise ValueError(f"cipher suite {theirs.cipher:#06x} was not offered")
        # RFC 8446 4.2: a cookie is the one thing that a server may say without being asked.
        offered = {COOKIE, *(kind for kind, _ in self.hello.extensions)}
        for kind, _ in theirs.extensions:
            if kind not in offered:
                raise ValueError(f"extension {kind:#06x} was not offered")
        return theirs
