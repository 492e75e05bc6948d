"""A call that somebody recorded, played by data: both halves, or one of two controls made from it.

The frames come from a file that `circumtest capture import` wrote.  It refuses to play a recording
against anything that does not know it: what a real service would say to a replay is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Annotated, ClassVar

from msgspec import Meta

from circumtest.errors import ConfigError
from circumtest.ladders import PACES
from circumtest.media import media
from circumtest.model import Address, Level, Role, Stage, Transport
from circumtest.recording import Recording
from circumtest.recording.far import FarHalf
from circumtest.recording.near import Caller
from circumtest.recording.session import Score, Variant
from circumtest.recording.text import load, loads
from circumtest.script import Answerer, Listen, Script, enter, open_tcp, open_udp

DEFAULT = "webrtc-call"
"""The recording that is played where none is named."""
_CONTROL_SIZES = {Transport.UDP: (20, 1400), Transport.TCP: (20, 16384)}
"""Bytes that the neutral control can have."""


@dataclass(frozen=True)
class Recorded:
    """Play the recording in `file` (a path, or a shipped one's name), or the one in `text`.

    `variant` is it, or a control made from it.  `port` 0 is the recorded one.  Pauses longer than
    `idle` seconds are cut short.  `secret` is what the far half knows the caller by.
    """

    file: str = ""
    text: str = field(default="", repr=False)
    variant: Variant = Variant.AS_RECORDED
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    idle: Annotated[float, Meta(ge=0, le=60)] = 1.0
    level: Level = Level.QUICK
    secret: str = "circumtest lab"

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage.CONNECTIVITY,
        Stage.SIGNALLING,
        Stage.MEDIA_UP,
        Stage.MEDIA_DOWN,
        Stage.SUSTAIN,
    )
    role: ClassVar[Role] = Role.CALL
    messaging: ClassVar[str] = ""
    app: ClassVar[str] = ""
    far: ClassVar[str] = ""
    also: ClassVar[tuple[Listen, ...]] = ()

    def __post_init__(self) -> None:
        """Read it at once, so that a file that is none is refused before anything starts."""
        if self.file and self.text:
            raise ConfigError("recorded", "key `text`", "is there beside `file`", "leave one out")
        assert self.recording.frames
        if self.variant != Variant.AS_RECORDED:
            # Nothing is claimed of a control.  `role` is the class's wherever it is a call.
            object.__setattr__(self, "role", Role.CONTROL)

    @cached_property
    def recording(self) -> Recording:
        """The data.  Raises ConfigError."""
        return loads(self.text, "text") if self.text else load(self.file or DEFAULT)

    @cached_property
    def _score(self) -> Score:
        return Score(self.recording, self.secret, self.variant)

    @property
    def listen(self) -> Listen:
        return Listen(self.recording.transport, self.port or self.recording.port)

    @property
    def opening(self) -> int:
        """As near to the first frame's size as the neutral control can come."""
        least, most = _CONTROL_SIZES[self.recording.transport]
        return min(max(len(self.recording.frames[0].data), least), most)

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The caller's turns, then the sound where there is some."""
        pace = PACES[self.level]
        yield from enter(Stage.CONNECTIVITY)
        session = self._score.draw(rng)
        if self.recording.transport is Transport.UDP:
            channel = yield from open_udp(target[0])
        else:
            channel = yield from open_tcp(target[0], pace.patience)
        caller = Caller(session, channel, pace, self.idle)
        yield from caller.set_up()
        if self.recording.media is not None:
            leg = caller.leg()
            seconds, packets = pace.media, leg.up.rate
            yield from media(leg, None, seconds=seconds, rate=packets, early=caller.early)

    def answerer(self) -> Answerer:
        return FarHalf(self._score, self.idle)
