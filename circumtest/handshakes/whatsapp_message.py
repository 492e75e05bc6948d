"""WhatsApp's messaging control: Noise over TCP up to the server's certificate, before any account.

It shows that a server which the pinned root vouches for can be reached: a middlebox cannot forge
that.  It refuses to send ClientFinish, which carries a login.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from circumtest import tags
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
)
from circumtest.secure import TlsAnswerer, TlsStream
from circumtest.websocket import WebSocket, WebSocketAnswerer
from circumtest.wire import noise, wacert
from circumtest.wire.noise import KeyPair

WEB, PATH = "web.whatsapp.com", "/ws/chat"
TEST_SECRET = "circumtest lab"
CLIENT_HELLO = 517
"""Bytes of TLS's first message: OpenSSL's, no browser's."""
POOL = 512
"""Keys of a day; making one takes some 40 microseconds."""
DAY = 86400
MAX_WAIT = 20.0
"""Seconds for which the published clients wait for ServerHello; our patience is shorter."""
MAX_FLOWS = 1024
"""Connections that an answerer remembers; the oldest is forgotten first."""
MAX_HELLO = 256
"""Bytes of an opening that an answerer keeps: no XX ClientHello is longer."""
_VALIDITY = (0, 1 << 32)
_HEAD = 3


def _key(purpose: str, secret: str = "") -> bytes:
    """A private key of a secret; without one anybody can derive it, and it proves nothing."""
    if tags.is_kept(secret):
        return hmac.digest(secret.encode(), b"noise\0" + purpose.encode(), "sha256")
    return sha256(b"circumtest lab, not a secret: " + purpose.encode()).digest()


def root(secret: str = "") -> str:
    """The root that vouches for the answerer with that secret, hex."""
    return KeyPair.of(_key("root", secret)).public.hex()


TEST_ROOT = root()
"""The root that vouches for the lab's answerer; never a default."""


@lru_cache(maxsize=8)
def _ephemerals(secret: str, day: int) -> frozenset[bytes]:
    """The public keys that who knows the secret may say hello with on one day (since 1970)."""
    return frozenset(_ephemeral(secret, day, number).public for number in range(POOL))


def _ephemeral(secret: str, day: int, number: int) -> KeyPair:
    return KeyPair.of(_key(f"ephemeral {day} {number}", secret))


@dataclass(frozen=True)
class WhatsappMessage:
    """Say ClientHello, check ServerHello and its certificates against `root` (X25519, hex).

    `form` "plain" is a first connection, "ed" a reconnection with an edge-routing hint in front,
    the form that nDPI recognises, "web" a browser's: the same bytes in a WebSocket over TLS with
    `host`.  With a `secret` the key in it is one of POOL that the secret gives
    for each day: there is no other room to show a mirror that the caller knows it.
    """

    form: Literal["plain", "ed", "web"] = "plain"
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    root: str = wacert.WHATSAPP_ROOT
    level: Level = Level.QUICK
    secret: str = field(default="", repr=False)
    host: str = WEB

    stages: ClassVar[tuple[Stage, ...]] = (Stage.SIGNALLING,)
    reached: ClassVar[tuple[Stage, ...]] = stages
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
        return CLIENT_HELLO if self.form == "web" else len(self._hello(KeyPair.of(bytes(32))))

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Connect, ask, and read one frame; what the server proves is checked before closing."""
        return self._ask(target[0], rng, self.secret or TEST_SECRET)

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Strangers get ServerHello.  Success is a genuine server's: its root vouches for it.

        Over TLS the certificate must be for `host`, too.
        """
        return self._ask(target[0], rng, "")

    def _ask(self, remote: Address, rng: Random, secret: str) -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        patience = min(PACES[self.level].patience, MAX_WAIT)
        until = (yield from now()) + patience
        channel = yield from open_tcp(remote, patience)
        stream: Stream | WebSocket = Stream(channel)
        if self.form == "web":
            stream = yield from self._webbed(Stream(channel), rng, secret, until)
        ephemeral = self._drawn(rng, (yield from now()))
        yield from stream.send(self._hello(ephemeral))
        head = yield from stream.read_exactly(_HEAD, until)
        try:
            length = noise.frame_length(head)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        body = yield from stream.read_exactly(length, until)
        self._check(body, ephemeral, (yield from now()))

    def _webbed(self, stream: Stream, rng: Random, secret: str, until: float) -> Script[WebSocket]:
        """A WebSocket as the page at `host` opens it; with a secret the far half is our own."""
        secured = TlsStream(stream, name=self.host, secret=secret)
        yield from secured.handshake(until)
        web = WebSocket(secured, rng)
        yield from web.upgrade(self.host, PATH, f"https://{WEB}", until)
        return web

    def _drawn(self, rng: Random, at: float) -> KeyPair:
        drawn = rng.randbytes(32)
        if not tags.is_kept(self.secret):
            return KeyPair.of(drawn)
        return _ephemeral(self.secret, int(at // DAY), int.from_bytes(drawn) % POOL)

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
        server = ChatServer(self.secret)
        if self.form != "web":
            return server
        return TlsAnswerer(WebSocketAnswerer(server), self.secret or TEST_SECRET, self.host)


class ChatServer:
    """Answers a ClientHello of either form under its secret's root, and nothing that follows it.

    With a secret it answers those who know it; the day before and the day after count, too.
    """

    def __init__(self, secret: str = "") -> None:
        self._secret = secret
        self._static = KeyPair.of(_key("static", secret))
        self._chain = wacert.pack_chain(
            _key("root", secret), _key("intermediate", secret), self._static.public, _VALIDITY
        )
        self._streams: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        gathered = self._streams.pop(flow, b"") + data
        if not data or not _begins(gathered):
            return ()
        start = len(noise.INTRO) if gathered.startswith(noise.INTRO[:4]) else 0
        start += len(noise.MAGIC)
        if len(gathered) < start + _HEAD or len(gathered) < _end(gathered, start):
            return self._wait(flow, gathered)
        try:
            theirs = noise.parse_client_hello(gathered[start + _HEAD : _end(gathered, start)])
            if not self._knows(theirs, now):
                return ()
            # The server's ephemeral key needs no secrecy in a lab, only to differ per connection.
            ephemeral = KeyPair.of(sha256(theirs + repr(flow).encode()).digest())
            hello = noise.server_hello(theirs, ephemeral, self._static, self._chain)
        except ValueError:
            return ()
        return (Emit(flow, noise.frame(hello)),)

    def _knows(self, theirs: bytes, now: float) -> bool:
        if not tags.is_kept(self._secret):
            return True
        today = int(now // DAY)
        return any(theirs in _ephemerals(self._secret, day) for day in range(today - 1, today + 2))

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
