"""A Telegram call through a TCP reflector (tgcalls v2): connect, two peers through it, media.

Both peers are ours.  Nothing in this protocol answers a hello or says which address was seen: the
first proof of anything is that one peer hears the other, and no exit address is noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from circumtest.ladders import PACES
from circumtest.media import media
from circumtest.model import Address, Level, Role, Stage, Transport
from circumtest.peers import draw_tags, knows, legs, pair, reach
from circumtest.reflector import TcpReflector
from circumtest.script import Answerer, Channel, Listen, Script, enter, now, open_tcp, send
from circumtest.wire import reflector

_ZEROS = 4


@dataclass(frozen=True)
class TelegramCallTcp:
    """Connect two peers to one reflector, let them reach each other, play media.

    `natural_tags` draws tags from all bytes; by default 0xff is avoided, as over UDP.  With a
    `secret` tags show a mirror that the caller knows it.
    """

    port: int = 599
    level: Level = Level.STANDARD
    natural_tags: bool = False
    secret: str = field(default="", repr=False)

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.CONNECTIVITY,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = "telegram-message"
    app: ClassVar[str] = "telegram-call"
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    @property
    def listen(self) -> Listen:
        return Listen(Transport.TCP, self.port)

    @property
    def opening(self) -> int:
        return len(_opening(bytes(reflector.TAG)))

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Both connections and the first exchange between the peers make one stage."""
        pace, server = PACES[self.level], target[0]
        yield from enter(Stage.CONNECTIVITY)
        until = (yield from now()) + pace.patience
        tags = draw_tags(rng, natural=self.natural_tags, secret=self.secret)
        caller = yield from _join(server, tags[0], until)
        callee = yield from _join(server, tags[1], until)
        ends = pair((caller, callee), tags, (server,))
        via = yield from reach(ends, rng, lambda: (server,), until)
        near, far = legs(ends, via, rng)
        yield from media(near, far, seconds=pace.media)

    def answerer(self) -> Answerer:
        return TcpReflector()

    def is_ours(self, data: bytes) -> bool | None:
        """Whether a stream begins with a hello of who knows the secret; None for not yet."""
        size = self.opening
        if len(data) < size:
            known = reflector.PREAMBLE
            return None if known.startswith(data[: len(known)]) else False
        tag = data[size - reflector.TAG - _ZEROS : size - _ZEROS]
        return data[:size] == _opening(tag) and knows(tag, self.secret)


def _join(server: Address, tag: bytes, until: float) -> Script[Channel]:
    """Connected is ready: the hello goes out at once, nothing answers it."""
    channel = yield from open_tcp(server, until - (yield from now()))
    yield from send(channel, _opening(tag))
    return channel


def _opening(tag: bytes) -> bytes:
    return reflector.PREAMBLE + reflector.frame(reflector.TcpHello(tag).pack())
