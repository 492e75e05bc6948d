"""A Telegram call through its TURN servers on UDP 1400: Binding, Allocate, ICE, DTLS, SRTP.

Requests, schedule and order are libwebrtc's, as captures of a call of 2022 and of an engine of 2026
show them.  It refuses to call Telegram's own servers further than their 401: passwords come from
signalling, which an account is needed for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import across, dtls, ice, identity, srtp, turn
from circumtest.across import Reached
from circumtest.callee import Callee
from circumtest.ladders import PACES, Pace
from circumtest.model import Address, Carrier, Level, Role, Stage, Transport
from circumtest.relay import Relay, Terms
from circumtest.script import Answerer, Channel, Listen, Script, enter, note, now, open_udp
from circumtest.turn import LIBWEBRTC, Allocation, Credentials
from circumtest.wire import stun

VALID = 86400
"""Seconds for which a user name is good."""
LINGER = 0.5
"""Seconds in which further servers may answer once one has: any of them may carry the call."""
LIFETIME = 60
"""Seconds that an allocation lasts, as in the capture."""


@dataclass(frozen=True)
class TelegramCallTurn:
    """Ask `servers` servers of telegram.org at once; any that reaches the callee is enough."""

    servers: Annotated[int, Meta(ge=1, le=8)] = 3
    port: Annotated[int, Meta(ge=1, le=65535)] = 1400
    callee_port: Annotated[int, Meta(ge=1, le=65535)] = 40100
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.BINDING,
        Stage.ALLOCATE,
        Stage.CONNECTIVITY,
        Stage.DTLS,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    reached: ClassVar[tuple[Stage, ...]] = (Stage.BINDING, Stage.ALLOCATE)
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = "telegram-message"
    app: ClassVar[str] = "telegram-call"
    far: ClassVar[str] = "coturn"
    also: ClassVar[tuple[Listen, ...]] = ()
    realm: ClassVar[str] = "telegram.org"
    carrier: ClassVar[Carrier] = Carrier.UDP
    longest: ClassVar[int] = LIFETIME

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port, self.servers)

    @property
    def callee_listen(self) -> Listen:
        return Listen(Transport.UDP, self.callee_port)

    @property
    def opening(self) -> int:
        return stun.HEADER

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The servers come first, the callee is the last address.

        Every allocation is given back, whatever becomes of the call.
        """
        pace, servers, callee = PACES[self.level], target[:-1], target[-1]
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(servers[0])
        known = (self.secret, self.realm)
        seen = yield from turn.binding(channel, servers, LIBWEBRTC, rng, pace.patience, known)
        yield from note(seen)
        yield from enter(Stage.ALLOCATE)
        allocations = yield from self._allocate(channel, servers, rng, pace)
        yield from self._call(allocations, callee, rng, pace)

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Strangers are answered a Binding and a 401, whose realm must be Telegram's.

        The requests are those of a call, at most nine Allocates a server.
        """
        patience = PACES[self.level].patience
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(target[0])
        seen = yield from turn.binding(channel, target, LIBWEBRTC, rng, patience)
        yield from note(seen)
        yield from enter(Stage.ALLOCATE)
        caller = turn.Caller(Credentials.none(), LIBWEBRTC, rng)
        asked = [turn.stranger(caller, one, patience, self.realm, channel) for one in target]
        yield from turn.together(asked, 0.0)

    def _caller(self, user: str, rng: Random) -> turn.Caller:
        known = Credentials.given(self.secret, user)
        return turn.Caller(known, LIBWEBRTC, rng, name=self.realm, secret=self.secret)

    def _allocate(
        self, channel: Channel, servers: Sequence[Address], rng: Random, pace: Pace
    ) -> Script[list[Allocation]]:
        """At every server that grants one: the first, and those that are hardly later."""
        user = f"{int((yield from now())) + VALID}:{rng.getrandbits(72):018x}"
        caller = self._caller(user, rng)
        asked = [turn.allocate(caller, one, pace.patience, channel) for one in servers]
        return (yield from turn.together(asked, LINGER))

    def _call(
        self, allocations: Sequence[Allocation], callee: Address, rng: Random, pace: Pace
    ) -> Script[None]:
        def reach(allocation: Allocation) -> Script[Reached]:
            # Each pair is a call of its own to the callee, so each has its own name.
            ends = ice.ends(self.secret, ice.draw(rng))
            return across.reach(allocation, callee, ends, LIBWEBRTC, rng, pace.patience)

        def talk(_: Allocation, reached: Reached) -> Script[None]:
            yield from enter(Stage.DTLS)
            keys = yield from srtp.agree(self._endpoint(rng), reached.session, pace.patience)
            leg = srtp.Leg(reached.session, keys, rng)
            yield from reached.converse(leg, pace.media)

        yield from enter(Stage.CONNECTIVITY)
        yield from turn.through(allocations, reach, talk)

    def _endpoint(self, rng: Random) -> dtls.Endpoint:
        own = identity.certificate(self.secret, "caller")
        pinned = dtls.fingerprint(identity.public_key(self.secret))
        return dtls.client(dtls.Shape.LIBWEBRTC, own, rng, pinned)

    def answerer(self) -> Answerer:
        terms = Terms(lifetime=LIFETIME, longest=LIFETIME)
        return Relay(self.secret, self.realm, self.callee(), terms)

    def callee(self) -> Answerer:
        return Callee(self.secret)

    def is_ours(self, data: bytes) -> bool | None:
        """Whether a first packet is of who knows the secret; None for not yet."""
        return LIBWEBRTC.is_ours(data, self.secret, self.realm)
