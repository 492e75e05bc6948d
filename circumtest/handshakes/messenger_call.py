"""The TURN of a Messenger call: Facebook's realm and port, a user name of 16 digits, libwebrtc.

Request by request it is what a capture shows of a client and Facebook's own server.  What Messenger
says behind the allocation is not known, and is not imitated: a check and plain sound stand for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import turn, voice
from circumtest.ladders import PACES
from circumtest.model import Address, Carrier, Level, Role, Stage, Transport
from circumtest.relay import Relay, Terms
from circumtest.script import Answerer, Listen, Script, enter, note, now
from circumtest.turn import LIBWEBRTC, Credentials

VALID = 86400
"""Seconds for which a user name is good."""
TERMS = Terms(lifetime=900, software="", fingerprint=False, nonce=40, no="unauthorized")
"""As Facebook's server answered: 104 bytes to a stranger, 76 to a user."""
_FEWEST, _MOST = 10**15 >> 32, 10**16 >> 32


@dataclass(frozen=True)
class MessengerCall:
    """Call by a server of turner.facebook."""

    port: Annotated[int, Meta(ge=1, le=65535)] = 40003
    callee_port: Annotated[int, Meta(ge=1, le=65535)] = 40100
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

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
    app: ClassVar[str] = "messenger-call"
    far: ClassVar[str] = "coturn"
    also: ClassVar[tuple[Listen, ...]] = ()
    realm: ClassVar[str] = "turner.facebook"
    carrier: ClassVar[Carrier] = Carrier.UDP
    longest: ClassVar[int] = 900

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port)

    @property
    def callee_listen(self) -> Listen:
        return Listen(Transport.UDP, self.callee_port)

    @property
    def opening(self) -> int:
        return LIBWEBRTC.opening()

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The server is the first address, the callee the last.

        Once there is an allocation it is given back, whatever becomes of the call.
        """
        pace, (server, callee) = PACES[self.level], target
        yield from enter(Stage.ALLOCATE)
        user = _user(int((yield from now())) + VALID, rng)
        credentials = Credentials.given(self.secret, user)
        caller = turn.Caller(credentials, LIBWEBRTC, rng, name=self.realm, secret=self.secret)
        allocation = yield from turn.allocate(caller, server, pace.patience)
        yield from note(allocation.seen)
        yield from voice.call([allocation], callee, rng, self.secret, LIBWEBRTC, pace)

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Strangers are answered a 401, whose realm must be Facebook's."""
        yield from enter(Stage.ALLOCATE)
        caller = turn.Caller(Credentials.none(), LIBWEBRTC, rng)
        patience = PACES[self.level].patience
        yield from turn.stranger(caller, target[0], patience, self.realm)

    def answerer(self) -> Answerer:
        return Relay(self.secret, self.realm, self.callee(), TERMS)

    def callee(self) -> Answerer:
        return voice.Callee(self.secret)

    def is_ours(self, data: bytes) -> bool | None:
        """Whether a first packet is of who knows the secret; None for not yet."""
        return LIBWEBRTC.is_ours(data, self.secret, self.realm)


def _user(expiry: int, rng: Random) -> str:
    """16 digits, of whose number the low 32 bits are when it expires: as coturn reads it."""
    return str(rng.randint(_FEWEST + 1, _MOST - 1) << 32 | expiry & 0xFFFFFFFF)
