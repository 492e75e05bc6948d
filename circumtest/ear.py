"""What one end of a call hears of a numbered stream: losses, bursts, lateness, jitter, gaps.

Memory is bounded whatever comes.  It refuses to judge, and to know where numbers come from.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

MAX_SEQ = 1 << 16
"""Numbers that an Ear knows, so that its memory is bounded: 21 minutes of media."""
PLAYOUT = 0.2
"""Seconds by which a packet may be slower than the quickest one of late and still be played.

A receiver that waited longer for stragglers would pay for it with delay (emodel.late)."""
WINDOW = 100
"""Packets, 2 s of them, for which the quickest is remembered at least, and twice that at most: a
receiver follows a way that has become longer for good."""
KEPT = 1024
"""Transit times kept: those of the last 20 seconds."""


@dataclass(slots=True)
class Ear:
    """Counts of packets, times in seconds.  Doubles and absurd numbers are not counted.

    `jitter` is that of RFC 3550 6.4.1.  `late` of the `received` packets came too late to be
    played; `burst` is the longest run that could not be played, `bursts` how many runs there were,
    up to the last packet that could.  `delays` are transit times between two clocks.
    """

    received: int = 0
    highest: int = -1
    jitter: float = 0.0
    gap: float = 0.0
    last: float | None = None
    sent_at: float | None = None
    late: int = 0
    burst: int = 0
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _seen: bytearray = field(default_factory=bytearray)  # a bit for each number
    _runs: list[tuple[int, int]] = field(default_factory=list)  # first and last number missing
    _played: int = -1
    _quickest: float = float("inf")  # of this window
    _before: float = float("inf")  # of the one before

    @property
    def bursts(self) -> int:
        return len(self._runs)

    def hear(self, seq: int, sent_at: float, at: float) -> None:
        """Count the packet `seq`, sent at `sent_at` by its sender's clock, that came at `at`."""
        if not self._mark(seq):
            return
        if self.last is not None and self.sent_at is not None:
            # RFC 3550 6.4.1: D is the difference of transit times, J moves by a sixteenth of it.
            drift = abs((at - self.last) - (sent_at - self.sent_at))
            self.jitter += (drift - self.jitter) / 16
            if at - self.last > self.gap:
                self.gap = at - self.last
        self.received += 1
        if seq > self.highest:
            self.highest = seq
        self.last, self.sent_at = at, sent_at
        transit = at - sent_at
        self.delays.append(transit)
        if self.received % WINDOW == 0:
            self._before, self._quickest = self._quickest, transit
        elif transit < self._quickest:
            self._quickest = transit
        if transit - min(self._before, self._quickest) > PLAYOUT:
            self.late += 1
        elif seq == self._played + 1:
            self._played = seq
        else:
            self._play(seq)

    def _mark(self, seq: int) -> bool:
        """Whether it is a number that was not heard before."""
        if not 0 <= seq < MAX_SEQ:
            return False
        place, bit = seq >> 3, 1 << (seq & 7)
        if place >= len(self._seen):
            self._seen.extend(bytes(place + 1 - len(self._seen)))
        elif self._seen[place] & bit:
            return False
        self._seen[place] |= bit
        return True

    def _play(self, seq: int) -> None:
        """A packet out of turn: others are missing before it, or it was missing itself."""
        if seq > self._played:
            self._runs.append((self._played + 1, seq - 1))
            self.burst = max(self.burst, seq - 1 - self._played)
            self._played = seq
            return
        place = bisect_right(self._runs, (seq, MAX_SEQ)) - 1
        first, last = self._runs[place]
        halves = ((first, seq - 1), (seq + 1, last))
        self._runs[place : place + 1] = [(a, b) for a, b in halves if a <= b]
        if last - first + 1 == self.burst:
            self.burst = max((b - a + 1 for a, b in self._runs), default=0)
