"""The sound of a recorded call: one side's packets in order, again and again while it lasts.

Each packet is known by the last bytes of its tail.  In front of them, hidden, it says by how much
it was behind its time when it left; the far half's also say what it has heard, where the recorded
packet has room for it.  It refuses to know timers.
"""

import struct
from collections.abc import Mapping

from circumtest.ear import MAX_SEQ
from circumtest.media import Heard, Report
from circumtest.recording import MIN_TAIL, Recording
from circumtest.recording.session import Session

AHEAD = 2048
"""Packets beyond the last one heard that would be known: 40 s of sound."""
TAG = 6
"""Bytes by which a packet is known."""
_BEHIND = struct.Struct("!H")
_REPORT = struct.Struct("!HHHHHBBB")
_NEVER = 0xFFFF
_LAG, _HELD, _JITTER, _GAP = 2e-4, 1e-4, 1e-3, 0.04
"""Seconds that one unit of each time stands for."""
_SHARE = 255
"""Late packets are told as so many parts of those that were received."""

assert _BEHIND.size + TAG <= MIN_TAIL


class Sound:
    """One side's packets of sound in one play; `rate` of them a second."""

    def __init__(self, session: Session, *, client: bool) -> None:
        recording = session.score.recording
        self._session = session
        self._numbers = recording.sound(client=client)
        self._reports = not client
        self.rate = rate(recording, client=client)
        self._began: float | None = None
        self._known: dict[tuple[int, int, bytes], int] = {}
        self._ends: dict[int, set[int]] = {}
        self._ready = 0

    def size(self, seq: int) -> int:
        """Bytes of the packet `seq`."""
        return len(self._session.frame(self._at(seq)[0]).data)

    def pack(self, seq: int, at: float, report: Report | None = None, latest: int = -1) -> bytes:
        """The packet `seq`, from 0 on, that leaves at `at`.

        `report` is what its sender heard, `latest` the last packet of it.
        """
        number, loop = self._at(seq)
        if self._began is None:
            self._began = at - seq / self.rate
        behind = _scaled(at - self._began - seq / self.rate, _LAG, 0xFFFF)
        if report is None or self._front(number) == _BEHIND.size:
            front = _BEHIND.pack(behind)
        else:
            front = _REPORT.pack(
                behind,
                report.received & 0xFFFF,
                report.highest & 0xFFFF,  # -1 is _NEVER
                latest & 0xFFFF,
                _scaled(report.held, _HELD, 0xFFFF),
                _scaled(report.jitter, _JITTER, 0xFF),
                _scaled(report.gap, _GAP, 0xFF),
                (report.late or 0) * _SHARE // max(report.received, 1),
            )
        return self._session.render(number, loop=loop, front=front)

    def unpack(self, data: bytes, heard: int, sent_at: Mapping[int, float]) -> Heard | None:
        """What a packet says; None for what is none of this play's.

        `heard` is the highest number heard so far, -1 for none, `sent_at` when we sent ours: the
        report's echo.
        """
        self._prepare(min(heard + AHEAD, MAX_SEQ))
        for end in self._ends.get(len(data), ()):
            seq = self._known.get((len(data), end, data[end - TAG : end]))
            if seq is not None:
                return self.at(seq, data, sent_at)
        return None

    def at(self, seq: int, data: bytes, sent_at: Mapping[int, float]) -> Heard | None:
        """What `data` says as the packet `seq`, None if it is not that: a stream has an order."""
        number, loop = self._at(seq)
        size = self._front(number)
        read = self._session.read(number, data, loop=loop, front=size)
        if read is None:
            return None
        if size == _BEHIND.size:
            (behind,) = _BEHIND.unpack(read[1])
            return Heard(seq, seq / self.rate + behind * _LAG)
        behind, received, highest, latest, held, jitter, gap, late = _REPORT.unpack(read[1])
        report = Report(
            received,
            -1 if highest == _NEVER else highest,
            jitter * _JITTER,
            gap * _GAP,
            sent_at.get(latest),
            held * _HELD,
            round(late * received / _SHARE),
        )
        return Heard(seq, seq / self.rate + behind * _LAG, report)

    def _at(self, seq: int) -> tuple[int, int]:
        loop, index = divmod(seq, len(self._numbers))
        return self._numbers[index], loop

    def _front(self, number: int) -> int:
        """Bytes in front of what a packet is known by: only the far half reports."""
        tail = self._session.frame(number).tail
        roomy = tail is not None and tail.size >= _REPORT.size + TAG
        return _REPORT.size if self._reports and roomy else _BEHIND.size

    def _prepare(self, until: int) -> None:
        """Know the packets up to `until`, a good many at a time."""
        if self._ready > until - AHEAD // 2 and self._ready:
            return
        for seq in range(self._ready, until):
            number, loop = self._at(seq)
            frame = self._session.frame(number)
            tail = frame.tail
            assert tail is not None
            size = len(frame.data)
            self._ends.setdefault(size, set()).add(tail.end)
            self._known[size, tail.end, self._session.tail(number, loop, TAG)] = seq
        self._ready = until


def rate(recording: Recording, *, client: bool) -> int:
    """Packets of sound a second that one side sends, 1 at least."""
    numbers = recording.sound(client=client)
    times = [recording.frames[number].at for number in numbers]
    lasting = max(times, default=0.0) - min(times, default=0.0)
    return max(round((len(times) - 1) / lasting), 1) if lasting > 0 else 1


def _scaled(value: float, unit: float, most: int) -> int:
    return min(max(round(value / unit), 0), most)
