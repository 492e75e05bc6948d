"""The language that call setups are written in: commands a script yields, helpers that yield them.

A script is a generator: it reads like the RFC's ladder, does no I/O, and knows no clock but the
one it asks.  `play` performs the commands on real sockets, `simulate` in virtual time.  Only the
helpers in this file hold a bare `yield`; handshakes and ladders use `yield from`, so that the type
checker sees what comes back.  It refuses to know any protocol.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Media, Role, Stage, Transport

UDP_PATIENCE = 5.0
"""Seconds that opening a UDP channel may take: none on a plain path, an exchange with a proxy."""

T = TypeVar("T")
Script = Generator["Command", Any, T]


# ------------------------------------------------------------------ commands


class Channel(msgspec.Struct, frozen=True, gc=False):
    """A socket as a script sees it: a number.  UDP channels may send anywhere."""

    id: int
    transport: Transport
    remote: Address


class Open(msgspec.Struct, frozen=True, gc=False):
    """Open a channel.  Answered by a Channel, or by a Cause when the connection failed.

    TCP connects to `remote` by `until` (script time); UDP only takes the address family from it,
    but a proxy on the path may need the time, too.
    """

    transport: Transport
    remote: Address
    until: float


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send bytes: a datagram to `remote`, or more of a stream.  Answered by None at once."""

    channel: Channel
    data: bytes
    remote: Address


class Recv(msgspec.Struct, frozen=True, gc=False):
    """Wait for what comes next on any open channel.  Answered by an Arrival, or None at `until`."""

    until: float


class Now(msgspec.Struct, frozen=True, gc=False):
    """Ask for the time.  Answered by seconds since the Unix epoch, never going backwards."""


class Enter(msgspec.Struct, frozen=True, gc=False):
    """Name the stage that begins here; the one before it has passed.  Answered by None."""

    stage: Stage


class Close(msgspec.Struct, frozen=True, gc=False):
    """Close a channel.  Answered by None."""

    channel: Channel


class Note(msgspec.Struct, frozen=True, gc=False):
    """Hand an observation to the player: the address the far end saw, or a media report."""

    what: Address | Media


Command = Open | Send | Recv | Now | Enter | Close | Note


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """Something came in: bytes, or the Cause for which the channel (or one remote of it) is gone.

    `source` is the sender of a datagram, the peer of a stream, or the remote that an ICMP error
    names.  `at` is the time of arrival.  A stream that ended in order is Cause.EOF.
    """

    channel: Channel
    data: bytes | Cause
    source: Address
    at: float


# ------------------------------------------------------------------ helpers


def now() -> Script[float]:
    """Seconds since the Unix epoch."""
    at: float = yield Now()
    return at


def enter(stage: Stage) -> Script[None]:
    """Begin a stage; the stage before it has passed."""
    yield Enter(stage)


def note(what: Address | Media) -> Script[None]:
    """Record what the far end saw, or how media fared."""
    yield Note(what)


def open_udp(remote: Address) -> Script[Channel]:
    """A UDP channel of the family of `remote`.  Raises HandshakeFailed when there is no route."""
    return (yield from _open(Open(Transport.UDP, remote, (yield from now()) + UDP_PATIENCE)))


def open_tcp(remote: Address, patience: float) -> Script[Channel]:
    """Connect within `patience` seconds.  Raises HandshakeFailed with what the network said."""
    return (yield from _open(Open(Transport.TCP, remote, (yield from now()) + patience)))


def _open(command: Open) -> Script[Channel]:
    reply: Channel | Cause = yield command
    if isinstance(reply, Cause):
        raise HandshakeFailed(reply, f"{command.transport} {command.remote}")
    return reply


def send(channel: Channel, data: bytes, remote: Address | None = None) -> Script[None]:
    """Send a datagram to `remote` (by default what the channel was opened for), or stream bytes."""
    yield Send(channel, data, remote or channel.remote)


def post(item: Send) -> Script[None]:
    """Send what somebody else has put together."""
    yield item


def recv(until: float) -> Script[Arrival | None]:
    """The next arrival on any open channel, or None when `until` has come."""
    arrival: Arrival | None = yield Recv(until)
    return arrival


def close(channel: Channel) -> Script[None]:
    """Close a channel; what still arrives for it is not told."""
    yield Close(channel)


# ------------------------------------------------------------------ the two halves of a call setup


class Flow(msgspec.Struct, frozen=True, gc=False):
    """Who talks to whom, as the far end sees it: its own address and the one that it sees."""

    transport: Transport
    local: Address
    remote: Address


class Emit(msgspec.Struct, frozen=True, gc=False):
    """What an answerer wants sent on a flow; with `close`, the stream ends (or resets) after it."""

    flow: Flow
    data: bytes
    close: bool = False


class Answerer(Protocol):
    """The far half of a handshake: bytes in, bytes out, bounded state per source, no I/O.

    One instance serves every address of its service in one place.  `receive` gets datagrams, or
    chunks of a stream; b"" on a stream means that it ended.  What it cannot authenticate it does
    not answer.  `timer` is when it wants `tick` called, None for never.
    """

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]: ...
    def timer(self) -> float | None: ...
    def tick(self, now: float) -> Iterable[Emit]: ...


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a service listens: transport, port, and on how many hosts of its own."""

    transport: Transport
    port: int
    hosts: int = 1


class Handshake(Protocol):
    """A call setup: its configuration (the fields), the caller's half, the far half.

    No base class: any frozen dataclass with these names is a handshake.
    """

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that `script` can enter, in order: a class variable, as the next four are."""
        ...

    @property
    def role(self) -> Role: ...

    @property
    def messaging(self) -> str:
        """The kind of the same application's messaging handshake, or ""."""
        ...

    @property
    def app(self) -> str:
        """What its arms over UDP and TCP are both calls of: the app falls back to the other."""
        ...

    @property
    def far(self) -> str:
        """The kind of the real program that plays the far half in the lab, "" for `answerer`."""
        ...

    @property
    def listen(self) -> Listen: ...

    @property
    def also(self) -> tuple[Listen, ...]:
        """Where else the same far half listens, on the same hosts."""
        ...

    @property
    def opening(self) -> int:
        """Bytes in the first packet: the neutral control sends the same number."""
        ...

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The caller's half: `target` has `listen.hosts` addresses, all chance is `rng`'s.

        Of a `Relayed` one the callee's address comes last.
        """
        ...

    def answerer(self) -> Answerer: ...


@runtime_checkable
class Relayed(Protocol):
    """A handshake that calls somebody behind its service: he has an address of his own.

    Where the service is `answerer` it holds the callee itself; a real program reaches him at
    `callee_listen`.
    """

    @property
    def callee_listen(self) -> Listen: ...
    def callee(self) -> Answerer: ...


@runtime_checkable
class Public(Protocol):
    """A handshake whose real service answers strangers: the rungs that go without an account.

    `reached` are the stages that `reach` enters, in order; it ends in success where the last of
    them passes.  It sends what the application's client would send until then, and no more.
    """

    @property
    def reached(self) -> tuple[Stage, ...]: ...

    def reach(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """The caller's half as far as that; `target` has one address or more, and no callee."""
        ...


def hosts(handshake: Handshake) -> int:
    """How many addresses its target has."""
    return handshake.listen.hosts + (isinstance(handshake, Relayed))
