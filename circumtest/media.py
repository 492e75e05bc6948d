"""Media both ways at a fixed rate, paced by the clock, and what became of each direction.

It serves two shapes.  A far end that is not ours sends a stream by its own timer and reports in
every packet what it heard of us; two ends of our own (a caller and a callee through one reflector)
hear each other.  A set-up that connects and carries no sound is a failure, told per direction.
It refuses to know a protocol: a `Leg` turns numbers into packets and packets into numbers, and a
packet that it cannot authenticate is not media.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import floor
from statistics import median
from typing import NamedTuple, Protocol

from circumtest import emodel
from circumtest.ear import Ear
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause, Direction, Media, Stage, Transport
from circumtest.script import Arrival, Script, Send, enter, note, now, post, recv

RATE = 50
"""Packets a second: one 20 ms frame each, as in every VoIP call."""
MAX_LOSS = 0.2
"""The share of lost packets beyond which nobody would call it a conversation.

Over a stream nothing is lost: there those count that came too late to be played."""
SILENCE = 0.6
"""Seconds without an arrival, up to the end, that are silence: 30 losses in a row are no chance."""
HOLD = 65.0
"""Seconds for which a caller stays in a call that has fallen silent in either direction: nobody
does so longer, and more silence shows nothing more."""
TRIPS = 4096
"""Round trips that are remembered, of which the median is told: those of the last 80 s."""
GRACE = 0.3
"""Seconds, beside a round trip, for which packets still in flight are waited for at the end."""


class Report(NamedTuple):
    """What the far end says of our stream: counts, and seconds.

    `highest` is -1 and `echo` None before anything arrived.  `echo` is our own `sent_at` of the
    latest packet it heard, `held` how long ago it heard it.  `late`, `burst` and `bursts` are as in
    `circumtest.ear.Ear`, None from a far end that does not say (RTCP does not).
    """

    received: int
    highest: int
    jitter: float
    gap: float
    echo: float | None
    held: float
    late: int | None = None
    burst: int | None = None
    bursts: int | None = None


class Heard(NamedTuple):
    """One authentic media packet: its number from 0, its sender's clock, and perhaps a report."""

    seq: int
    sent_at: float
    report: Report | None = None


class Leg(Protocol):
    """One end of the media that is ours: what it sends, and what it hears of the other end.

    `encode` gives None when nothing may be sent any more, since consent has expired.
    """

    def encode(self, seq: int, at: float) -> Send | None: ...
    def decode(self, arrival: Arrival) -> Iterable[Heard]: ...


@dataclass(frozen=True, slots=True)
class Beat:
    """Something else to send every so many seconds meanwhile (a keep-alive); first after one."""

    every: float
    request: Callable[[], Iterable[Send]]


@dataclass(slots=True)
class _Told:
    """What the far end's reports told of our stream, and when they did."""

    report: Report | None = None
    first: float = 0.0
    last: float = 0.0
    grown: float = 0.0
    rtts: deque[float] = field(default_factory=lambda: deque(maxlen=TRIPS))

    def tell(self, report: Report, at: float) -> None:
        if self.report is None:
            self.first = at
        elif report.received < self.report.received:
            return  # overtaken by a later report
        if self.report is None or report.received > self.report.received:
            self.grown = at
        self.report, self.last = report, at
        if report.echo is not None:
            self.rtts.append(at - report.echo - report.held)


class _Sound(NamedTuple):
    """The last fields of a Direction."""

    late: int | None
    burst: int | None
    burst_ratio: float | None
    mos: float


class _Account(NamedTuple):
    direction: Direction
    loss: float  # the share lost while it flowed, 0 when nobody could tell


def media(
    near: Leg,
    far: Leg | None,
    *,
    seconds: float,
    rate: int = RATE,
    beats: Sequence[Beat] = (),
    early: Iterable[Arrival] = (),
    answer: Callable[[Arrival], Iterable[Send]] | None = None,
) -> Script[None]:
    """Send from `near` (and from `far`, where both ends are ours) for `seconds`, listen, judge.

    Up is from `near`, down is towards it.  `early` is media that arrived before this stage, and
    what `answer` makes of an arrival (a check of consent) is sent at once.  Enters MEDIA_UP,
    MEDIA_DOWN and SUSTAIN, notes a Media always.  Raises HandshakeFailed NO_UPLINK,
    NO_DOWNLINK or LOSSY at the direction's stage, FROZEN at SUSTAIN, or with the Cause for which a
    stream ended.
    """
    yield from enter(Stage.MEDIA_UP)
    session = _Session(near, far, rate, beats, answer)
    for arrival in early:
        yield from session.take(arrival)
    yield from session.run(seconds)
    up, down = session.up(), session.down()
    yield from note(Media(seconds, rate, up.direction, down.direction))
    yield from _judge(up, down, session.broken)


