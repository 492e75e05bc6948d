"""A SIP call (RFC 3261): OPTIONS, REGISTER, INVITE, plain RTP both ways, BYE; over UDP, TCP or TLS.

The messages are those of a plain telephone; who is called plays back what he hears.  It refuses to
encrypt the sound (SRTP) and to look for a way through NATs (ICE): many telephones do neither.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES, Pace
from circumtest.media import media
from circumtest.model import Address, Carrier, Cause, Level, Role, Stage, Transport
from circumtest.pipe import Straight
from circumtest.script import (
    Answerer,
    Arrival,
    Channel,
    Listen,
    Script,
    Send,
    enter,
    note,
    now,
    open_udp,
    recv,
    send,
)
from circumtest.secure import TlsAnswerer
from circumtest.sip import CALLEE, REALM, password, sound_key
from circumtest.sip.caller import Caller
from circumtest.sip.line import Datagrams, connect
from circumtest.sip.server import Server
from circumtest.sip.sound import Leg
from circumtest.sip.words import Account, Words, knows
from circumtest.wire import sdp, sip

SETTLE = 0.75
"""Seconds that the far end has to begin: an ACK that is lost costs half a second (T1)."""
PROBE = 1.5
"""Seconds for which the sound's own address is asked for: two times, half a second apart."""
UNKNOWN = 9
"""The port that stands for one that is not known: discard, as in RFC 8840."""


@dataclass(frozen=True)
class Sip:
    """Call `callee` at the target as `user`, whose password `secret` gives.

    `port` 0 is 5060, over TLS 5061; `udp_port` is where the far end answers datagrams, whatever
    carries the signalling; `domain` stands in URIs, "" for the target's address.  Of a callee that
    does not play back what he hears (`echoes`) nobody learns what went up.  `sound_port` is the
    answerer's: other far ends say theirs.
    """

    transport: Carrier = Carrier.UDP
    register: bool = True
    user: str = "caller"
    callee: str = CALLEE
    domain: str = ""
    echoes: bool = True
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    udp_port: Annotated[int, Meta(ge=1, le=65535)] = 5060
    sound_port: Annotated[int, Meta(ge=1024, le=65535)] = 40000
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.SIGNALLING,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = "sip"
    far: ClassVar[str] = "baresip"

    @property
    def listen(self) -> Listen:
        usual = 5061 if self.transport is Carrier.TLS else 5060
        return Listen(self.transport.transport, self.port or usual)

    @property
    def also(self) -> tuple[Listen, ...]:
        """The sound; and datagrams, to learn where the sound is seen to come from."""
        sound = Listen(Transport.UDP, self.sound_port)
        if self.transport is Carrier.UDP:
            return (sound,)
        return (sound, Listen(Transport.UDP, self.udp_port))

    @property
    def opening(self) -> int:
        """Of UDP and TCP the OPTIONS; of TLS the ClientHello is about as long."""
        account = self._account(Address("192.0.2.1", self.listen.port))
        return len(sip.pack(Words(account, self.transport, Random(0)).options()))

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Whatever becomes of the call, it is hung up."""
        pace, remote = PACES[self.level], target[0]
        yield from enter(Stage.SIGNALLING)
        line = yield from connect(self.transport, remote, pace.patience, REALM, self.secret)
        caller = Caller(line, self._account(remote), rng)
        yield from caller.options(pace.patience)
        if caller.seen is None:
            raise HandshakeFailed(Cause.MALFORMED, "the answer does not say whom it is for")
        yield from note(caller.seen)
        if self.register:
            yield from caller.register(pace.patience)
        yield from enter(Stage.CONNECTIVITY)
        try:
            yield from self._call(caller, remote, pace, rng)
        except HandshakeFailed:
            yield from caller.hang_up()
            raise
        yield from caller.hang_up()

    def _call(self, caller: Caller, remote: Address, pace: Pace, rng: Random) -> Script[None]:
        channel = yield from open_udp(remote)
        key = sound_key(self.secret, caller.call_id)
        leg = Leg(channel, rng, key, echoes=self.echoes)
        here = yield from self._learn(caller, channel, remote, rng)
        caller.overhear = leg.overhear
        assert caller.seen is not None
        place = here or Address(caller.seen.host, UNKNOWN)

        def before(answer: sdp.Session) -> Iterable[Send]:
            """Our first packets, ahead of the ACK.

            What the far end says sooner ends at a NAT, where nothing was sent to it yet, and makes
            that give our sound another port than the one that it was told.
            """
            leg.remote = _wanted(answer, remote)
            return leg.openers()

        yield from caller.invite(_offer(place, leg.ssrc, rng), before, pace.patience)
        yield from _settle(caller, leg)
        try:
            yield from media(leg, None, seconds=pace.media, early=leg.early, answer=caller.hear)
        except HandshakeFailed as error:
            if here is None and error.cause is Cause.NO_DOWNLINK:
                why = f"{error.detail}; nobody had told the address of our sound"
                raise HandshakeFailed(error.cause, why) from error
            raise

    def _learn(
        self, caller: Caller, channel: Channel, remote: Address, rng: Random
    ) -> Script[Address | None]:
        """Where the sound's socket is seen: OPTIONS from there.  None where nobody says."""
        asked = remote._replace(port=self.listen.port)
        if self.transport is not Carrier.UDP:
            asked = remote._replace(port=self.udp_port)
        broken: list[HandshakeFailed] = []
        meanwhile: list[Send] = []

        def overhear(arrival: Arrival) -> None:
            if isinstance(arrival.data, Cause) and arrival.channel.transport is Transport.TCP:
                broken.append(HandshakeFailed(arrival.data, str(arrival.source)))
            elif arrival.channel != channel:
                meanwhile.extend(caller.hear(arrival))

        line = Datagrams(Straight(channel, asked))
        prober = Caller(line, self._account(remote), rng, overhear)
        try:
            yield from prober.options(PROBE)
        except HandshakeFailed:
            if broken:
                raise broken[0] from None
        for item in meanwhile:
            yield from send(item.channel, item.data, item.remote)
        return prober.seen if prober.seen is not None and prober.seen.port else None

    def _account(self, remote: Address) -> Account:
        domain = self.domain or sip.host_of(remote.host)
        word = password(self.secret, self.user)
        return Account(self.user, word, self.callee, domain, self.secret)

    def answerer(self) -> Answerer:
        server = Server(self.secret, self.sound_port)
        if self.transport is Carrier.TLS:
            return TlsAnswerer(server, self.secret, REALM)
        return server

    def is_ours(self, data: bytes) -> bool | None:
        """Whether it is a message of who knows the secret, None for not yet; sound is looked up."""
        if data[:1] >= b"\x80":
            return True
        return knows(data, self.secret) if len(data) <= sip.MAX_SIZE else False


