"""A call through a TURN server (RFC 8656), over UDP, TCP or TLS: allocation, callee, sound, end.

It is no application's: a client that keeps to the RFCs, with long-term credentials as the TURN REST
convention gives them.  It refuses to show what an application's server would say to its own client.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import turn, voice
from circumtest.ladders import PACES
from circumtest.model import Address, Carrier, Level, Role, Stage, Transport
from circumtest.relay import Relay
from circumtest.script import Answerer, Listen, Script, enter, note, now
from circumtest.secure import TlsAnswerer
from circumtest.turn import Channels, Credentials, Dialect

VALID = 86400
"""Seconds for which a user name is good."""
HELLO = 517
"""Bytes of the ClientHello."""


@dataclass(frozen=True)
class Turn:
    """Call by a server of `realm`; `port` 0 is 3478, over TLS 5349.

    Without `channels` all goes in Send and Data indications.
    """

    transport: Carrier = Carrier.UDP
    channels: bool = True
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    callee_port: Annotated[int, Meta(ge=1, le=65535)] = 40100
    realm: str = "example.org"
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.ALLOCATE,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "turn"
    far: ClassVar[str] = "coturn"
    also: ClassVar[tuple[Listen, ...]] = ()
    longest: ClassVar[int] = 3600

    @property
    def listen(self) -> Listen:
        usual = 5349 if self.transport is Carrier.TLS else 3478
        return Listen(self.transport.transport, self.port or usual)

    @property
    def callee_listen(self) -> Listen:
        return Listen(Transport.UDP, self.callee_port)

    @property
    def carrier(self) -> Carrier:
        return self.transport

    @property
    def opening(self) -> int:
        return HELLO if self.transport is Carrier.TLS else self._dialect.opening()

    @property
    def _dialect(self) -> Dialect:
        return replace(turn.PLAIN, channel=Channels.FIRST if self.channels else Channels.NONE)

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The server is the first address, the callee the last.

        Once there is an allocation it is given back, whatever becomes of the call.
        """
        pace, (server, callee) = PACES[self.level], target
        yield from enter(Stage.ALLOCATE)
        user = f"{int((yield from now())) + VALID}:{rng.getrandbits(32):08x}"
        caller = turn.Caller(
            Credentials.given(self.secret, user),
            self._dialect,
            rng,
            self.transport,
            self.realm,
            self.secret,
        )
        allocation = yield from turn.allocate(caller, server, pace.patience)
        yield from note(allocation.seen)
        yield from voice.call([allocation], callee, rng, self.secret, self._dialect, pace)

    def answerer(self) -> Answerer:
        relay = Relay(self.secret, self.realm, self.callee())
        if self.transport is Carrier.TLS:
            return TlsAnswerer(relay, self.secret, self.realm)
        return relay

    def callee(self) -> Answerer:
        return voice.Callee(self.secret)

    def is_ours(self, data: bytes) -> bool | None:
        """Whether a first packet is of who knows the secret; None for not yet."""
        return self._dialect.is_ours(data, self.secret, self.realm)
