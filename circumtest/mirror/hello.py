"""Hello: who knows the token shows that he is where he says, and is told what there is.

    knock (300 bytes) ->      <- cookie (300)      proof (1100) ->      <- inventory (1100)

The cookie is made of the address that the knock came from and a clock, so that a mirror remembers
nobody who has not answered from there; nothing that goes back is longer than what came.  All of it
is sealed (`circumtest.wire.sealed`) and has no constant byte.  Over TCP the same packets go in a
stream.  It refuses to speak to who does not know the secret.
"""

import hmac
from collections.abc import Callable, Iterable
from random import Random

import msgspec

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream, doubling, exchange
from circumtest.mirror.inventory import Inventory, parse
from circumtest.model import Address, Cause, Stage, Transport
from circumtest.script import (
    Arrival,
    Emit,
    Flow,
    Script,
    Send,
    close,
    enter,
    note,
    now,
    open_tcp,
    open_udp,
    send,
)
from circumtest.wire import sealed

KNOCK, PROOF = 300, 1100
"""Bytes of the four packets, two by two."""
PATIENCE = 8.0
"""Seconds for each of the two round trips."""
FRESH = 30.0
"""Seconds for which a cookie is good."""
MAX_FLOWS = 1024
"""Streams whose beginning is kept; the oldest is forgotten first."""
_COOKIE = 16
_STAMP = 4


# ------------------------------------------------------------------ who asks


def hello(
    remote: Address,
    transport: Transport,
    secret: str,
    rng: Random,
    told: Callable[[Inventory], object],
) -> Script[None]:
    """Say hello at one port of a mirror; `told` gets the inventory.

    Raises HandshakeFailed with what the network said, TIMEOUT for silence, MALFORMED for what the
    mirror cannot mean.
    """
    yield from enter(Stage.CONNECTIVITY)
    ask = _Datagrams(remote) if transport is Transport.UDP else _Streamed(remote)
    yield from ask.open()
    key = secret.encode()
    knock = sealed.fresh(rng.randbytes(sealed.NONCE))
    answer = yield from ask.ask(sealed.seal(knock, b"", KNOCK, key, b"knock"), key, b"cookie")
    proof = sealed.fresh(rng.randbytes(sealed.NONCE))
    packet = sealed.seal(proof, answer[:_COOKIE], PROOF, key, b"proof")
    found = yield from ask.ask(packet, key, b"inventory")
    try:
        inventory = parse(found)
        exit_ = Address(*inventory.seen)
        _ = exit_.packed
    except (ValueError, TypeError) as error:
        raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
    yield from note(exit_)
    yield from close(ask.channel)
    told(inventory)


class _Datagrams:
    """Packets that may be lost."""

    def __init__(self, remote: Address) -> None:
        self._remote = remote

    def open(self) -> Script[None]:
        self.channel = yield from open_udp(self._remote)

    def ask(self, packet: bytes, key: bytes, direction: bytes) -> Script[bytes]:
        def again() -> Iterable[Send]:
            yield Send(self.channel, packet, self._remote)

        def answered(arrival: Arrival) -> bytes | None:
            if isinstance(arrival.data, Cause) or len(arrival.data) != len(packet):
                return None
            return _answer(arrival.data, packet, key, direction)

        return (yield from exchange(again, answered, doubling(0.5, 4), PATIENCE))


class _Streamed:
    """Packets in a stream."""

    def __init__(self, remote: Address) -> None:
        self._remote = remote

    def open(self) -> Script[None]:
        self.channel = yield from open_tcp(self._remote, PATIENCE)
        self._stream = Stream(self.channel)

    def ask(self, packet: bytes, key: bytes, direction: bytes) -> Script[bytes]:
        until = (yield from now()) + PATIENCE
        yield from send(self.channel, packet)
        data = yield from self._stream.read_exactly(len(packet), until)
        if (answer := _answer(data, packet, key, direction)) is None:
            raise HandshakeFailed(Cause.WRONG_IDENTITY, "not the mirror that the token is for")
        return answer


def _answer(data: bytes, asked: bytes, key: bytes, direction: bytes) -> bytes | None:
    if data[: sealed.NONCE] != asked[: sealed.NONCE]:
        return None
    try:
        return sealed.unseal(data, key, direction)
    except ValueError:
        return None


# ------------------------------------------------------------------ who is asked


class Greeter:
    """The far half.  `key` makes cookies; `proved` is told of every address that was proved."""

    def __init__(
        self,
        secret: str,
        inventory: Inventory,
        key: bytes,
        proved: Callable[[Address, float], object],
    ) -> None:
        self._secret, self._inventory, self._key = secret.encode(), inventory, key
        self._proved = proved
        self._streams: dict[Flow, bytes] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            answer = self._answer(flow, data, now)
            return (Emit(flow, answer),) if answer else ()
        return self._stream(flow, data, now)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:  # noqa: ARG002
        return ()

    def _stream(self, flow: Flow, chunk: bytes, now: float) -> Iterable[Emit]:
        data = self._streams.pop(flow, b"") + chunk
        if not chunk:
            return ()
        size = self._size(data)
        if size == 0 or len(data) > size:
            return ()  # foreign, whatever follows
        if len(data) == size:
            answer = self._answer(flow, data, now)
            return (Emit(flow, answer),) if answer else ()
        if len(self._streams) >= MAX_FLOWS:
            del self._streams[next(iter(self._streams))]
        self._streams[flow] = data
        return ()

    def _size(self, data: bytes) -> int:
        """How long the packet is that a stream goes on with, 0 for what is none of ours."""
        if len(data) < sealed.HEAD:
            return PROOF
        for size, direction in ((KNOCK, b"knock"), (PROOF, b"proof")):
            if sealed.length(data[: sealed.HEAD], self._secret, direction) == size:
                return size
        return 0

    def _answer(self, flow: Flow, data: bytes, now: float) -> bytes:
        nonce = data[: sealed.NONCE]
        if len(data) == KNOCK and sealed.is_authentic(data, self._secret, b"knock"):
            cookie = self._cookie(int(now), flow.remote)
            return sealed.seal(nonce, cookie, KNOCK, self._secret, b"cookie")
        if len(data) != PROOF or not sealed.is_authentic(data, self._secret, b"proof"):
            return b""
        given = sealed.unseal(data, self._secret, b"proof")[:_COOKIE]
        made = int.from_bytes(given[:_STAMP])
        if not 0 <= (int(now) & 0xFFFFFFFF) - made <= FRESH:
            return b""
        if not hmac.compare_digest(given, self._cookie(made, flow.remote)):
            return b""
        self._proved(flow.remote, now)
        told = msgspec.structs.replace(self._inventory, seen=tuple(flow.remote)).pack()
        return sealed.seal(nonce, told, PROOF, self._secret, b"inventory")

    def _cookie(self, stamp: int, remote: Address) -> bytes:
        """Of an address and port, and a second."""
        head = (stamp & 0xFFFFFFFF).to_bytes(_STAMP)
        made = hmac.digest(self._key, head + str(remote).encode(), "sha256")
        return head + made[: _COOKIE - _STAMP]
