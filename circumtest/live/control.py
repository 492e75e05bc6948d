"""Neutral exchanges with places that nobody needs an account for: what a target is controlled by.

A handshake that dies says nothing by itself: the network may be down, the tunnel dead, all UDP
dropped.  An exchange with somebody else at the same time, over the same path and the same
transport, tells these apart, and what its success shows is argued at each.  They refuse to resemble
any call, and to show that a service is up: nobody neutral can know that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from circumtest.errors import HandshakeFailed
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.stun_binding import StunBinding
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
    close,
    enter,
    now,
    open_tcp,
    open_udp,
)
from circumtest.secure import TlsAnswerer, tls
from circumtest.wire import ntp

HELLO = 517
"""Bytes of OpenSSL's ClientHello."""


@dataclass(frozen=True)
class Tls:
    """Connect, and agree on TLS with `host`, whose certificate must end at a root of this system.

    What passes: this path carries TCP to a place abroad and back, several kilobytes of it, and the
    place is who it says it is; no captive portal, proxy or block page can pass for that.  So a
    service over TCP that fails beside it does not fail because the path is down.  What it does not
    show: that another port than 443 passes, or another name, or UDP.  With a `secret` the far end
    is one's own and must show the key that it gives.
    """

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    secret: str = ""
    level: Level = Level.STANDARD

    stages: ClassVar[tuple[Stage, ...]] = (Stage.CONNECTIVITY,)
    role: ClassVar[Role] = Role.CONTROL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = ""
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.TCP, self.port)

    @property
    def opening(self) -> int:
        return HELLO

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:  # noqa: ARG002
        """One connection to the first address; nothing is asked on it."""
        yield from enter(Stage.CONNECTIVITY)
        patience = PACES[self.level].patience
        until = (yield from now()) + patience
        channel = yield from open_tcp(target[0], patience)
        left = max(until - (yield from now()), 0.0)
        yield from tls(Stream(channel), left, name=self.host, secret=self.secret)
        yield from close(channel)

    def answerer(self) -> Answerer:
        return TlsAnswerer(_Silent(), self.secret, self.host)


@dataclass(frozen=True)
class Ntp:
    """Ask for the time, in one datagram, and get one of the same size back.

    What passes: this path carries UDP to somebody who is not a messenger, and his answer, which
    gives back 8 random bytes of the question, so that nobody who did not see it can have made it.
    So a service over UDP that fails beside it does not fail because all UDP is dropped.  What it
    does not show: where the packet left (a STUN binding shows that), that somebody near did not
    answer in his place (some networks redirect port 123), or that other ports pass.
    """

    port: Annotated[int, Meta(ge=1, le=65535)] = ntp.PORT
    level: Level = Level.STANDARD

    stages: ClassVar[tuple[Stage, ...]] = (Stage.CONNECTIVITY,)
    role: ClassVar[Role] = Role.CONTROL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = ""
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port)

    @property
    def opening(self) -> int:
        return ntp.SIZE

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Ask the first address, again after 1, 3 and 7 s: servers count a faster client's."""
        yield from enter(Stage.CONNECTIVITY)
        remote, cookie = target[0], rng.randbytes(ntp.COOKIE)
        channel = yield from open_udp(remote)

        def ask() -> Iterable[Send]:
            yield Send(channel, ntp.pack_request(cookie), remote)

        def answered(arrival: Arrival) -> ntp.Answer | None:
            if isinstance(arrival.data, Cause):
                return None
            try:
                return ntp.parse_answer(arrival.data, cookie)
            except ValueError:
                return None

        answer = yield from exchange(ask, answered, doubling(1.0, 4), PACES[self.level].patience)
        yield from close(channel)
        if not answer.stratum:
            raise HandshakeFailed(Cause.ERROR_REPLY, f"the time server refuses: {answer.code}")

    def answerer(self) -> Answerer:
        return TimeServer()


class TimeServer:
    """Answers every question about the time with 48 bytes; it has no state, and no clock."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        try:
            cookie = ntp.parse_request(data)
        except ValueError:
            return
        yield Emit(flow, ntp.pack_answer(cookie, int(now * 2**32).to_bytes(9)[-8:]))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()


class _Silent:
    """Says nothing inside of TLS."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()


CONTROLS: Mapping[str, type[Any]] = {
    "tls": Tls,
    "stun-binding": StunBinding,
    "ntp": Ntp,
    "echo": Echo,
}
"""What a target file may name as its control.

`stun-binding` with a neutral operator shows what `ntp` shows, and the address that it was seen at
as well, which proves by which exit the packet left; where a censor drops all STUN it fails, and
then nothing is said of the call.  `echo` is for one's own far end, which holds the secret.
"""
