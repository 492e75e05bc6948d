"""A Signal call through its TURN servers: UDP, or TCP and TLS where that is blocked.

Requests and user names are those of a capture of November 2021, when the realm was signal.org; the
ports are those of the server's sample configuration of 2026, when the servers are another company's
and the realm is not known.  Then ICE, and SRTP without DTLS: its keys are as if signalled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import across, ice, srtp, turn
from circumtest.across import Reached
from circumtest.callee import Callee
from circumtest.ladders import PACES, Pace
from circumtest.model import Address, Carrier, Level, Role, Stage, Transport
from circumtest.relay import Relay
from circumtest.script import Answerer, Listen, Script, enter, note, now
from circumtest.secure import TlsAnswerer
from circumtest.turn import LIBWEBRTC, Allocation, Credentials

VALID = 86400
"""Seconds for which a user name is good."""
HELLO = 517
"""Bytes of the ClientHello."""
SOUND = srtp.Sound(102, 960)
"""Opus as Signal numbers it."""
_PORTS = {Carrier.UDP: 3478, Carrier.TCP: 80, Carrier.TLS: 443}


@dataclass(frozen=True)
class SignalCall:
    """Call by a server of signal.org; `port` 0 is 3478 over UDP, 80 over TCP, 443 over TLS.

    `host` is a real server's name, for whom its certificate must be when it is reached over TLS.
    """

    transport: Carrier = Carrier.UDP
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    callee_port: Annotated[int, Meta(ge=1, le=65535)] = 40100
    level: Level = Level.QUICK
    secret: str = "circumtest lab"
    host: str = ""

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.ALLOCATE,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    reached: ClassVar[tuple[Stage, ...]] = (Stage.ALLOCATE,)
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "signal-call"
    far: ClassVar[str] = "coturn"
    also: ClassVar[tuple[Listen, ...]] = ()
    realm: ClassVar[str] = "signal.org"
    longest: ClassVar[int] = 600

    @property
    def carrier(self) -> Carrier:
        return self.transport

    @property
    def listen(self) -> Listen:
        return Listen(self.transport.transport, self.port or _PORTS[self.transport])

    @property
    def callee_listen(self) -> Listen:
        return Listen(Transport.UDP, self.callee_port)

    @property
    def opening(self) -> int:
        return HELLO if self.transport is Carrier.TLS else LIBWEBRTC.opening()

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The server is the first address, the callee the last.

        Once there is an allocation it is given back, whatever becomes of the call.
        """
        pace, (server, callee) = PACES[self.level], target
        yield from enter(Stage.ALLOCATE)
        user = f"{int((yield from now())) + VALID}:{rng.randrange(10**9, 10**10)}"
        caller = turn.Caller(
            Credentials.given(self.secret, user),
            LIBWEBRTC,
            rng,
            self.transport,
            self.realm,
            self.secret,
        )
        allocation = yield from turn.allocate(caller, server, pace.patience)
        yield from note(allocation.seen)
        yield from self._call(allocation, callee, rng, pace)

    def _call(
        self, allocation: Allocation, callee: Address, rng: Random, pace: Pace
    ) -> Script[None]:
        name = ice.draw(rng)
        ends = ice.ends(self.secret, name)

        def reach(allocation: Allocation) -> Script[Reached]:
            return across.reach(allocation, callee, ends, LIBWEBRTC, rng, pace.patience)

        def talk(_: Allocation, reached: Reached) -> Script[None]:
            keys = srtp.signalled(self.secret, name)
            leg = srtp.Leg(reached.session, keys, rng, SOUND)
            return reached.converse(leg, pace.media)

        yield from enter(Stage.CONNECTIVITY)
        yield from turn.through([allocation], reach, talk)

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Strangers are answered a 401.  Any realm will do: the servers are another company's.

        So over UDP and TCP it shows that a TURN server answers, not whose; TLS shows the name.
        """
        yield from enter(Stage.ALLOCATE)
        who, way = Credentials.none(), self.transport
        caller = turn.Caller(who, LIBWEBRTC, rng, way, self.host)
        yield from turn.stranger(caller, target[0], PACES[self.level].patience)

    def answerer(self) -> Answerer:
        relay = Relay(self.secret, self.realm, self.callee())
        if self.transport is Carrier.TLS:
            return TlsAnswerer(relay, self.secret, self.realm)
        return relay

    def callee(self) -> Answerer:
        return Callee(self.secret, dtls=False, sound=SOUND)

    def is_ours(self, data: bytes) -> bool | None:
        """Whether a first packet is of who knows the secret; None for not yet."""
        return LIBWEBRTC.is_ours(data, self.secret, self.realm)
