"""A call set up in a tunnel and continued without it: whether a block looks at the set-up only.

A `Handoff` is a path of two: what is opened before `cross` leaves inside, what is opened after it
outside.  The call crosses when it is set up and says nothing of its set-up again: it sends what a
client sends whose VPN was switched off in mid-call.  It refuses to know any handshake: those that
can do so have `moved`, and a field `handoff` by which a plan asks for it.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol, runtime_checkable

from circumtest.errors import TunnelDown
from circumtest.model import Address, Transport, TunnelFault
from circumtest.path import Conn, Path, Sink
from circumtest.script import Handshake, Script


@runtime_checkable
class Movable(Protocol):
    """A handshake whose far end follows an authenticated caller to a new address."""

    @property
    def handoff(self) -> bool:
        """Whether the plan asks for it."""
        ...

    def moved(
        self, target: Sequence[Address], rng: Random, cross: Callable[[], None]
    ) -> Script[None]:
        """`script`, that calls `cross` once the call is set up and goes on from a new channel."""
        ...


class Handoff:
    """The path of one trial: inside until `cross`, outside from then on.

    How the far end may see it are the exits inside: who is seen is noted during the set-up.
    """

    def __init__(self, inside: Path, outside: Path) -> None:
        self._inside, self._outside = inside, outside
        self._crossed = False

    def cross(self) -> None:
        """What is opened from now on leaves outside; what is open stays where it is."""
        self._crossed = True

    @property
    def _now(self) -> Path:
        return self._outside if self._crossed else self._inside

    @property
    def name(self) -> str:
        return f"{self._inside.name}, then {self._outside.name}"

    @property
    def transports(self) -> frozenset[Transport]:
        return self._inside.transports & self._outside.transports

    @property
    def exits(self) -> frozenset[str]:
        return self._inside.exits

    @property
    def mtu(self) -> int | None:
        known = [mtu for mtu in (self._inside.mtu, self._outside.mtu) if mtu is not None]
        return min(known, default=None)

    @property
    def dns(self) -> tuple[str, ...]:
        return self._inside.dns

    @property
    def silence(self) -> TunnelFault:
        return self._inside.silence

    @property
    def words(self) -> str:
        return self._inside.words

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        return await self._now.open(transport, remote, sink, timeout)

    def fault(self) -> TunnelDown | None:
        """The tunnel's fault while the call needs it; a tunnel that dies later ends no call."""
        return self._now.fault()


def wanted(handshake: Handshake) -> bool:
    """Whether a plan asks for this handshake to be handed off."""
    return isinstance(handshake, Movable) and handshake.handoff


def prepared(
    handshake: Handshake, target: Sequence[Address], rng: Random, inside: Path, outside: Path
) -> tuple[Script[None], Path]:
    """The script of an inside arm and the path to play it on: handed off where it is `wanted`."""
    if isinstance(handshake, Movable) and handshake.handoff:
        path = Handoff(inside, outside)
        return handshake.moved(target, rng, path.cross), path
    return handshake.script(target, rng), inside
