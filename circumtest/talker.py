"""The far end of one call's media: it counts what it hears, and says so in what it sends.

Its stream is sent by its own timer, whatever comes in, so that a caller can tell a dead way up from
a dead way down.  It refuses to know packets: an answerer turns frames into bytes and back.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from circumtest.ear import Ear
from circumtest.media import RATE, Heard, Report, next_slot
from circumtest.wire.rtp import Frame

QUIET = 75.0
"""Seconds without an authentic packet after which the sound stops: longer than a caller stays in a
dead call (`media.HOLD`), so that a far end that gave up is not mistaken for a censor of the way
down."""
LONGEST = 1260.0
"""Seconds after which it stops in any case: a minute more than the longest media stage."""


def said(frame: Frame) -> Heard:
    """What a frame says to who gets it: the other side of `Talker.speak`."""
    return Heard(frame.seq, frame.sent_at, Report(*frame[2:]))


@dataclass(slots=True)
class Talker:
    """Speaks from `began` on, every 20 ms, while it is heard from.

    `due` is when the next frame is wanted (seconds since the Unix epoch), None once it stopped.
    """

    began: float
    due: float | None = field(init=False)
    ear: Ear = field(default_factory=Ear)
    _sent: int = 0
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self.due = self._last = self.began

    def touch(self, now: float) -> None:
        """Something authentic came that is not sound."""
        self._last = now

    def hear(self, heard: Heard, now: float) -> None:
        """Count one authentic packet."""
        self._last = now
        self.ear.hear(heard.seq, heard.sent_at, now)

    def speak(self, now: float) -> Frame | None:
        """The next frame, when it is due; None otherwise, and for good once it stopped."""
        if self.due is None or now < self.due:
            return None
        if now - self._last > QUIET or now - self.began > LONGEST:
            self.due = None
            return None
        self.due = next_slot(self.due, 1 / RATE, now)
        ear = self.ear
        held = now - ear.last if ear.last is not None else 0.0
        told = (ear.received, ear.highest, ear.jitter, ear.gap, ear.sent_at, held)
        frame = Frame(self._sent, now, *told, ear.late, ear.burst, ear.bursts)
        self._sent += 1
        return frame


K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Whose turn it is to speak: the talkers of many calls, by a name each, and one timer.

    It costs the same whether ten speak or a thousand.  The caller bounds how many there are.
    """

    def __init__(self) -> None:
        self._talkers: dict[K, Talker] = {}
        self._queue: list[tuple[float, int, K, Talker]] = []
        self._order = count()

    def get(self, name: K) -> Talker | None:
        return self._talkers.get(name)

    def add(self, name: K, talker: Talker) -> None:
        """Let it speak from now on, in place of an earlier one of that name."""
        self._talkers[name] = talker
        self._push(name, talker)

    def discard(self, name: K) -> None:
        """Nothing more of that name."""
        self._talkers.pop(name, None)

    def timer(self) -> float | None:
        """When the next one is due, None when nobody speaks."""
        while self._queue:
            due, _, name, talker = self._queue[0]
            if self._talkers.get(name) is talker:
                return due
            heappop(self._queue)
        return None

    def speak(self, now: float) -> Iterable[tuple[K, Frame]]:
        """The frames that are due, one of each talker."""
        while (due := self.timer()) is not None and due <= now:
            _, _, name, talker = heappop(self._queue)
            if (frame := talker.speak(now)) is not None:
                self._push(name, talker)
                yield name, frame

    def _push(self, name: K, talker: Talker) -> None:
        if talker.due is not None:
            heappush(self._queue, (talker.due, next(self._order), name, talker))
