"""The mirror's front: everything that comes in and goes out passes here, and is held to the guard.

Hellos are looked at first, whoever sends them; the rest is looked at while there is room for
strangers.  A packet that was answered belongs to the host that sent it first: who repeats what he
saw somebody else send is not answered for ten minutes.  Streams are counted, and closed alike:
whoever has not been answered is a stranger, hears nothing, and is shut out after the same time at
every port.  It refuses to know handshakes.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from circumtest.mirror.guard import Guard, Ruling, source_of
from circumtest.mirror.hello import KNOCK, PROOF
from circumtest.model import Transport
from circumtest.script import Answerer, Emit, Flow

MAX_STREAMS = 512
MAX_A_SOURCE = 64
"""Streams that may be open, in all and from one source."""
STRANGER = 20.0
"""Seconds after which a stream that was not answered is closed."""
IDLE = 90.0
"""Seconds without anything either way after which any stream is closed."""
DEAF = 1 << 15
"""Bytes beyond which a stream that was not answered is not listened to."""
MAX_FIRSTS = 16384
REPLAY = 600.0
"""Packets whose first sender is remembered, and for how many seconds."""
MAX_FLOWS = 8192
"""Flows of datagrams that have been answered; the oldest is forgotten first."""
_SWEEP = 1.0


@dataclass(slots=True)
class _Stream:
    opened: float
    heard: float
    size: int = 0
    first: bytes = b""
    answered: bool = False
    greeted: bool = False
    deaf: bool = False


class Front:
    """`greeter` answers hellos, `rooms` everything else."""

    def __init__(self, guard: Guard, greeter: Answerer, rooms: Answerer) -> None:
        self.guard = guard
        self._greeter, self._rooms = greeter, rooms
        self._streams: dict[Flow, _Stream] = {}
        self._sources: Counter[bytes] = Counter()
        self._answered: OrderedDict[Flow, None] = OrderedDict()
        self._firsts: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._swept = 0.0

    def renew(self, greeter: Answerer, rooms: Answerer) -> None:
        """Let others stand behind it from now on: what was going on is not known to them."""
        self._greeter, self._rooms = greeter, rooms

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streams)

    def opened(self, flow: Flow, now: float) -> bool:
        """Whether a stream that was accepted may stay."""
        source = source_of(flow.remote)
        if len(self._streams) >= MAX_STREAMS or self._sources[source] >= MAX_A_SOURCE:
            self.guard.counts["streams too many"] += 1
            return False
        self._sources[source] += 1
        self._streams[flow] = _Stream(now, now)
        self.guard.counts["streams"] += 1
        return True

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            return self._datagram(flow, data, now)
        return self._chunk(flow, data, now)

    def timer(self) -> float | None:
        sweep = self._swept + _SWEEP if self._streams else None
        due = [at for at in (sweep, self._rooms.timer()) if at is not None]
        return min(due, default=None)

    def tick(self, now: float) -> Iterable[Emit]:
        due = self._rooms.timer()
        if due is not None and due <= now:
            yield from self._out(self._rooms.tick(now), now)
        if self._streams and now - self._swept >= _SWEEP:
            self._swept = now
            yield from self._sweep(now)

    # -------------------------------------------------------------- datagrams

    def _datagram(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        ruling = self.guard.hear(flow.remote, len(data), now)
        if ruling is Ruling.DROP:
            return ()
        hello = len(data) in (KNOCK, PROOF)
        if ruling is Ruling.GREET and not hello:
            return ()
        going = flow in self._answered
        first = b"" if going else _digest(data)
        if first and self._is_replay(first, flow, now):
            return ()
        emits = list(self._greeter.receive(flow, data, now)) if hello else []
        if not emits and ruling is Ruling.TAKE:
            emits = list(self._rooms.receive(flow, data, now))
        if not emits:
            return ()
        if first:
            self._remember(first, flow, now)
        self._answered[flow] = None
        self._answered.move_to_end(flow)
        if len(self._answered) > MAX_FLOWS:
            self._answered.popitem(last=False)
        if self.guard.knows(flow.remote, now):
            self.guard.prove(flow.remote, now)  # he is still there
        return self._out(emits, now)

    # -------------------------------------------------------------- streams

    def _chunk(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        stream = self._streams.get(flow)
        if stream is None:
            return ()
        if not data:
            self._forget(flow)
            return self._out([*self._over(flow, now)], now)
        stream.heard = now
        if stream.deaf:
            return ()
        if not stream.answered:
            stream.size += len(data)
            stream.first = stream.first or _digest(data)
            if stream.size > DEAF or self._is_replay(stream.first, flow, now):
                stream.deaf = True
                return ()
        emits = self._said(stream, flow, data, now)
        if emits and not stream.answered:
            stream.answered = True
            self._remember(stream.first, flow, now)
        if emits:
            self.guard.prove(flow.remote, now)
        return self._out(emits, now)

    def _said(self, stream: _Stream, flow: Flow, data: bytes, now: float) -> list[Emit]:
        """What greeter and rooms make of a chunk."""
        emits = list(self._greeter.receive(flow, data, now))
        if emits:
            stream.greeted = True
        elif not stream.greeted:  # half of a hello may look like anything to others
            emits = list(self._rooms.receive(flow, data, now))
        if not stream.answered and not any(emit.data for emit in emits):
            # A stranger whom one of them would hang up on is shut out when all others are.
            stream.deaf = stream.deaf or bool(emits)
            return []
        return emits

    def _over(self, flow: Flow, now: float) -> Iterable[Emit]:
        yield from self._greeter.receive(flow, b"", now)
        yield from self._rooms.receive(flow, b"", now)

    def _sweep(self, now: float) -> Iterable[Emit]:
        for flow, stream in tuple(self._streams.items()):
            late = now - stream.heard > IDLE if stream.answered else now - stream.opened > STRANGER
            if late:
                self._forget(flow)
                yield from self._out(self._over(flow, now), now)
                yield Emit(flow, b"", close=True)

    def _forget(self, flow: Flow) -> None:
        if self._streams.pop(flow, None) is None:
            return
        source = source_of(flow.remote)
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]

    # -------------------------------------------------------------- what was said before

    def _is_replay(self, first: bytes, flow: Flow, now: float) -> bool:
        held = self._firsts.get(first)
        if held is None or held[1] <= now or held[0] == source_of(flow.remote):
            return False
        self.guard.counts["replays"] += 1
        return True

    def _remember(self, first: bytes, flow: Flow, now: float) -> None:
        if first in self._firsts and self._firsts[first][1] > now:
            return
        self._firsts.pop(first, None)
        if len(self._firsts) >= MAX_FIRSTS:
            self._firsts.popitem(last=False)
        self._firsts[first] = (source_of(flow.remote), now + REPLAY)

    # -------------------------------------------------------------- what goes out

    def _out(self, emits: Iterable[Emit], now: float) -> Iterable[Emit]:
        sent = []
        for emit in emits:
            flow = emit.flow
            if flow.transport is Transport.UDP:
                if self.guard.may_send(flow.remote, len(emit.data), now):
                    self.guard.counts["packets sent"] += 1
                    sent.append(emit)
            elif flow in self._streams:
                self._streams[flow].heard = now
                if emit.close:
                    self._forget(flow)
                sent.append(emit)
        return sent


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=12).digest()
