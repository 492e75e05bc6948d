"""A Telegram call reflector: it answers hellos and forwards between two peers of one call.

Both halves of the wire, UDP and TCP, share the routing.  It refuses to forward for anyone who has
not said hello from where the packet came, and to anyone who has not either; it keeps a bounded
number of members, overall and a source, and forgets those that are silent.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from circumtest.model import Transport
from circumtest.script import Emit, Flow
from circumtest.wire import reflector as wire
from circumtest.wire.mtproto_transport import Framer, Framing

MAX_MEMBERS = 4096
MAX_A_SOURCE = 256
"""Members from one host: some forty calls a minute through one exit."""
EXPIRY = 60.0
"""Seconds of silence after which a member is forgotten."""


class _Key(NamedTuple):
    """Who a member is: the reflector's host it spoke to, the call, the role, its own 4 bytes."""

    host: str
    session: bytes
    role: int
    own: bytes


class _Member(NamedTuple):
    flow: Flow
    first: bytes
    seen: float


def _key(flow: Flow, prefix: bytes, own: bytes, *, flip: bool = False) -> _Key:
    """Byte 0 holds the role in its lowest bit; the rest of the prefix is the call."""
    session = bytes([prefix[0] & 0xFE]) + prefix[1:]
    return _Key(flow.local.host, session, prefix[0] & 1 ^ flip, own)


class _Members:
    """Who has said hello, the most silent first."""

    def __init__(self) -> None:
        self._all: OrderedDict[_Key, _Member] = OrderedDict()
        self._sources: Counter[str] = Counter()

    def join(self, flow: Flow, tag: bytes, now: float) -> bool:
        """Whether `tag` is a member at `flow` now; nobody takes the place of one that lives."""
        self._expire(now)
        key = _key(flow, tag[:12], tag[12:])
        member = self._all.get(key)
        if member is None and not self._room(flow):
            return False
        if member is not None and member.flow != flow:
            return False
        if member is None:
            self._sources[flow.remote.host] += 1
        self._all[key] = _Member(flow, tag[:1], now)
        self._all.move_to_end(key)
        return True

    def route(self, flow: Flow, data: wire.Data, now: float) -> tuple[Flow, wire.Data] | None:
        """Where a data packet goes, and as what.  Byte 0 becomes the receiver's."""
        self._expire(now)
        key = _key(flow, data.prefix, data.sender)
        sender = self._all.get(key)
        if sender is None or sender.flow != flow:
            return None
        self._all[key] = sender._replace(seen=now)
        self._all.move_to_end(key)
        target = self._all.get(_key(flow, data.prefix, data.target, flip=True))
        if target is None:
            return None
        prefix = target.first + data.prefix[1:]
        return target.flow, wire.Data(prefix, data.target, data.sender, data.payload)

    def leave(self, flow: Flow, tag: bytes) -> None:
        """Forget the member, if it is one at `flow`."""
        key = _key(flow, tag[:12], tag[12:])
        if (member := self._all.get(key)) and member.flow == flow:
            self._drop(key)

    def _room(self, flow: Flow) -> bool:
        return len(self._all) < MAX_MEMBERS and self._sources[flow.remote.host] < MAX_A_SOURCE

    def _expire(self, now: float) -> None:
        while self._all:
            key, member = next(iter(self._all.items()))
            if member.seen + EXPIRY > now:
                return
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        host = self._all.pop(key).flow.remote.host
        self._sources[host] -= 1
        if not self._sources[host]:
            del self._sources[host]


class UdpReflector:
    """The far half over UDP: self info for a hello, forwarding for data.

    One instance may serve many addresses; each of its hosts is a reflector of its own.
    """

    def __init__(self) -> None:
        self._members = _Members()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is not Transport.UDP:
            return ()
        try:
            packet = wire.parse(data)
        except ValueError:
            return ()
        match packet:
            case wire.Hello(tag, query) if self._members.join(flow, tag, now):
                return (Emit(flow, wire.SelfInfo(tag, int(now), *flow.remote, query).pack()),)
            case wire.Data() if routed := self._members.route(flow, packet, now):
                return (Emit(routed[0], routed[1].pack()),)
        return ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()


class _Stream:
    """One TCP connection: the preamble, then frames, the first of which is the hello."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._framer: Framer | None = None
        self.tag: bytes | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now.  Raises ValueError on what is no reflector's client."""
        if self._framer is None:
            self._head += data
            head = bytes(self._head)
            if not head.startswith(wire.PREAMBLE[: len(head)]):
                raise ValueError("another preamble")
            if len(head) < len(wire.PREAMBLE):
                return []
            self._framer, data = Framer(Framing.INTERMEDIATE), head[len(wire.PREAMBLE) :]
        return self._framer.feed(data)


class TcpReflector:
    """The far half over TCP: nothing answers a hello, data is forwarded.

    A stream that is not a reflector's client is neither answered nor closed, so that another
    answerer may have it.
    """

    def __init__(self) -> None:
        self._members = _Members()
        self._streams: OrderedDict[Flow, _Stream | None] = OrderedDict()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is not Transport.TCP:
            return ()
        if not data:
            self._forget(flow)
            return ()
        if flow not in self._streams:
            if len(self._streams) >= MAX_MEMBERS:
                self._forget(next(iter(self._streams)))
            self._streams[flow] = _Stream()
        stream = self._streams[flow]
        emits: list[Emit] = []
        if stream is None:
            return emits
        try:
            for packet in stream.feed(data):
                emits += self._packet(flow, stream, packet, now)
        except ValueError:
            self._forget(flow)
            self._streams[flow] = None
        return emits

    def _packet(self, flow: Flow, stream: _Stream, packet: bytes, now: float) -> Iterable[Emit]:
        if stream.tag is None:
            tag = wire.parse_tcp_hello(packet).tag
            if not self._members.join(flow, tag, now):
                raise ValueError("no room, or somebody else's tag")
            stream.tag = tag
            return ()
        routed = self._members.route(flow, wire.parse_data(packet), now)
        return (Emit(routed[0], wire.frame(routed[1].pack())),) if routed else ()

    def _forget(self, flow: Flow) -> None:
        stream = self._streams.pop(flow, None)
        if stream is not None and stream.tag is not None:
            self._members.leave(flow, stream.tag)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()
