"""Rungs that several call setups climb: retransmit until answered, read a stream, how long to try.

It refuses to know any protocol: what counts as an answer is the caller's to say, and what the
caller does not recognise (garbage, forgeries, strays) is as if it had never come.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TypeVar

from circumtest.errors import HandshakeFailed
from circumtest.model import Cause, Level, Transport
from circumtest.script import Arrival, Channel, Script, Send, now, recv, send

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that one stage tries before it gives up, and seconds that media lasts."""

    patience: float
    media: float


PACES: dict[Level, Pace] = {
    Level.QUICK: Pace(patience=3.0, media=1.6),
    Level.STANDARD: Pace(patience=10.0, media=25.0),
    Level.DEEP: Pace(patience=10.0, media=60.0),
    Level.SOAK: Pace(patience=10.0, media=1200.0),
}
"""The known triggers are 25 packets (any level sees them), 22 s (standard and deep do), and a
listing of the relay's address some ten minutes later, which only a call that is held shows."""


# ------------------------------------------------------------------ when to send again


def steady(interval: float, patience: float) -> tuple[float, ...]:
    """Offsets 0, interval, 2 * interval, ... below `patience`, in seconds."""
    return tuple(n * interval for n in range(ceil(patience / interval)))


def doubling(first: float, count: int) -> tuple[float, ...]:
    """Offsets of `count` sends whose waits double from `first`: 0, 0.5, 1.5, 3.5, ... for 0.5 s."""
    return tuple(first * (2**n - 1) for n in range(count))


# ------------------------------------------------------------------ ask until answered


def exchange(
    request: Callable[[], Iterable[Send]],
    accept: Callable[[Arrival], T | None],
    offsets: Sequence[float],
    patience: float,
) -> Script[T]:
    """Send `request()` at each of `offsets` seconds until `accept` returns something, not None.

    `request` is called anew for every sending, so that it can count.  `accept` is given arrivals
    whose `data` is bytes and returns None for what it does not recognise; it raises
    HandshakeFailed(ERROR_REPLY) itself for a refusal that it could authenticate.  Raises
    HandshakeFailed when `patience` seconds are over: with what an ICMP error said if there was one,
    else TIMEOUT; at once when a stream ends or breaks.
    """
    start = yield from now()
    pending = deque(sorted(at for at in offsets if at < patience))
    cause, detail = Cause.TIMEOUT, f"no answer in {patience:g} s"
    while (at := (yield from now())) < start + patience:
        if pending and start + pending[0] <= at:
            pending.popleft()
            for item in request():
                yield from send(item.channel, item.data, item.remote)
        arrival = yield from recv(start + (pending[0] if pending else patience))
        if arrival is None:
            continue
        if isinstance(arrival.data, Cause):
            cause, detail = arrival.data, str(arrival.source)
            if arrival.channel.transport is Transport.TCP:
                break
        elif (accepted := accept(arrival)) is not None:
            return accepted
    raise HandshakeFailed(cause, detail)


# ------------------------------------------------------------------ streams


@dataclass(slots=True)
class Stream:
    """Exact reads from a TCP channel.

    `aside` keeps the arrivals of other channels that came meanwhile; streams of one script that
    share it (pass the same deque) lose nothing to each other.
    """

    channel: Channel
    aside: deque[Arrival] = field(default_factory=deque)
    _buffer: bytearray = field(default_factory=bytearray)
    _ended: Cause | None = None

    def read_exactly(self, count: int, until: float) -> Script[bytes]:
        """The next `count` bytes.

        Raises HandshakeFailed(TIMEOUT) at `until` (script time), or with the Cause for which the
        stream ended before there were that many (EOF, RESET).
        """
        self._collect()
        while len(self._buffer) < count:
            if self._ended is not None:
                raise HandshakeFailed(self._ended, self._state(count))
            if (yield from now()) >= until:
                raise HandshakeFailed(Cause.TIMEOUT, self._state(count))
            arrival = yield from recv(until)
            if arrival is not None:
                self._take(arrival)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def read_some(self, until: float) -> Script[bytes]:
        """Whatever has come, at least one byte.  Raises like `read_exactly`."""
        first = yield from self.read_exactly(1, until)
        rest = bytes(self._buffer)
        self._buffer.clear()
        return first + rest

    def send(self, data: bytes) -> Script[None]:
        """Send more of the stream."""
        yield from send(self.channel, data)

    def encode(self, data: bytes) -> Send:
        """How more of the stream is sent, for who sends it himself."""
        return Send(self.channel, data, self.channel.remote)

    def decode(self, arrival: Arrival) -> bytes:
        """What has come with `arrival`, behind what was not read yet; b"" for what is not ours."""
        if arrival.channel != self.channel:
            return b""
        self._take(arrival)
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _state(self, count: int) -> str:
        return f"{len(self._buffer)} of {count} bytes came"

    def _collect(self) -> None:
        for _ in range(len(self.aside)):
            self._take(self.aside.popleft())

    def _take(self, arrival: Arrival) -> None:
        if arrival.channel != self.channel:
            self.aside.append(arrival)
        elif isinstance(arrival.data, Cause):
            self._ended = arrival.data
        else:
            self._buffer += arrival.data
