"""A Telegram call over UDP reflectors (tgcalls v2): hellos, two peers through one, media.

Both peers are ours, as in Telegram's own test tool, so no account and no signalling is involved.
It refuses to speak DTLS: media has the shape of SRTP under keys that were drawn, not negotiated.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from circumtest.ladders import PACES, exchange, steady
from circumtest.media import media
from circumtest.model import Address, Cause, Level, Role, Stage, Transport
from circumtest.peers import INTERVAL, Leg, Pair, draw_tags, knows, legs, pair, reach
from circumtest.reflector import UdpReflector
from circumtest.script import Answerer, Arrival, Listen, Script, Send, enter, note, now, open_udp
from circumtest.wire import reflector

MAX_HELLOS = 20
"""Hellos from one peer to one reflector that does not answer."""


@dataclass(frozen=True)
class TelegramCallUdp:
    """Say hello to every reflector from two peers, let these reach each other, play media.

    Real reflectors listen on 596 to 599.  `natural_tags` draws tags from all bytes; by default 0xff
    is avoided, so that the flow looks as most calls do to a DPI (`circumtest.peers.draw_tags`).
    With a `secret` tags show a mirror that the caller knows it.
    """

    reflectors: int = 3
    port: int = 599
    level: Level = Level.STANDARD
    natural_tags: bool = False
    secret: str = field(default="", repr=False)

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.BINDING,
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    reached: ClassVar[tuple[Stage, ...]] = (Stage.BINDING, Stage.CONNECTIVITY)
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = "telegram-message"
    app: ClassVar[str] = "telegram-call"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.UDP, self.port, self.reflectors)

    @property
    def opening(self) -> int:
        return len(reflector.Hello(bytes(reflector.TAG)).pack())

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Binding passes with the first reflector that answers both peers.

        The others are asked on while the peers try to reach each other, so that a reflector which
        answers hellos and forwards nothing does not stand for all.
        """
        near, far = yield from self._join(target, rng)
        yield from media(near, far, seconds=PACES[self.level].media)

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Two peers with drawn tags reach each other, as Telegram's own test tool lets them.

        It stops before sound: real reflectors are not ours to fill.
        """
        yield from self._join(target, rng)

    def _join(self, target: Sequence[Address], rng: Random) -> Script[tuple[Leg, Leg]]:
        pace = PACES[self.level]
        yield from enter(Stage.BINDING)
        tags = draw_tags(rng, natural=self.natural_tags, secret=self.secret)
        caller = yield from open_udp(target[0])
        callee = yield from open_udp(target[0])
        ends = pair((caller, callee), tags, target)
        greetings = _Greetings(ends, target)
        offsets = steady(INTERVAL, pace.patience)
        seen = yield from exchange(greetings.due, greetings.accept, offsets, pace.patience)
        yield from note(seen)
        yield from enter(Stage.CONNECTIVITY)
        until = (yield from now()) + pace.patience
        via = yield from reach(ends, rng, greetings.ready, until, greetings.due, greetings.accept)
        return legs(ends, via, rng)

    def answerer(self) -> Answerer:
        return UdpReflector()

    def is_ours(self, data: bytes) -> bool:
        """Whether a first packet is a hello of who knows the secret."""
        try:
            return knows(reflector.parse_hello(data).tag, self.secret)
        except ValueError:
            return False


class _Greetings:
    """Which reflector has answered which peer, and whom to say hello to next."""

    def __init__(self, ends: Pair, target: Sequence[Address]) -> None:
        self._ends, self._target = ends, tuple(target)
        self._sent: Counter[tuple[int, Address]] = Counter()
        self._seen: dict[tuple[int, Address], Address] = {}

    def due(self) -> Iterable[Send]:
        """A hello from each peer to each reflector that has not answered it."""
        for address in self._target:
            for end in self._ends:
                key = (end.channel.id, address)
                if key not in self._seen and self._sent[key] < MAX_HELLOS:
                    self._sent[key] += 1
                    yield Send(end.channel, reflector.Hello(end.tag).pack(), address)

    def accept(self, arrival: Arrival) -> Address | None:
        """The address that the caller was seen at, once one reflector has answered both peers.

        The query id is a constant of the protocol, so what tells an answer from a forgery is that
        it carries the 15 random bytes of the tag that was sent, and comes from where it was sent.
        """
        if isinstance(arrival.data, Cause):
            return None
        try:
            info = reflector.parse_self_info(arrival.data)
        except ValueError:
            return None
        for end in self._ends:
            if (arrival.channel, info.tag, info.query) == (end.channel, end.tag, reflector.QUERY):
                key = (end.channel.id, arrival.source)
                if self._sent[key]:
                    self._seen.setdefault(key, Address(info.host, info.port))
        if arrival.source in self.ready():
            return self._seen[self._ends.caller.channel.id, arrival.source]
        return None

    def ready(self) -> tuple[Address, ...]:
        """The reflectors that have answered both peers."""
        return tuple(
            address
            for address in self._target
            if all((end.channel.id, address) in self._seen for end in self._ends)
        )
