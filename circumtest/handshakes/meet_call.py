"""A Google Meet call: a STUN binding, then ICE, DTLS and SRTP with the service's own lite relay.

The packets are those of captures of 2022 and later as far as they are known; names and passwords,
which the application gets from its signalling, are drawn here and known to the far half by a
secret.  It refuses to play what is inside: data channels, several streams, bandwidth probes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import dtls, ice, identity, srtp, tags
from circumtest.callee import Callee
from circumtest.dtls import Shape
from circumtest.dtls.signatures import fingerprint
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, doubling, exchange
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.pipe import Straight
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
    open_udp,
)
from circumtest.wire import stun
from circumtest.wire.ice import MEET
from circumtest.wire.ice import Role as IceRole

PURPOSE = "meet-call"
FRAGMENT = 26
"""Letters of the relay's user fragment; the caller's has four."""
FIRST, SENDS = 0.25, 9
"""libwebrtc's sends of an unanswered binding: 0, 0.25, 0.75, 1.75, ... seconds."""


@dataclass(frozen=True)
class MeetCall:
    """`binding` is the port of the plain STUN server, `port` the relay's."""

    port: Annotated[int, Meta(ge=1, le=65535)] = 19305
    binding: Annotated[int, Meta(ge=1, le=65535)] = 19302
    clienthello: Shape = Shape.LIBWEBRTC
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.BINDING,
        Stage.CONNECTIVITY,
        Stage.DTLS,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "meet-call"
    far: ClassVar[str] = ""

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port)

    @property
    def also(self) -> tuple[Listen, ...]:
        return (Listen(Transport.UDP, self.binding),)

    @property
    def opening(self) -> int:
        return stun.HEADER

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The ClientHello leaves with the first answered check, before the one that nominates."""
        pace = PACES[self.level]
        relay = target[0]._replace(port=self.port)
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(relay)
        probe = _Probe(Straight(channel, relay._replace(port=self.binding)), rng, self.secret)
        seen = yield from exchange(probe.ask, probe.answered, doubling(FIRST, SENDS), pace.patience)
        yield from note(seen)
        yield from enter(Stage.CONNECTIVITY)
        known = ice.ends(self.secret, ice.draw(rng), FRAGMENT)
        role = IceRole(controlling=True, tie_breaker=rng.getrandbits(64))
        agent = ice.Agent(known.caller, known.callee, rng, MEET, role)
        session = ice.Session(agent, Straight(channel, relay), relay, rng)
        yield from session.connect(pace.patience, nominated=False)
        yield from enter(Stage.DTLS)
        shown = identity.certificate(f"{self.secret} {known.caller.fragment.decode()}", "WebRTC")
        pinned = fingerprint(identity.public_key(self.secret))
        endpoint = dtls.client(self.clienthello, shown, rng, pinned)
        keys = yield from srtp.agree(endpoint, session, pace.patience)
        yield from ice.converse(session, srtp.Leg(session, keys, rng), pace.media)

    def answerer(self) -> Answerer:
        return _Service(self.secret, self.binding)

    def is_ours(self, data: bytes) -> bool:
        """Whether a first packet is of who knows the secret; checks are the relay's to judge."""
        try:
            message = stun.unpack(data)
        except ValueError:
            return False
        return bool(message.attributes) or tags.has_marked_letters(
            message.tid, self.secret, PURPOSE
        )


class _Probe:
    """One STUN transaction: the same request at every sending."""

    def __init__(self, pipe: Straight, rng: Random, secret: str) -> None:
        self._pipe = pipe
        self._tid = tags.mark_letters(ice.draw(rng, 12), secret, PURPOSE)

    def ask(self) -> Iterable[Send]:
        yield self._pipe.encode(stun.pack(stun.Message(stun.BINDING, self._tid)))

    def answered(self, arrival: Arrival) -> Address | None:
        """Where we were seen.  Raises HandshakeFailed MALFORMED for an answer without it."""
        for data in self._pipe.decode(arrival):
            try:
                message = stun.unpack(data)
            except ValueError:
                continue
            if (message.type, message.tid) == (stun.BINDING_OK, self._tid):
                try:
                    value = message.get(stun.XOR_MAPPED_ADDRESS) or b""
                    return Address(*stun.parse_xor_address(value, self._tid))
                except ValueError as error:
                    raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        return None


def _is_bare(data: bytes) -> bool:
    """A request without attributes: nothing but a Binding, whatever port it comes to."""
    return len(data) == stun.HEADER and data[:2] == stun.BINDING.to_bytes(2)


class _Service:
    """The far half: a STUN server that answers anybody, as the real one does, and the relay."""

    def __init__(self, secret: str, binding: int) -> None:
        self._binding = binding
        self._relay = Callee(secret, ice=None)

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.local.port != self._binding and not _is_bare(data):
            return self._relay.receive(flow, data, now)
        try:
            message = stun.unpack(data)
        except ValueError:
            return ()
        if message.type != stun.BINDING or message.attributes:
            return ()
        mapped = stun.xor_address(*flow.remote, message.tid)
        answer = stun.Message(stun.BINDING_OK, message.tid, ((stun.XOR_MAPPED_ADDRESS, mapped),))
        return (Emit(flow, stun.pack(answer)),)

    def timer(self) -> float | None:
        return self._relay.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._relay.tick(now)
