"""WhatsApp's messaging control: Noise over TCP up to the server's certificate, before any account.

It shows that a server which the pinned root vouches for can be reached: a middlebox cannot forge
that.  It refuses to send ClientFinish, which carries a login.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, Stream
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.script import (
    Answerer,
    Emit,
    Flow,
    Listen,
    Script,
    enter,
    now,
    open_tcp,
    send,
)
from circumtest.wire import noise, wacert
from circumtest.wire.noise import KeyPair

MAX_WAIT = 20.0
"""Seconds for which the published clients wait for ServerHello; our patience is shorter."""
MAX_FLOWS = 1024
"""Connections that an answerer remembers; the oldest is forgotten first."""
MAX_HELLO = 256
"""Bytes of an opening that an answerer keeps: no XX ClientHello is longer."""
_VALIDITY = (0, 1 << 32)
_HEAD = 3


def _test_key(purpose: str) -> bytes:
    """A private key that anybody can derive: it proves nothing outside of a lab."""
    return sha256(b"circumtest lab, not a secret: " + purpose.encode()).digest()


TEST_ROOT = KeyPair.of(_test_key("root")).public.hex()
"""The root that vouches for the answerer below; never a default."""


@dataclass(frozen=True)
class WhatsappMessage:
    """Say ClientHello, check ServerHello and its certificates against `root` (X25519, hex).

    `form` "plain" is a first connection, "ed" a reconnection with an edge-routing hint in front,
    the form that nDPI recognises.
    """

    form: Literal["plain", "ed"] = "plain"
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    root: str = wacert.WHATSAPP_ROOT
    level: Level = Level.QUICK

    stages: ClassVar[tuple[Stage, ...]] = (Stage.SIGNALLING,)
    role: ClassVar[Role] = Role.MESSAGING
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "whatsapp"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    def __post_init__(self) -> None:
        try:
            size = len(bytes.fromhex(self.root))
        except ValueError:
            size = 0
        if size != wacert.KEY:
            raise ValueError("root must be an X25519 public key: 64 hexadecimal digits")

    @property
    def listen(self) -> Listen:
        return Listen(Transport.TCP, self.port)

    @property
    def opening(self) -> int:
        return len(self._hello(KeyPair.of(bytes(32))))

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Connect, ask, and read one frame; what the server proves is checked before closing."""
        yield from enter(Stage.SIGNALLING)
        patience = min(PACES[self.level].patience, MAX_WAIT)
        until = (yield from now()) + patience
        channel = yield from open_tcp(target[0], patience)
        ephemeral = KeyPair.of(rng.randbytes(32))
        yield from send(channel, self._hello(ephemeral))
        stream = Stream(channel)
        head = yield from stream.read_exactly(_HEAD, until)
        try:
            length = noise.frame_length(head)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        body = yield from stream.read_exactly(length, until)
        self._check(body, ephemeral, (yield from now()))

    def _hello(self, ephemeral: KeyPair) -> bytes:
        intro = noise.INTRO if self.form == "ed" else b""
        return intro + noise.MAGIC + noise.frame(noise.client_hello(ephemeral))

    def _check(self, body: bytes, ephemeral: KeyPair, at: float) -> None:
        try:
            static, chain = noise.open_server_hello(body, ephemeral)
            wrong = wacert.check_chain(chain, bytes.fromhex(self.root), static, at)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        if wrong:
            raise HandshakeFailed(Cause.WRONG_IDENTITY, wrong)

    def answerer(self) -> Answerer:
        return ChatServer()


class ChatServer:
    """Answers a ClientHello of either form under the test root, and nothing that follows it."""

    def __init__(self) -> None:
        self._static = KeyPair.of(_test_key("static"))
        self._chain = wacert.pack_chain(
            _test_key("root"), _test_key("intermediate"), self._static.public, _VALIDITY
        )
        self._streams: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:  # noqa: ARG002
        gathered = self._streams.pop(flow, b"") + data
        if not data or not _begins(gathered):
            return ()
        start = len(noise.INTRO) if gathered.startswith(noise.INTRO[:4]) else 0
        start += len(noise.MAGIC)
        if len(gathered) < start + _HEAD or len(gathered) < _end(gathered, start):
            return self._wait(flow, gathered)
        try:
            theirs = noise.parse_client_hello(gathered[start + _HEAD : _end(gathered, start)])
            # The server's ephemeral key needs no secrecy in a lab, only to differ per connection.
            ephemeral = KeyPair.of(sha256(theirs + repr(flow).encode()).digest())
            hello = noise.server_hello(theirs, ephemeral, self._static, self._chain)
        except ValueError:
            return ()
        return (Emit(flow, noise.frame(hello)),)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()

    def _wait(self, flow: Flow, gathered: bytes) -> Iterable[Emit]:
        if len(self._streams) >= MAX_FLOWS:
            del self._streams[next(iter(self._streams))]
        self._streams[flow] = gathered
        return ()


def _begins(data: bytes) -> bool:
    """Whether a stream may still become a ClientHello of either form, no longer than one."""
    plain, routed = noise.MAGIC, noise.INTRO + noise.MAGIC
    fits = (form.startswith(data[: len(form)]) for form in (plain, routed))
    return any(fits) and len(data) <= MAX_HELLO


def _end(data: bytes, start: int) -> int:
    return start + _HEAD + int.from_bytes(data[start : start + _HEAD])