def next_slot(due: float, interval: float, now: float) -> float:
    """When to send next, having sent at `now` what was due at `due`: a later slot of that grid.

    What was missed is not made up for in a burst, and many streams that one hiccup has held up do
    not march in step ever after.
    """
    return due + interval * (max(0, floor((now - due) / interval)) + 1)


class _Session:
    def __init__(
        self,
        near: Leg,
        far: Leg | None,
        rate: int,
        beats: Sequence[Beat],
        answer: Callable[[Arrival], Iterable[Send]] | None,
    ) -> None:
        self._near, self._far, self._rate, self._beats = near, far, rate, beats
        self._answer = answer
        self._above, self._below, self._told = Ear(), Ear(), _Told()
        self._start = self._stop = 0.0
        self._sent = 0
        self._stream = False
        self.broken: HandshakeFailed | None = None

    def run(self, seconds: float) -> Script[None]:
        """Send by the clock until `seconds` are over, then wait for what is in flight."""
        self._start = due = wake = at = yield from now()
        interval, end = 1 / self._rate, self._start + seconds
        beats = [self._start + beat.every for beat in self._beats]
        while self.broken is None and due < end - interval / 2 and not self._dead(due):
            if at >= wake:
                at = yield from now()
                if at >= due:
                    yield from self._send(at)
                    due = next_slot(due, interval, at)
                yield from self._keep_alive(beats, at)
                wake = min([due, *beats])
            arrival = yield from recv(wake)
            at = wake if arrival is None else arrival.at
            if arrival is not None:
                yield from self.take(arrival)
        self._stop = yield from now()
        until = self._stop + GRACE + (self._round_trip() or 0.0)
        while self.broken is None and not self._accounted() and (yield from now()) < until:
            if (arrival := (yield from recv(until))) is not None:
                yield from self.take(arrival)

    def _dead(self, at: float) -> bool:
        """Whether either direction has been silent for HOLD seconds, as far as we are told."""
        if at - self._start < HOLD:
            return False
        if at - (self._below.last or self._start) >= HOLD:
            return True
        if self._far is not None:
            return at - (self._above.last or self._start) >= HOLD
        return self._told.report is not None and at - self._told.grown >= HOLD

    def take(self, arrival: Arrival) -> Script[None]:
        for item in self._answer(arrival) if self._answer else ():
            yield from post(item)
        self._hear(arrival)

    def _hear(self, arrival: Arrival) -> None:
        if isinstance(arrival.data, Cause):
            if arrival.channel.transport is Transport.TCP:
                self.broken = HandshakeFailed(arrival.data, str(arrival.source))
            return
        for heard in self._near.decode(arrival):
            self._below.hear(heard.seq, heard.sent_at, arrival.at)
            if heard.report is not None:
                self._told.tell(heard.report, arrival.at)
        for heard in self._far.decode(arrival) if self._far else ():
            self._above.hear(heard.seq, heard.sent_at, arrival.at)

    def _send(self, at: float) -> Script[None]:
        for leg in (self._near, self._far) if self._far else (self._near,):
            if (packet := leg.encode(self._sent, at)) is not None:
                self._stream |= packet.channel.transport is Transport.TCP
                yield from post(packet)
        self._sent += 1

    def _keep_alive(self, due: list[float], at: float) -> Script[None]:
        for i, beat in enumerate(self._beats):
            if at >= due[i]:
                due[i] = at + beat.every
                for item in beat.request():
                    yield from post(item)

    def _accounted(self) -> bool:
        if self._far is not None:
            return min(self._above.received, self._below.received) >= self._sent
        return self._told.report is not None and self._told.report.received >= self._sent

    # -------------------------------------------------------------- the accounts

    def down(self) -> _Account:
        ear = self._below
        if self._far is not None:
            return self._heard(ear, self._sent)
        # The far end sends by its own clock: what it sent is known by its numbers, and by its rate
        # where it fell silent.
        if ear.last is None:
            return self._heard(ear, round((self._stop - self._start) * self._rate))
        quiet = self._stop - ear.last
        missed = round(quiet * self._rate) if quiet >= SILENCE else 0
        return self._heard(ear, ear.highest + 1 + missed)

    def up(self) -> _Account:
        if self._far is not None:
            return self._heard(self._above, self._sent)
        told, report = self._told, self._told.report
        fresh = told.last >= self._stop - SILENCE
        if report is None or not (report.received or fresh or told.last - told.first >= SILENCE):
            return _Account(Direction(self._sent, None), 0.0)
        until = self._stop if fresh else told.last  # how far reports reach
        silent = report.received > 0 and until - told.grown >= SILENCE
        known = max(self._known(told.last), report.highest + 1) if fresh else report.highest + 1
        reach = report.highest + 1 if silent else known
        lost = (self._sent if fresh and silent else reach) - report.received
        return _Account(
            Direction(
                self._sent,
                report.received,
                lost,
                _round(max(report.gap, until - told.grown) if silent else report.gap),
                _round(report.jitter),
                self._round_trip(),
                report.received if silent else None,
                self._since(told.grown) if silent else None,
                *self._sound(report, report.received + lost),
            ),
            1 - (report.received - self._too_late(report)) / reach if reach else 0.0,
        )

    def _known(self, last: float) -> int:
        """Packets up that reports could tell of, the last of which came at `last`.

        One that came while others were still being sent says nothing of those.
        """
        if last >= self._stop:
            return self._sent
        told = last - self._start - (self._round_trip() or 0.0)
        return int(self._sent * max(told, 0.0) / (self._stop - self._start))

    def _heard(self, ear: Ear, sent: int) -> _Account:
        if ear.last is None:
            return _Account(Direction(sent, 0, sent, burst=sent, mos=1.0), 1.0)
        quiet = self._stop - ear.last
        silent = quiet >= SILENCE
        direction = Direction(
            sent,
            ear.received,
            sent - ear.received,
            _round(max(ear.gap, quiet)),
            _round(ear.jitter),
            self._round_trip(),
            ear.received if silent else None,
            self._since(ear.last) if silent else None,
            *self._sound(ear, sent),
        )
        reach = ear.highest + 1 if silent else sent
        return _Account(direction, 1 - (ear.received - self._too_late(ear)) / reach)

    def _sound(self, told: Ear | Report, sent: int) -> _Sound:
        """Late packets, the longest run missing, the burst ratio, and what people would say.

        A late packet is as good as lost, and so is what was sent behind the last one that came.
        Where nobody says how losses were spread, they are taken for chance's.
        """
        tail = max(sent - 1 - told.highest, 0)
        burst = None if told.burst is None else max(told.burst, tail)
        played = told.received - (told.late or 0)
        if played <= 0:
            return _Sound(told.late, burst, None, 1.0)
        missing = max(sent - played, 0)
        share = missing / sent
        ratio = None
        if told.bursts is not None:
            # G.107 7.5: their mean length, over what it were if each were lost by chance.
            bursts = max(told.bursts + (tail > 0), 1)
            ratio = round(missing / bursts * (1 - share), 2) if missing else 1.0
        one_way = (self._round_trip() or 0.0) / 2 + 1 / self._rate
        mos = emodel.mos(share, ratio or 1.0, one_way)
        return _Sound(told.late, burst, ratio, round(mos, 2))

    def _too_late(self, told: Ear | Report) -> int:
        """Packets that count as lost though they came: over a stream, where none is ever lost."""
        return (told.late or 0) if self._stream else 0

    def _since(self, at: float) -> float:
        return _round(max(at - self._start, 0.0))

    def _round_trip(self) -> float | None:
        if self._told.rtts:
            return _round(median(self._told.rtts))
        if self._above.delays and self._below.delays:
            return _round(median(self._above.delays) + median(self._below.delays))
        return None