def _offer(place: Address, ssrc: int, rng: Random) -> sdp.Session:
    """One audio stream at `place`: PCMU only.

    Reports are not wanted on its port (RFC 5761): one that came before our first packet would make
    a NAT take our port for somebody else's.
    """
    attributes = (
        ("rtpmap", "0 PCMU/8000"),
        ("ptime", "20"),
        ("ssrc", f"{ssrc} cname:{rng.randbytes(6).hex()}"),
        ("sendrecv", ""),
    )
    audio = sdp.Media("audio", place.port, "RTP/AVP", ("0",), attributes=attributes)
    number = rng.getrandbits(31)
    return sdp.Session(place.host, number, number, (audio,), connection=place.host)


def _settle(caller: Caller, leg: Leg) -> Script[None]:
    """Wait for the far end's first sound, which is kept, or for SETTLE seconds."""
    until = (yield from now()) + SETTLE
    while not leg.early and (yield from now()) < until:
        arrival = yield from recv(until)
        if arrival is None:
            continue
        leg.overhear(arrival)
        for item in caller.hear(arrival):
            yield from send(item.channel, item.data, item.remote)


def _wanted(answer: sdp.Session, remote: Address) -> Address:
    """Where the far end wants our sound.  Raises ValueError where it wants none."""
    for one in answer.media:
        if one.kind == "audio" and one.port and "0" in one.formats:
            wanted = Address(*answer.address(one))
            if wanted.version == remote.version:
                return wanted
    raise ValueError("the answer wants no sound that we could send")
