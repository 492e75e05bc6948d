"""Masks: a handshake with its bits inverted, or as random bytes, of the same sizes and times.

Who looks at content sees nothing of it; who looks at ports, sizes, times or addresses sees what he
always sees.  Both ends mask alike: a path on the caller's side, an answerer on the far side.  It
refuses to be a cipher: masks hide from recognition, and keep nothing secret.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b, shake_256
from typing import TYPE_CHECKING

from circumtest.model import Address, Cause, Transport
from circumtest.script import Answerer, Emit, Flow

if TYPE_CHECKING:
    from circumtest.errors import TunnelDown
    from circumtest.model import TunnelFault
    from circumtest.path import Conn, Path, Sink

MAX_FLOWS = 4096
"""Streams whose place in the mask is remembered; the oldest is forgotten first."""
UP, DOWN = b"up", b"down"
_ROUNDS = 4
_BLOCK = 1 << 14
_INVERT = bytes(255 - byte for byte in range(256))


class Mask(StrEnum):
    """`inverted`: every bit; `random`: bytes that look drawn."""

    INVERTED = "inverted"
    RANDOM = "random"


def veil(mask: Mask, data: bytes, secret: str, way: bytes) -> bytes:
    """A datagram under a mask, of its own length.  `way` is UP or DOWN."""
    if mask is Mask.INVERTED:
        return data.translate(_INVERT)
    return _mix(data, _key(secret, way), range(_ROUNDS))


def unveil(mask: Mask, data: bytes, secret: str, way: bytes) -> bytes:
    """What `veil` made it of."""
    if mask is Mask.INVERTED:
        return data.translate(_INVERT)
    return _mix(data, _key(secret, way), range(_ROUNDS - 1, -1, -1))


class Run:
    """One direction of a stream under a mask: what is veiled is unveiled by another one alike.

    A stream has no room for a nonce: under `random` the same beginnings look the same under one
    secret, and like nothing else.
    """

    __slots__ = ("_at", "_mask", "_secret", "_way")

    def __init__(self, mask: Mask, secret: str, way: bytes) -> None:
        self._mask, self._secret, self._way, self._at = mask, secret, way, 0

    def turn(self, data: bytes) -> bytes:
        """More of the stream."""
        if self._mask is Mask.INVERTED:
            return data.translate(_INVERT)
        stream = _stream(self._secret, self._way, self._at, len(data))
        self._at += len(data)
        return _xor(data, stream)


# ------------------------------------------------------------------ bytes


def _mix(data: bytes, key: bytes, rounds: Iterable[int]) -> bytes:
    """A Feistel network over the whole datagram: one other bit in it makes all of it another."""
    middle = len(data) // 2
    left, right = data[:middle], data[middle:]
    if not middle:
        return _xor(data, _round(key, 0, b"", len(data)))
    for number in rounds:
        if number % 2:
            left = _xor(left, _round(key, number, right, len(left)))
        else:
            right = _xor(right, _round(key, number, left, len(right)))
    return left + right


def _round(key: bytes, number: int, half: bytes, size: int) -> bytes:
    seed = blake2b(half, key=key, salt=number.to_bytes(16)).digest()
    return seed[:size] if size <= len(seed) else shake_256(seed).digest(size)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


@lru_cache(maxsize=64)
def _key(secret: str, way: bytes) -> bytes:
    return blake2b(secret.encode(), person=b"mask " + way).digest()


@lru_cache(maxsize=64)
def _block(secret: str, way: bytes, number: int) -> bytes:
    return shake_256(_key(secret, way) + number.to_bytes(8)).digest(_BLOCK)


def _stream(secret: str, way: bytes, at: int, size: int) -> bytes:
    first, skip = divmod(at, _BLOCK)
    last = (at + size) // _BLOCK
    whole = b"".join(_block(secret, way, number) for number in range(first, last + 1))
    return whole[skip : skip + size]


# ------------------------------------------------------------------ the far side


class Masked:
    """`inner` behind a mask: what comes is unveiled for it, what it says is veiled."""

    def __init__(self, inner: Answerer, mask: Mask, secret: str) -> None:
        self._inner, self._mask, self._secret = inner, mask, secret
        self._streams: dict[Flow, tuple[Run, Run]] = {}

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.UDP:
            plain = unveil(self._mask, data, self._secret, UP)
        elif not data:
            emits = list(self._veiled(self._inner.receive(flow, b"", now)))
            self._streams.pop(flow, None)
            return emits
        else:
            plain = self._runs(flow)[0].turn(data)
        return self._veiled(self._inner.receive(flow, plain, now))

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._veiled(self._inner.tick(now))

    def _runs(self, flow: Flow) -> tuple[Run, Run]:
        if flow not in self._streams:
            if len(self._streams) >= MAX_FLOWS:
                del self._streams[next(iter(self._streams))]
            runs = (Run(self._mask, self._secret, UP), Run(self._mask, self._secret, DOWN))
            self._streams[flow] = runs
        return self._streams[flow]

    def _veiled(self, emits: Iterable[Emit]) -> Iterable[Emit]:
        for emit in emits:
            if emit.flow.transport is Transport.UDP:
                data = veil(self._mask, emit.data, self._secret, DOWN)
            else:
                data = self._runs(emit.flow)[1].turn(emit.data)
            if emit.close:
                self._streams.pop(emit.flow, None)
            yield Emit(emit.flow, data, emit.close)


# ------------------------------------------------------------------ the caller's side


@dataclass(frozen=True, slots=True)
class MaskedPath:
    """`inner` with everything that goes through it under a mask."""

    inner: "Path"
    mask: Mask
    secret: str

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def transports(self) -> frozenset[Transport]:
        return self.inner.transports

    @property
    def exits(self) -> frozenset[str]:
        return self.inner.exits

    @property
    def mtu(self) -> int | None:
        return self.inner.mtu

    @property
    def dns(self) -> tuple[str, ...]:
        return self.inner.dns

    @property
    def silence(self) -> "TunnelFault":
        return self.inner.silence

    @property
    def words(self) -> str:
        return self.inner.words

    def fault(self) -> "TunnelDown | None":
        return self.inner.fault()

    async def open(
        self, transport: Transport, remote: Address, sink: "Sink", timeout: float
    ) -> "Conn":
        """A channel whose bytes are masked.  Raises what the inner path's raises."""
        down = Run(self.mask, self.secret, DOWN)

        def unveiled(data: bytes | Cause, source: Address) -> None:
            if isinstance(data, Cause):
                sink(data, source)
            elif transport is Transport.TCP:
                sink(down.turn(data), source)
            else:
                sink(unveil(self.mask, data, self.secret, DOWN), source)

        conn = await self.inner.open(transport, remote, unveiled, timeout)
        return _MaskedConn(conn, transport, self.mask, self.secret)


class _MaskedConn:
    def __init__(self, conn: "Conn", transport: Transport, mask: Mask, secret: str) -> None:
        self._conn, self._mask, self._secret = conn, mask, secret
        self._run = Run(mask, secret, UP) if transport is Transport.TCP else None

    def send(self, data: bytes, remote: Address) -> None:
        if self._run is not None:
            self._conn.send(self._run.turn(data), remote)
        else:
            self._conn.send(veil(self._mask, data, self._secret, UP), remote)

    def close(self) -> None:
        self._conn.close()


SHADES: Sequence[Mask | None] = (None, Mask.INVERTED, Mask.RANDOM)
"""Plain, and every mask."""