def _round(seconds: float) -> float:
    return round(seconds, 6)  # to the microsecond: what the clocks are good for


def _judge(up: _Account, down: _Account, broken: HandshakeFailed | None) -> Script[None]:
    """Enter the stages that media passed; raise at the one that it did not."""
    for name, account, missing in (
        (Stage.MEDIA_UP, up, Cause.NO_UPLINK),
        (Stage.MEDIA_DOWN, down, Cause.NO_DOWNLINK),
    ):
        if name is not Stage.MEDIA_UP:
            yield from enter(name)
        told = account.direction
        if told.received == 0:
            raise broken or HandshakeFailed(missing, f"{told.sent} packets sent, none arrived")
        if account.loss > MAX_LOSS and broken is None:
            how = "were lost or late" if told.late else "were lost"
            raise HandshakeFailed(Cause.LOSSY, f"{account.loss:.0%} of the packets {how}")
    yield from enter(Stage.SUSTAIN)
    if broken is not None:
        raise broken
    frozen = [
        f"{name} after {told.silent_after} packets, {told.silent_at:.1f} s"
        for name, told in (("up", up.direction), ("down", down.direction))
        if told.silent_after is not None
    ]
    if frozen:
        raise HandshakeFailed(Cause.FROZEN, "; ".join(frozen))
