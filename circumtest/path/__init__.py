"""What a path is: a way for bytes to leave.  Paths nest; nothing is ever patched.

This file holds only the protocols.  It refuses to know sockets, proxies or namespaces: each
kind of path is a file beside it.
"""

from typing import Protocol, runtime_checkable

from circumtest.errors import TunnelDown
from circumtest.model import Address, Cause, Transport, TunnelFault


class Sink(Protocol):
    """Where a connection puts what arrives: bytes, or why it (or one remote of it) is gone."""

    def __call__(self, data: bytes | Cause, source: Address) -> None: ...


class Conn(Protocol):
    """An open channel.  `send` never blocks: a datagram that does not fit is lost."""

    def send(self, data: bytes, remote: Address) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class Unfragmented(Protocol):
    """A channel whose datagrams can be kept whole: one that is too large is lost, and not cut.

    `refused` tells whether this host itself did not take the last one, as larger than its device.
    """

    def whole(self) -> None: ...
    @property
    def refused(self) -> bool: ...


class Path(Protocol):
    """A way for bytes to leave.

    `transports` is what it can carry by its nature: anything else is UNSUPPORTED, not a failure.
    `exits` are the addresses by which the far end may see it, empty when nobody knows: a far end
    that saw another one proves that the packet left by the wrong exit.  `mtu` is the largest IP
    packet inside, in octets, None where no device is; `dns` are the resolvers that the tunnel
    names.  `silence` is what it means when nothing ever comes through: HANDSHAKE where the server
    was never heard (a local proxy that says yes to everything), NO_DATA where it let us in.
    """

    @property
    def name(self) -> str: ...
    @property
    def transports(self) -> frozenset[Transport]: ...
    @property
    def exits(self) -> frozenset[str]: ...
    @property
    def mtu(self) -> int | None: ...
    @property
    def dns(self) -> tuple[str, ...]: ...
    @property
    def silence(self) -> TunnelFault: ...
    @property
    def words(self) -> str:
        """The daemon's own last words without addresses and secrets, "" where there is none."""
        ...

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """Open a channel to `remote` within `timeout` seconds.

        Raises OSError for what the network said (TimeoutError for silence), TunnelDown when the
        tunnel itself is at fault.
        """
        ...

    def fault(self) -> TunnelDown | None:
        """Asked after a failed trial: is the tunnel known to be at fault?  None when it is not."""
        ...
