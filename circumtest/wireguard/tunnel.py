"""A tunnel of WireGuard's family brought up: its device moved inside, its first handshake awaited.

Ready when a handshake has happened.  It refuses to know where the configuration comes from, and
what the device does to its packets.
"""

import asyncio
import ipaddress
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

from circumtest.errors import TunnelDown
from circumtest.inside import Settings, binary, settle
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Path, Sink, Unfragmented
from circumtest.path.direct import DirectPath
from circumtest.path.resolve import resolve
from circumtest.process import ProcessEnded
from circumtest.scrub import scrub
from circumtest.wireguard.device import Device
from circumtest.wireguard.quick import Peer, Quick
from circumtest.wireguard.uapi import Counters

SILENCE = 12.0
"""Seconds after which a peer that got data and sent nothing, not even a keepalive, is not there.

A WireGuard peer that has nothing to say answers data with a keepalive after 10 s (whitepaper, 6.5).
"""

_POLL = 0.02
_NUDGE = 0.5
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_DISCARD = {4: "192.0.2.254", 6: "100::1"}
"""Where the first packet goes: a documentation address (RFC 5737), the discard prefix (6666)."""


Make = Callable[[Netns], AbstractAsyncContextManager[Device]]
"""Makes the device in a namespace, without key or peers."""


@asynccontextmanager
async def brought_up(
    name: str, underlay: Netns, make: Make, quick: Quick, patience: float, exits: tuple[str, ...]
) -> AsyncIterator["WireguardPath"]:
    """A path by the device that `make` makes; ready when a handshake has happened.

    Raises TunnelDown(HANDSHAKE) when none has within `patience` seconds, TunnelDown(BINARY) when
    the device does not take the configuration or its daemon ends, and what `make` raises.
    """
    peers = await _resolved(quick.peers, underlay, patience)
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(Netns.new(f"{underlay.name}/{name}"))
        try:
            device = await stack.enter_async_context(make(underlay))
            await device.configure(quick.private_key, quick.listen_port, peers)
            await device.move(inside)
            await inside.configure(lambda links: settle(links, device.name, _settings(quick)))
            await _handshake(inside, device, quick, patience)
        except ProcessEnded as ended:
            raise binary(ended) from None
        except TimeoutError:
            raise TunnelDown(TunnelFault.BINARY, "its daemon does not get ready") from None
        except OSError as error:  # a port that is taken, an address that the kernel refuses
            detail = f"the device does not take the configuration: {error.strerror or error}"
            raise TunnelDown(TunnelFault.BINARY, detail) from None
        yield WireguardPath(name, inside, device, frozenset(exits), quick)


async def _handshake(inside: Netns, device: Device, quick: Quick, patience: float) -> None:
    """Wait for the first handshake, sending something for it to be needed."""
    loop = asyncio.get_running_loop()
    end, nudge = loop.time() + patience, 0.0
    with _nudge_socket(inside, quick) as sock:
        while loop.time() < end:
            if ended := device.ended():
                raise ended
            if loop.time() >= nudge:
                nudge = loop.time() + _NUDGE
                with suppress(OSError):  # the next one may go
                    sock.send(b"")
            if (await asyncio.to_thread(device.counters)).handshake:
                return
            await asyncio.sleep(_POLL)
    told, words = await asyncio.to_thread(device.counters), scrub(device.log)
    # wireguard-go may bind its port only once the device is up: then only its log tells.
    if "address already in use" in words:
        raise TunnelDown(TunnelFault.BINARY, "the device's port is in use", words)
    detail = f"no handshake in {patience:g} s; {_guess(told.received)}"
    raise TunnelDown(TunnelFault.HANDSHAKE, detail, words)


