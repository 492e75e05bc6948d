"""A WebRTC call to a peer that is reached directly: signalling by WHIP, ICE, DTLS, SRTP.

What any application of WebRTC does, and no one's in particular: the checks are a browser's, the
ClientHello is a choice.  It refuses to gather candidates: the far end is at the host that answered,
and learns from our checks where we are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest import dtls, ice, identity, srtp, whip
from circumtest.callee import NAME, Callee
from circumtest.dtls import Shape
from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, Pace
from circumtest.model import Address, Level, Role, Stage, Transport
from circumtest.pipe import Straight
from circumtest.script import Answerer, Emit, Flow, Listen, Script, enter, note, open_udp
from circumtest.wire import sdp
from circumtest.wire.ice import CHROMIUM
from circumtest.wire.ice import Role as IceRole

SOUND: sdp.Attributes = (
    ("extmap", "2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (
        "extmap",
        "3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ),
    ("rtpmap", "111 opus/48000/2"),
    ("fmtp", "111 minptime=10;useinbandfec=1"),
)
"""What is said of the sound: Opus, and the extensions on its packets, as a browser has them."""
_POST = b"POST "
OFFER = 1200
"""Bytes of a description, about: what the signalling's first packet has."""


@dataclass(frozen=True)
class Webrtc:
    """`port` is the far end's where it is ours; a real one says its own in its answer.

    `controlling`: the caller chooses the pair; otherwise both ends begin by not choosing, and the
    far end has to take the part (RFC 8445 7.3.1.1).
    """

    port: Annotated[int, Meta(ge=1, le=65535)] = 40000
    signalling: Annotated[int, Meta(ge=1, le=65535)] = 8080
    clienthello: Shape = Shape.OPENSSL
    controlling: bool = True
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.SIGNALLING,
        Stage.CONNECTIVITY,
        Stage.DTLS,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "webrtc"
    far: ClassVar[str] = "aiortc"

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port)

    @property
    def also(self) -> tuple[Listen, ...]:
        return (Listen(Transport.TCP, self.signalling),)

    @property
    def opening(self) -> int:
        """The first check, which is the first packet over UDP."""
        return 100 if self.controlling else 96

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Once there is an answer the far end is told that the call is over, however it went."""
        pace = PACES[self.level]
        desk = target[0]._replace(port=self.signalling)
        yield from enter(Stage.SIGNALLING)
        own = ice.ends(self.secret, ice.draw(rng)).caller
        shown = identity.certificate(f"{self.secret} {own.fragment.decode()}", "WebRTC")
        # We are DTLS's client, which an offer of WHIP may say (RFC 9725 4.4.2): to shape its hello.
        offer = whip.describe(own, shown, "active", rng.getrandbits(62), SOUND)
        far = yield from whip.call(desk, sdp.pack(offer), self.secret, pace.patience)
        try:
            yield from self._call(own, shown, far, pace, rng)
        except HandshakeFailed:
            yield from whip.hang_up(desk, far)
            raise
        yield from whip.hang_up(desk, far)

    def _call(
        self,
        own: ice.Credentials,
        shown: identity.Identity,
        far: whip.Far,
        pace: Pace,
        rng: Random,
    ) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_udp(far.remote)
        role = IceRole(self.controlling, rng.getrandbits(64) if self.controlling else 0)
        agent = ice.Agent(own, far.credentials, rng, CHROMIUM, role)
        session = ice.Session(agent, Straight(channel, far.remote), far.remote, rng)
        yield from note((yield from session.connect(pace.patience)))
        yield from enter(Stage.DTLS)
        endpoint = dtls.client(self.clienthello, shown, rng, far.fingerprint)
        keys = yield from srtp.agree(endpoint, session, pace.patience)
        yield from ice.converse(session, srtp.Leg(session, keys, rng), pace.media)

    def answerer(self) -> Answerer:
        return _Far(self.secret, self.port)

    def is_ours(self, data: bytes) -> bool | None:
        """Whether the desk, or who is called, may look at it: both know the secret's packets.

        Nobody is told that a call is over who has not begun one in that stream.
        """
        if data[:1] < b"A":
            return True
        return None if len(data) < len(_POST) else data.startswith(_POST)


class _Far:
    """The far half: a desk that answers offers, and the person who is then called."""

    def __init__(self, secret: str, port: int) -> None:
        self._secret, self._port = secret, port
        self._desk = whip.Desk(secret, self._describe)
        self._callee = Callee(secret, ice=CHROMIUM)

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.TCP:
            return self._desk.receive(flow, data, now)
        return self._callee.receive(flow, data, now)

    def timer(self) -> float | None:
        return self._callee.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._callee.tick(now)

    def _describe(self, flow: Flow, own: ice.Credentials) -> sdp.Session:
        shown = identity.certificate(self._secret, NAME)
        at = Address(flow.local.host, self._port)
        return whip.describe(own, shown, "passive", 1, SOUND, at)
