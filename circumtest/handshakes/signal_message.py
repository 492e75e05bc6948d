"""Signal's messaging control: TLS with its chat server, before any account is involved.

It shows that a connection under Signal's name begins as it should.  It refuses to say whose server
answered: Signal's certificates end at a root of its own, which is not kept here, so that what calls
itself Signal's is taken at its word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest.ladders import PACES, Stream
from circumtest.model import Address, Level, Role, Stage, Transport
from circumtest.script import (
    Answerer,
    Emit,
    Flow,
    Listen,
    Script,
    close,
    enter,
    now,
    open_tcp,
)
from circumtest.secure import TlsAnswerer, TlsStream

NAME = "chat.signal.org"
HELLO = 517
"""Bytes of the ClientHello: OpenSSL's, not that of Signal's own client."""


@dataclass(frozen=True)
class SignalMessage:
    """Connect and agree on TLS with `host`, which must call itself so.

    With a `secret` the far half is one's own, and must show the key that it gives.
    """

    host: str = NAME
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (Stage.SIGNALLING,)
    reached: ClassVar[tuple[Stage, ...]] = stages
    role: ClassVar[Role] = Role.MESSAGING
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "signal"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.TCP, self.port)

    @property
    def opening(self) -> int:
        return HELLO

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:  # noqa: ARG002
        """One connection to the first address, and nothing on it."""
        yield from self._greet(target[0], self.secret)

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:  # noqa: ARG002
        """The same with a real server, which only has to call itself `host`."""
        yield from self._greet(target[0], "")

    def _greet(self, remote: Address, secret: str) -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        patience = PACES[self.level].patience
        until = (yield from now()) + patience
        channel = yield from open_tcp(remote, patience)
        secured = TlsStream(Stream(channel), name=self.host, secret=secret, rootless=not secret)
        yield from secured.handshake(until)
        yield from close(channel)

    def answerer(self) -> Answerer:
        return TlsAnswerer(_Silent(), self.secret, self.host)


class _Silent:
    """Says nothing inside of TLS."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()