class WireguardPath:
    """The namespace inside; its only way out is the device.  `dns` is what the file names."""

    transports = frozenset(Transport)
    silence: ClassVar[TunnelFault] = TunnelFault.NO_DATA

    def __init__(
        self, name: str, inside: Netns, device: Device, exits: frozenset[str], quick: Quick
    ) -> None:
        self.name, self.inside, self.device = name, inside, device
        self.mtu, self.dns = quick.mtu, quick.dns
        self._direct: Path = DirectPath(inside, name, exits)
        self._before = Counters()
        self._since: float | None = None

    @property
    def exits(self) -> frozenset[str]:
        return self._direct.exits

    @property
    def words(self) -> str:
        return scrub(self.device.log)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A socket inside.  Raises OSError for what the network said."""
        if self.device.ended() is None:
            self._before = await asyncio.to_thread(self.device.counters)
        self._since = None
        if transport is Transport.TCP:
            self._data_leaves()  # connecting sends
        conn = await self._direct.open(transport, remote, sink, timeout)
        return _Watched(conn, self._data_leaves)

    def fault(self) -> TunnelDown | None:
        """BINARY when the daemon is gone; NO_DATA when the peer was silent for SILENCE seconds.

        Silence is counted from the first packet after the last `open`, in WireGuard's own bytes:
        a peer that is there sends at least keepalives.  A shorter trial cannot tell, and then
        nothing is said.
        """
        if ended := self.device.ended():
            return binary(ended)
        silent = asyncio.get_running_loop().time() - (self._since or math.inf)
        if silent > SILENCE:
            told = self.device.counters()
            if told.sent > self._before.sent and told.received == self._before.received:
                detail = f"the peer has sent nothing, not even keepalives, for {silent:.0f} s"
                return TunnelDown(TunnelFault.NO_DATA, detail, scrub(self.device.log))
        return None

    def _data_leaves(self) -> None:
        if self._since is None:
            self._since = asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class _Watched:
    """A channel that tells when it sends."""

    conn: Conn
    sends: Callable[[], None]

    def send(self, data: bytes, remote: Address) -> None:
        self.sends()
        self.conn.send(data, remote)

    def whole(self) -> None:
        """Datagrams inside are not fragmented from now on."""
        if isinstance(self.conn, Unfragmented):
            self.conn.whole()

    @property
    def refused(self) -> bool:
        """Whether the device inside did not take the last one."""
        return isinstance(self.conn, Unfragmented) and self.conn.refused

    def close(self) -> None:
        self.conn.close()


async def _resolved(peers: tuple[Peer, ...], underlay: Netns, patience: float) -> tuple[Peer, ...]:
    found = []
    for peer in peers:
        if peer.endpoint:
            try:
                address = await resolve(underlay, *peer.endpoint, patience)
            except OSError as error:
                detail = f"cannot resolve {peer.endpoint[0]}: {error.strerror or 'no answer'}"
                raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
            peer = replace(peer, endpoint=(address.host, address.port))
        found.append(peer)
    return tuple(found)


def _settings(quick: Quick) -> Settings:
    """What wg-quick would give the device: addresses, MTU, a route a network."""
    routes = tuple(net for peer in quick.peers for net in peer.allowed_ips)
    return Settings(quick.addresses, routes, quick.mtu, quick.dns)


def _nudge_socket(inside: Netns, quick: Quick) -> socket.socket:
    """A socket whose empty datagrams enter the tunnel and harm nobody: to the discard port.

    Raises TunnelDown when AllowedIPs lets nothing in.
    """
    own = {ipaddress.ip_interface(address).ip for address in quick.addresses}
    for network in (ipaddress.ip_network(net) for peer in quick.peers for net in peer.allowed_ips):
        if network.version not in {address.version for address in own}:
            continue
        discard = ipaddress.ip_address(_DISCARD[network.version])
        # Hosts only: the network's own address and the broadcast one would need a permission.
        choice = (discard,) if discard in network else islice(network.hosts(), len(own) + 1)
        for host in choice:
            if host not in own:
                sock = inside.socket(_FAMILY[network.version], socket.SOCK_DGRAM)
                sock.connect((str(host), 9))
                return sock
    detail = "AllowedIPs lets nothing into the tunnel: no network of a family that Address has"
    raise TunnelDown(TunnelFault.HANDSHAKE, detail)


def _guess(received: int) -> str:
    """WireGuard never says why: silence has several reasons, and each looks the same."""
    if received:
        return f"{received} bytes came back, but none that proves the peer: is its key right?"
    return (
        "nothing came back: the server is down or unreachable, its port is blocked, or it does not"
        " know our key (WireGuard answers strangers with silence)"
    )
