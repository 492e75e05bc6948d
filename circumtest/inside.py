"""What every tunnel with a TUN device needs: the namespace inside, whose only way out it is.

The device is born in the underlay, where its daemon lives and its packets leave from, and moved
inside, where it is given what the tunnel's server or configuration says.  It refuses to know how
the device came to be.
"""

import errno
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from circumtest.errors import TunnelDown
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Links, Netns
from circumtest.path import Conn, Sink
from circumtest.path.direct import DirectPath
from circumtest.process import Daemon, ProcessEnded
from circumtest.scrub import scrub

EVERYTHING = ("0.0.0.0/0", "::/0")

_ids = count()


@dataclass(frozen=True)
class Settings:
    """What a device gets: addresses with their prefix lengths, networks that are routed into it."""

    addresses: tuple[str, ...]
    routes: tuple[str, ...] = EVERYTHING
    mtu: int | None = None
    dns: tuple[str, ...] = ()


def device_name(kind: str) -> str:
    """A name for a TUN device that no other one on this machine has; `kind` is up to 3 letters."""
    return f"{kind}{os.getpid()}-{next(_ids)}"


class InsidePath:
    """The namespace inside.  `known` is asked for the tunnel's fault after a failed trial."""

    def __init__(
        self,
        name: str,
        inside: Netns,
        settings: Settings,
        exits: Iterable[str],
        known: Callable[[], TunnelDown | None],
        words: Callable[[], str] = str,
    ) -> None:
        self.name, self.inside = name, inside
        self._known, self._words = known, words
        self._direct = DirectPath(
            inside, name, frozenset(exits), mtu=settings.mtu, dns=settings.dns
        )

    transports = frozenset(Transport)
    silence = TunnelFault.NO_DATA

    @property
    def exits(self) -> frozenset[str]:
        return self._direct.exits

    @property
    def mtu(self) -> int | None:
        return self._direct.mtu

    @property
    def dns(self) -> tuple[str, ...]:
        return self._direct.dns

    @property
    def words(self) -> str:
        return self._words()

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A socket inside.  Raises OSError for what the network said, TunnelDown for a dead daemon.

        Without its daemon there is no device, and "no route" would be the wrong word for it.
        """
        if (down := self._known()) is not None:
            raise down
        return await self._direct.open(transport, remote, sink, timeout)

    def fault(self) -> TunnelDown | None:
        return self._known()


@asynccontextmanager
async def moved_inside(
    underlay: Netns, device: str, settings: Settings, name: str
) -> AsyncIterator[Netns]:
    """A new namespace with `device` of `underlay` in it, configured; the device goes with it.

    Raises OSError when the kernel refuses an address, a route or the MTU.
    """
    async with Netns.new(f"{underlay.name}/{name}") as inside:
        await underlay.move(device, inside)
        await inside.configure(lambda links: settle(links, device, settings))
        yield inside


def settle(links: Links, device: str, settings: Settings) -> None:
    """Give a device, now inside, its MTU, addresses and routes of the families it has."""
    if settings.mtu:
        links.mtu(device, settings.mtu)
    for address in settings.addresses:
        links.address(device, address)
    links.up(device)
    families = {":" in address for address in settings.addresses}
    for network in dict.fromkeys(settings.routes):
        if (":" in network) not in families:
            continue
        try:
            links.route(network, dev=device)
        except OSError as error:
            if error.errno != errno.EEXIST:  # the address brought it
                raise


def of_daemon(process: Daemon, secrets: Iterable[str] = ()) -> Callable[[], TunnelDown | None]:
    """For `InsidePath.known`: BINARY with the daemon's words once it has ended."""
    hidden = tuple(secrets)

    def known() -> TunnelDown | None:
        return None if process.alive else binary(process.post_mortem(), hidden)

    return known


def binary(ended: ProcessEnded, secrets: Iterable[str] = ()) -> TunnelDown:
    """A daemon that ended, or did not start, as the tunnel's fault."""
    detail = f"{ended.name} ended with {ended.code}"
    return TunnelDown(TunnelFault.BINARY, detail, scrub(ended.words, secrets))
