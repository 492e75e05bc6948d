"""The caller's half of a recorded call, as a script: its frames in their time, turn by turn.

A turn is what the caller sends and what the recording answers it with.  Over UDP a turn that is not
answered is played again; over TCP nothing but the recorded bytes may come.  It refuses to know
where a recording comes from.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Pace, Stream, doubling
from circumtest.media import Heard
from circumtest.model import Address, Cause, Stage, Transport
from circumtest.recording import Turn
from circumtest.recording.session import Seen, Session
from circumtest.recording.sound import Sound
from circumtest.script import Arrival, Channel, Script, Send, enter, note, now, recv, send
from circumtest.wire import stun

AGAIN = doubling(0.5, 7)[1:]
"""Seconds without an answer after which a turn is played again."""
MAX_EARLY = 512
"""Arrivals kept that may be sound which overtook the set-up."""


@dataclass(slots=True)
class Caller:
    """One play of the set-up over `channel`; then `leg` carries the sound."""

    session: Session
    channel: Channel
    pace: Pace
    idle: float
    early: list[Arrival] = field(default_factory=list)
    _stream: Stream | None = None
    _told: bool = False
    _exit: Address | None = None
    _done: int = 0

    @property
    def _turns(self) -> tuple[Turn, ...]:
        return self.session.score.recording.turns

    def set_up(self) -> Script[None]:
        """Play every turn.  Raises HandshakeFailed, at CONNECTIVITY until something was answered.

        TIMEOUT, or what ICMP said; MALFORMED for an answer that is not the recorded one, where it
        is certain that it is an answer.
        """
        if self.channel.transport is Transport.TCP:
            self._stream = Stream(self.channel)
        last = None
        for turn in self._turns:
            begin = yield from now()
            times = self._times(turn, begin, last)
            if self._stream is None:
                yield from self._datagrams(turn, times)
            else:
                yield from self._bytes(turn, times, self._stream)
            last = (turn.server or turn.client)[-1]
            self._done += 1

    def _times(self, turn: Turn, begin: float, last: int | None) -> list[float]:
        """When each of the turn's frames is sent; pauses are no longer than `idle`."""
        frames = self.session.score.recording.frames
        numbers = (turn.client[0] if last is None else last, *turn.client)
        times, at = [], begin
        for before, number in pairwise(numbers):
            at += min(max(frames[number].at - frames[before].at, 0.0), self.idle)
            times.append(at)
        return times

    def _thinking(self, turn: Turn) -> float:
        """Seconds that the far half takes for its answers."""
        frames = self.session.score.recording.frames
        numbers = (*turn.client[-1:], *turn.server)
        return sum(
            min(max(frames[b].at - frames[a].at, 0.0), self.idle) for a, b in pairwise(numbers)
        )

    # -------------------------------------------------------------- datagrams

    def _datagrams(self, turn: Turn, times: Sequence[float]) -> Script[None]:
        sends = deque(zip(times, turn.client, strict=True))
        expected = times[-1] + self._thinking(turn) if times else (yield from now())
        again = deque(expected + offset for offset in AGAIN if offset < self.pace.patience)
        until = expected + self.pace.patience
        missing = Counter(turn.server)
        cause, detail = Cause.TIMEOUT, ""
        while sends or missing:
            at = yield from now()
            if at >= until:
                raise HandshakeFailed(cause, detail or self._lack(missing))
            if again and again[0] <= at:
                again.popleft()
                sends.extend((at, number) for number in turn.client)
            while sends and sends[0][0] <= at:
                yield from self._send(sends.popleft()[1])
            if not sends and not missing:
                return
            arrival = yield from recv(min([until, *again, *(at for at, _ in sends)]))
            if arrival is None:
                continue
            if isinstance(arrival.data, Cause):
                cause, detail = arrival.data, str(arrival.source)
            elif arrival.source == self.channel.remote:
                yield from self._take(arrival, arrival.data, missing)

    def _take(self, arrival: Arrival, data: bytes, missing: Counter[int]) -> Script[None]:
        frames = self.session.score.recording.frames
        for number in missing:
            read = (
                self.session.read(number, data) if len(frames[number].data) == len(data) else None
            )
            if read is not None:
                missing[number] -= 1
                if not missing[number]:
                    del missing[number]
                yield from self._answered(read[0])
                return
        if self._asked(data):
            raise HandshakeFailed(Cause.MALFORMED, "an answer, and not the recorded one")
        if len(self.early) < MAX_EARLY:
            self.early.append(arrival)

    def _asked(self, data: bytes) -> bool:
        """Whether it is a STUN answer to what this turn asked, and to nothing before."""
        plain = self.session.score.turned(data)
        if len(plain) < stun.HEADER or not plain[0] & 1 or plain[0] & 0xC0:
            return False
        earlier = [n for turn in self._turns[: self._done] for n in turn.server]
        if any(self.session.read(number, data) for number in earlier):
            return False  # once more
        tid = plain[8:20]
        turn = self._turns[self._done]
        for number in turn.client:
            frame = self.session.frame(number)
            if frame.data[4:8] == stun.COOKIE.to_bytes(4):
                rendered = self.session.score.turned(self._render(number))
                if rendered[8:20] == tid and plain[4:8] == rendered[4:8]:
                    return not any(self.session.read(number, data) for number in turn.server)
        return False

    # -------------------------------------------------------------- streams

    def _bytes(self, turn: Turn, times: Sequence[float], stream: Stream) -> Script[None]:
        for at, number in zip(times, turn.client, strict=True):
            while (yield from now()) < at:
                arrival = yield from recv(at)
                if arrival is not None:
                    stream.aside.append(arrival)
            yield from self._send(number)
        until = (yield from now()) + self._thinking(turn) + self.pace.patience
        for number in turn.server:
            size = len(self.session.frame(number).data)
            data = yield from stream.read_exactly(size, until)
            read = self.session.read(number, data)
            if read is None:
                raise HandshakeFailed(Cause.MALFORMED, "not the recorded bytes came back")
            yield from self._answered(read[0])

    def leg(self) -> "Leg":
        """The sound, behind the set-up."""
        return Leg(self.session, self.channel, self._stream)

    # -------------------------------------------------------------- both

    def _answered(self, seen: Seen) -> Script[None]:
        """Something authentic came: the first time, that is connectivity."""
        if self._exit is None and seen.mapped is not None:
            self._exit = seen.mapped
            # Where it has no room for an address of this IP version, one for documentation is told.
            if seen.mapped.version == self.channel.remote.version:
                yield from note(seen.mapped)
        if not self._told and sum(len(t.client) + len(t.server) for t in self._turns) > 2:
            yield from enter(Stage.SIGNALLING)
        self._told = True

    def _render(self, number: int) -> bytes:
        return self.session.render(number, Seen(relayed=self.channel.remote))

    def _send(self, number: int) -> Script[None]:
        yield from send(self.channel, self._render(number))

    def _lack(self, missing: Counter[int]) -> str:
        frames = self.session.score.recording.frames
        number = min(missing)
        size = len(frames[number].data)
        return f"frame {number + 1} of {len(frames)}, {size} bytes, did not come"


