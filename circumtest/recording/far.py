"""The far half of a recorded call: it says what the recording says, to who plays the caller's half.

It answers only a first frame that was made under the secret, for one address each, and then only
frames of that same play.  A repeated frame has its answers repeated, a few times.  It refuses to
answer anything out of turn.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from circumtest.media import Heard, Report
from circumtest.model import Address, Transport
from circumtest.recording.session import NOWHERE, Score, Seen, Session
from circumtest.recording.sound import Sound
from circumtest.script import Emit, Flow
from circumtest.talker import Talker

MAX_CALLS = 512
"""Calls remembered; the oldest is forgotten first."""
MAX_DRAWS = 4096
"""Draws whose holder is remembered, so that a first frame that was overheard is worth nothing."""
MAX_AGAIN = 8
"""How often the answers of one turn are repeated."""
PAUSE = 0.2
"""Seconds between two repetitions, at least."""


@dataclass(slots=True)
class _Call:
    """One caller's play: how far it is, what is to be said when, and the sound."""

    session: Session
    turn: int = 0
    heard: Counter[int] = field(default_factory=Counter)
    due: deque[tuple[float, int]] = field(default_factory=deque)
    seen: Seen = NOWHERE
    again: int = 0
    said: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)
    up: Sound | None = None
    down: Sound | None = None
    talker: Talker | None = None
    latest: int = -1


