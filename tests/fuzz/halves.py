"""What fuzzing does to the two halves of a handshake, and how a valid input for it is made.

One input is a sequence of packets, each behind its length in two bytes; what is left over is the
last one.  It refuses to know a protocol: samples are what a simulated call exchanges.
"""

import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any

from circumtest.censor.packet import Packet, Verdict
from circumtest.dtls import Endpoint, Shape
from circumtest.errors import HandshakeFailed
from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.model import Address, Carrier, Level, Transport
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.script import Answerer, Emit, Flow, Handshake, Relayed
from circumtest.simulate import far_end, simulate

NOW = 1_764_000_000.0
CALLER = Address("192.0.2.2", 40000)
OTHER = Address("192.0.2.3", 40000)
MAX_PACKETS = 64
MAX_EMITS = 4
"""Packets that an answerer may send at once for one that comes in, and at one tick."""
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in kinds(HANDSHAKES)},
    "whatsapp-message": ("whatsapp-message", {"root": TEST_ROOT}),
    "whatsapp-message web": ("whatsapp-message", {"root": TEST_ROOT, "form": "web"}),
    "echo over TCP": ("echo", {"transport": Transport.TCP}),
    "sip over TCP": ("sip", {"transport": Carrier.TCP}),
    "turn over TCP": ("turn", {"transport": Carrier.TCP}),
    "turn over TLS": ("turn", {"transport": Carrier.TLS}),
    "webrtc as chromium": ("webrtc", {"clienthello": Shape.CHROMIUM}),
}
"""Every handshake, and those of which another way brings other code into play."""


def join(packets: Iterable[bytes]) -> bytes:
    """One input of several packets."""
    return b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)


def split(data: bytes) -> Iterator[bytes]:
    """The packets in an input, at most MAX_PACKETS."""
    for _ in range(MAX_PACKETS):
        if len(data) < 2:
            return
        size = int.from_bytes(data[:2])
        yield data[2 : 2 + size]
        data = data[2 + size :]


@cache
def handshake(name: str) -> Handshake:
    """One of CALLS."""
    kind, options = CALLS[name]
    cls: Callable[..., Handshake] = load(HANDSHAKES, kind, "fuzz", "")
    return cls(**options, level=Level.QUICK)


def has_callee(name: str) -> bool:
    """Whether somebody stands behind its service."""
    return isinstance(handshake(name), Relayed)


# ------------------------------------------------------------------ the far half


def receive(kind: str) -> Callable[[bytes], None]:
    """Feed an input's packets to the answerer, from two callers in turn, ticking as it wants."""

    def run(data: bytes) -> None:
        it = handshake(kind)
        feed(it.answerer(), it.listen.transport, it.listen.port, data)

    return run


def callee(kind: str) -> Callable[[bytes], None]:
    """The same for the callee behind a service."""

    def run(data: bytes) -> None:
        it = handshake(kind)
        assert isinstance(it, Relayed)
        place = it.callee_listen
        feed(it.callee(), place.transport, place.port, data)

    return run


def feed(answerer: Answerer, transport: Transport, port: int, data: bytes) -> None:
    """Hand over packets; what comes out must be bytes, and not without end."""
    now = NOW
    here = Address("203.0.113.10", port)
    for number, packet in enumerate(split(data)):
        flow = Flow(transport, here, OTHER if number % 8 == 7 else CALLER)
        _bounded(answerer.receive(flow, packet, now))
        now += 0.05
        due = answerer.timer()
        if due is not None and due <= now:
            _bounded(answerer.tick(now), beside=MAX_PACKETS)


def _bounded(emits: Iterable[Emit], beside: int = 16) -> None:
    sent = [emit.data for emit in emits]
    assert len(sent) <= MAX_EMITS + beside, f"{len(sent)} packets at once"
    assert all(isinstance(one, bytes) for one in sent)


# ------------------------------------------------------------------ the caller's half


class Spoiler:
    """A far end whose packets are changed, doubled, cut or replaced as the input's bytes say."""

    def __init__(self, inner: Answerer, orders: Iterator[int]) -> None:
        self._inner, self._orders = inner, orders

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return self._spoilt(self._inner.receive(flow, data, now))

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._spoilt(self._inner.tick(now))

    def _spoilt(self, emits: Iterable[Emit]) -> Iterator[Emit]:
        for emit in tuple(emits):
            for data in self._orders_for(emit.data):
                # An empty chunk means that a stream ended; an empty datagram is one.
                if data or emit.flow.transport is Transport.UDP or emit.close:
                    yield Emit(emit.flow, data, emit.close)

    def _orders_for(self, data: bytes) -> list[bytes]:
        order, at, value = (next(self._orders, 0) for _ in range(3))
        spot = at * max(len(data), 1) // 256
        match order % 8:
            case 1:
                return [data[:spot] + bytes([value]) + data[spot + 1 :]]
            case 2:
                return [data[:spot]]
            case 3:
                return [data, data]
            case 4:
                return [bytes(next(self._orders, 0) for _ in range(value)), data]
            case 5:
                return [data[:spot] + bytes(next(self._orders, 0) for _ in range(value % 16))]
            case 6:
                return [data + bytes([value])]
            case 7:
                return [data[:spot], data[spot:]]
        return [data]


def play(kind: str) -> Callable[[bytes], None]:
    """Play the caller against a far end that is spoilt: he fails or succeeds, and nothing else."""

    def run(data: bytes) -> None:
        it = handshake(kind)
        target, services = far_end(it)
        orders = iter(data)
        spoilers = {id(one): Spoiler(one, orders) for one in services.values()}
        there = {place: spoilers[id(one)] for place, one in services.items()}
        simulate(it.script(target, Random(1)), there)

    return run


# ------------------------------------------------------------------ samples


class Listener:
    """A censor that only listens."""

    def __init__(self) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []

    def judge(self, packet: Packet, now: float) -> Verdict:
        del now
        going = self.up if packet.source.host == CALLER.host else self.down
        if packet.payload and len(going) < MAX_PACKETS:
            going.append(packet.payload)
        return Verdict.PASS


@cache
def overheard(kind: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The first packets of a simulated call, up and down."""
    it, listener = handshake(kind), Listener()
    target, services = far_end(it)
    simulate(it.script(target, Random(1)), services, listener)
    return tuple(listener.up), tuple(listener.down)


def call(kind: str) -> Iterator[bytes]:
    """Inputs for `receive` and `callee`: the whole call, and its first packets."""
    up, down = overheard(kind)
    yield join(up[:16])
    yield join(up[:2])
    yield join(down[:8])


def orders(_: str) -> Iterator[bytes]:
    """Inputs for `play`: nothing changed; something changed in each of the first packets."""
    yield b""
    for order in range(1, 8):
        yield bytes((order, 128, 3)) * 4
        yield bytes(6) + bytes((order, 20, 255))


def tls_hello(name: str) -> bytes:
    """What a TLS client says first."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(into, out, server_hostname=name).do_handshake()
    return out.read()


# ------------------------------------------------------------------ endpoints


def endpoint(make: Callable[[], Endpoint]) -> Callable[[bytes], None]:
    """Feed an input's datagrams to a DTLS endpoint; it may give the handshake up."""

    def run(data: bytes) -> None:
        one, now = make(), NOW
        try:
            one.start(now)
            for packet in split(data):
                now += 0.05
                answers = one.receive(packet, now)
                assert len(answers) <= MAX_PACKETS
                if (due := one.timer()) is not None and due <= now:
                    one.tick(now)
        except HandshakeFailed:
            return

    return run