class Leg:
    """The caller's end of the sound."""

    def __init__(self, session: Session, channel: Channel, stream: Stream | None) -> None:
        self._channel, self._stream = channel, stream
        self.up, self._down = Sound(session, client=True), Sound(session, client=False)
        self._sent: dict[int, float] = {}
        self._highest = -1
        self._buffer = bytearray()

    def encode(self, seq: int, at: float) -> Send:
        self._sent[seq] = at
        return Send(self._channel, self.up.pack(seq, at), self._channel.remote)

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        if isinstance(arrival.data, Cause) or arrival.channel != self._channel:
            return
        if self._stream is not None:
            yield from self._read(self._stream.decode(arrival))
        elif arrival.source == self._channel.remote:
            heard = self._down.unpack(arrival.data, self._highest, self._sent)
            if heard is not None:
                self._highest = max(self._highest, heard.seq)
                yield heard

    def _read(self, data: bytes) -> Iterable[Heard]:
        """Packets of a stream come in order and whole, or the stream is not the recorded one."""
        self._buffer += data
        while len(self._buffer) >= (size := self._down.size(self._highest + 1)):
            heard = self._down.at(self._highest + 1, bytes(self._buffer[:size]), self._sent)
            if heard is None:
                raise HandshakeFailed(Cause.MALFORMED, "not the recorded bytes came back")
            del self._buffer[:size]
            self._highest += 1
            yield heard