class FarHalf:
    """One instance answers every caller of one recording and variant."""

    def __init__(self, score: Score, idle: float) -> None:
        self._score, self._idle = score, idle
        self._recording = score.recording
        self._turns = self._recording.turns
        self._calls: dict[Flow, _Call] = {}
        self._holders: dict[bytes, Address] = {}
        self._begun: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.TCP:
            self._stream(flow, data, now)
        else:
            self._datagram(flow, data, now)
        return self._say(now)

    def timer(self) -> float | None:
        return min((at for call in self._calls.values() if (at := _next(call))), default=None)

    def tick(self, now: float) -> Iterable[Emit]:
        yield from self._say(now)
        for flow, call in tuple(self._calls.items()):
            if call.talker is not None and call.talker.due is not None:
                yield from self._speak(flow, call, call.talker, now)

    # -------------------------------------------------------------- datagrams

    def _datagram(self, flow: Flow, data: bytes, now: float) -> None:
        call = self._calls.get(flow)
        if call is None or not self._hear(flow, call, data, now):
            session = self._score.hear(data)
            if session is not None and (call := self._begin(flow, session)):
                self._hear(flow, call, data, now)

    def _hear(self, flow: Flow, call: _Call, data: bytes, now: float) -> bool:
        """Whether it was a frame of this call."""
        for number in self._candidates(call, len(data)):
            read = call.session.read(number, data)
            if read is not None:
                self._take(flow, call, number, read[0], now)
                return True
        if call.up is None:
            return False
        ear = call.talker.ear if call.talker else None
        heard = call.up.unpack(data, ear.highest if ear else -1, {})
        if heard is None:
            return False
        self._hear_sound(call, heard, now)
        return True

    def _candidates(self, call: _Call, size: int) -> Iterable[int]:
        """Frames of the caller's set-up of that size: of this turn, of those before, of later."""
        turns = self._turns
        near = (call.turn, *range(call.turn - 1, -1, -1))
        for turn in near:
            for number in turns[turn].client if turn < len(turns) else ():
                if len(self._recording.frames[number].data) == size:
                    yield number

    # -------------------------------------------------------------- streams

    def _stream(self, flow: Flow, data: bytes, now: float) -> None:
        call = self._calls.get(flow)
        if not data:
            self._calls.pop(flow, None)
            self._begun.pop(flow, None)
            return
        if call is None:
            begun = self._begun.pop(flow, b"") + data
            if len(begun) < self._score.opening:
                if len(self._begun) >= MAX_CALLS:
                    del self._begun[next(iter(self._begun))]
                self._begun[flow] = begun
                return
            session = self._score.hear(begun[: self._score.opening])
            call = self._begin(flow, session) if session else None
            data = begun
        if call is not None:
            call.buffer += data
            if not self._read(flow, call, now):
                self._calls.pop(flow, None)

    def _read(self, flow: Flow, call: _Call, now: float) -> bool:
        """Read what is whole; whether the stream is still the recorded one."""
        while True:
            number = self._expected(call)
            size = len(self._recording.frames[number].data) if number is not None else 0
            if number is None:
                if call.up is None:
                    call.buffer.clear()
                    return True
                seq = call.talker.ear.received if call.talker else 0
                size = call.up.size(seq)
            if len(call.buffer) < size:
                return True
            data = bytes(call.buffer[:size])
            del call.buffer[:size]
            if number is not None:
                read = call.session.read(number, data)
                if read is None:
                    return False
                self._take(flow, call, number, read[0], now)
            elif not self._hear_stream(call, seq, data, now):
                return False

    def _expected(self, call: _Call) -> int | None:
        """The caller's next frame of the set-up, None when it is over."""
        for number in self._turns[call.turn].client if call.turn < len(self._turns) else ():
            if not call.heard[number]:
                return number
        return None

    def _hear_stream(self, call: _Call, seq: int, data: bytes, now: float) -> bool:
        assert call.up is not None
        heard = call.up.at(seq, data, {})
        if heard is None:
            return False
        self._hear_sound(call, heard, now)
        return True

    # -------------------------------------------------------------- the set-up

    def _begin(self, flow: Flow, session: Session) -> _Call | None:
        """A call, unless somebody else began with this draw.

        Where the first frame has no room for a draw all calls begin alike.
        """
        if self._score.fresh and not self._hold(session.drawn, flow.remote):
            return None
        self._calls.pop(flow, None)
        if len(self._calls) >= MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        call = self._calls[flow] = _Call(session)
        if self._recording.sound(client=True) and self._recording.sound(client=False):
            call.up, call.down = Sound(session, client=True), Sound(session, client=False)
        return call

    def _hold(self, drawn: bytes, who: Address) -> bool:
        holder = self._holders.pop(drawn, who)
        if len(self._holders) >= MAX_DRAWS:
            del self._holders[next(iter(self._holders))]
        self._holders[drawn] = holder
        return holder == who

    def _take(self, flow: Flow, call: _Call, number: int, seen: Seen, now: float) -> None:
        # The place it was sent to is the caller's to name: behind a NAT nobody knows his own.
        call.seen = Seen(flow.remote, seen.relayed or call.seen.relayed or flow.local)
        if call.talker:
            call.talker.touch(now)
        turn = self._turns[call.turn] if call.turn < len(self._turns) else None
        if turn is None or number not in turn.client:
            self._repeat(call, number, now)
            return
        twins = [n for n in turn.client if self._alike(n, number)]
        number = next((n for n in twins if not call.heard[n]), number)
        call.heard[number] += 1
        if all(call.heard[n] for n in turn.client):
            self._answer(call, turn.client[-1], turn.server, now)
            call.turn, call.again = call.turn + 1, 0
            if call.turn == len(self._turns):
                self._begin_sound(call, now)

    def _alike(self, one: int, other: int) -> bool:
        a, b = self._recording.frames[one], self._recording.frames[other]
        return one == other or (a.data == b.data and a.places == b.places)

    def _answer(self, call: _Call, asked: int, numbers: Iterable[int], now: float) -> None:
        """Say it when the recording did, but never after a pause longer than `idle`."""
        frames = self._recording.frames
        at = now
        for before, number in pairwise((asked, *numbers)):
            at += min(max(frames[number].at - frames[before].at, 0.0), self._idle)
            call.due.append((at, number))
        call.said = at

    def _repeat(self, call: _Call, number: int, now: float) -> None:
        """He did not hear the answers of the turn before: once more, at once."""
        if call.turn == 0 or call.due or now < call.said + PAUSE or call.again >= MAX_AGAIN:
            return
        turn = self._turns[call.turn - 1]
        if turn.client and self._alike(number, turn.client[-1]):
            call.again += 1
            call.said = now
            call.due.extend((now, answer) for answer in turn.server)

    def _say(self, now: float) -> Iterable[Emit]:
        for flow, call in tuple(self._calls.items()):
            while call.due and call.due[0][0] <= now:
                _, number = call.due.popleft()
                yield Emit(flow, call.session.render(number, call.seen))

    # -------------------------------------------------------------- sound

    def _begin_sound(self, call: _Call, now: float) -> None:
        if call.down is not None and call.talker is None:
            call.talker = Talker(max(now, call.due[-1][0] if call.due else now))

    def _hear_sound(self, call: _Call, heard: Heard, now: float) -> None:
        self._begin_sound(call, now)
        assert call.talker is not None
        received = call.talker.ear.received
        call.talker.hear(heard, now)
        if call.talker.ear.received > received:  # no double
            call.latest = heard.seq

    def _speak(self, flow: Flow, call: _Call, talker: Talker, now: float) -> Iterable[Emit]:
        before = talker.due
        assert call.down is not None
        frame = talker.speak(now)
        if frame is None or before is None:
            return
        # A recorded call's packets need not be 20 ms apart.
        talker.due = max(before + 1 / call.down.rate, now)
        told = (frame.jitter, frame.gap, frame.echo, frame.held, frame.late)
        report = Report(frame.received, frame.highest, *told)
        yield Emit(flow, call.down.pack(frame.seq, now, report, call.latest))


def _next(call: _Call) -> float | None:
    due = [at for at, _ in call.due]
    if call.talker is not None and call.talker.due is not None:
        due.append(call.talker.due)
    return min(due, default=None)
