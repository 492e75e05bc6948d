"""The neutral control: random-looking bytes of any size there and back, over UDP or TCP.

With the transport, port and size of another handshake's first packet it tells "this place cannot
be reached" from "this handshake cannot get through".  It refuses to resemble any protocol, and its
far half answers nobody who does not hold the secret, nor ever with more bytes than it got.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, Stream, doubling, exchange
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.script import (
    Answerer,
    Arrival,
    Emit,
    Flow,
    Listen,
    Script,
    Send,
    enter,
    note,
    now,
    open_tcp,
    open_udp,
    send,
)
from circumtest.wire import echo

MAX_FLOWS = 1024
"""Unfinished streams that an answerer remembers; the oldest is forgotten first."""


@dataclass(frozen=True)
class Echo:
    """Send `size` bytes, get as many back; from 38 bytes on they carry the address that was seen.

    UDP is sent again after 0.5, 1.5, 3.5 and 7.5 s.  Sizes: 20 to 1400 over UDP, to 16384 over TCP.
    """

    transport: Transport = Transport.UDP
    port: Annotated[int, Meta(ge=1, le=65535)] = 9000
    size: Annotated[int, Meta(ge=echo.MIN_SIZE, le=echo.MAX_STREAM)] = 64
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (Stage.CONNECTIVITY,)
    role: ClassVar[Role] = Role.CONTROL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = ""
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    def __post_init__(self) -> None:
        if self.transport is Transport.UDP and self.size > echo.MAX_DATAGRAM:
            raise ValueError(f"size over UDP is at most {echo.MAX_DATAGRAM}")

    @property
    def listen(self) -> Listen:
        return Listen(self.transport, self.port)

    @property
    def opening(self) -> int:
        return self.size

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Ask the first address; fails with what the network said, or with silence."""
        yield from enter(Stage.CONNECTIVITY)
        secret = self.secret.encode()
        asked = echo.request(rng.randbytes(8), self.size, secret)
        if self.transport is Transport.UDP:
            seen = yield from self._datagram(asked, target[0])
        else:
            seen = yield from self._stream(asked, target[0])
        if seen.host:
            yield from note(seen)

    def _datagram(self, asked: bytes, remote: Address) -> Script[Address]:
        patience = PACES[self.level].patience
        channel = yield from open_udp(remote)

        def ask() -> Iterable[Send]:
            yield Send(channel, asked, remote)

        def answered(arrival: Arrival) -> Address | None:
            if isinstance(arrival.data, Cause):
                return None
            try:
                return self._seen(arrival.data, asked)
            except ValueError:
                return None

        return (yield from exchange(ask, answered, doubling(0.5, 7), patience))

    def _stream(self, asked: bytes, remote: Address) -> Script[Address]:
        until = (yield from now()) + PACES[self.level].patience
        channel = yield from open_tcp(remote, PACES[self.level].patience)
        yield from send(channel, asked)
        data = yield from Stream(channel).read_exactly(len(asked), until)
        try:
            return self._seen(data, asked)
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None

    def _seen(self, data: bytes, asked: bytes) -> Address:
        """The address in an answer, one without a host where there is no room for it."""
        return Address(*(echo.parse_answer(data, asked, self.secret.encode()) or ("", 0)))

    def answerer(self) -> Answerer:
        return EchoServer(self.secret)


class EchoServer:
    """Answers authentic requests; to anything else it is as if it were not there."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._streams: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:  # noqa: ARG002
        if flow.transport is Transport.TCP:
            data = self._gather(flow, data)
        if echo.is_request(data, self._secret):
            yield Emit(flow, echo.answer(data, *flow.remote, self._secret))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()

    def _gather(self, flow: Flow, chunk: bytes) -> bytes:
        """A whole request when its last byte is there, else nothing."""
        data = self._streams.pop(flow, b"") + chunk
        if not chunk:
            return b""
        length = echo.request_length(data, self._secret) if len(data) >= 10 else echo.MAX_STREAM
        if length > echo.MAX_STREAM or len(data) > length:
            return b""  # foreign: whatever follows is looked at afresh and is foreign as well
        if len(data) == length:
            return data
        if len(self._streams) >= MAX_FLOWS:
            del self._streams[next(iter(self._streams))]
        self._streams[flow] = data
        return b""
