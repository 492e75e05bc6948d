"""WireGuard: a wg-quick configuration brought up in a namespace of its own.

The device is born in the underlay and moved inside, where it is the only way out.  Ready when a
handshake has happened.  It refuses to run commands (PostUp and its kind) and to touch the routes,
names or firewall of anything but its own namespace.
"""

import asyncio
import ipaddress
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import Settings, binary, settle
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path import Path as WayOut
from circumtest.path.direct import DirectPath
from circumtest.path.resolve import resolve
from circumtest.process import ProcessEnded
from circumtest.scrub import scrub
from circumtest.wireguard.device import Device, wireguard_device
from circumtest.wireguard.quick import Peer, Quick, is_amnezia, is_quick, parse
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


@dataclass(frozen=True)
class Wireguard:
    """A client from a wg-quick file, or from its `text`; one of the two is given.

    `patience` is how many seconds the first handshake may take (WireGuard itself retries every 5).
    `exits` are the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from a configuration that cannot be right.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    device: Literal["auto", "kernel", "userspace"] = "auto"
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError("wireguard", "key `config`", "name a wg-quick file")
        if not self.patience > 0:
            raise ConfigError("wireguard", "key `patience`", "is not a number of seconds above 0")
        _ = self.quick

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A wg-quick file without AmneziaWG's keys."""
        return {"text": text} if is_quick(text) and not is_amnezia(text) else None

    @cached_property
    def quick(self) -> Quick:
        """The configuration, read once."""
        if self.text:
            return parse(self.text, "WireGuard configuration")
        try:
            return parse(Path(self.config).read_text(encoding="utf-8"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "a wg-quick .conf file") from None

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, in words."""
        return self.quick.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["WireguardPath"]:
        """Bring it up; ready when a handshake has happened.

        Raises TunnelDown(HANDSHAKE) when none has within `patience`, TunnelDown(BINARY) when
        wireguard-go does not run, EnvironmentUnfit when there is neither kernel device nor TUN.
        """
        quick = self.quick
        peers = await _resolved(quick.peers, underlay, self.patience)
        async with AsyncExitStack() as stack:
            inside = await stack.enter_async_context(Netns.new(f"{underlay.name}/wireguard"))
            try:
                device = await stack.enter_async_context(wireguard_device(underlay, self.device))
                await device.configure(quick.private_key, quick.listen_port, peers)
                await device.move(inside)
                await inside.configure(lambda links: settle(links, device.name, _settings(quick)))
                await self._handshake(inside, device)
            except ProcessEnded as ended:
                raise binary(ended) from None
            except TimeoutError:
                raise TunnelDown(TunnelFault.BINARY, "wireguard-go does not get ready") from None
            except OSError as error:  # a port that is taken, an address that the kernel refuses
                detail = f"the device does not take the configuration: {error.strerror or error}"
                raise TunnelDown(TunnelFault.BINARY, detail) from None
            yield WireguardPath(inside, device, frozenset(self.exits), quick)

    async def _handshake(self, inside: Netns, device: Device) -> None:
        """Wait for the first handshake, sending something for it to be needed."""
        loop = asyncio.get_running_loop()
        end, nudge = loop.time() + self.patience, 0.0
        with _nudge_socket(inside, self.quick) as sock:
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
        detail = f"no handshake in {self.patience:g} s; {_guess(told.received)}"
        raise TunnelDown(TunnelFault.HANDSHAKE, detail, words)


class WireguardPath:
    """The namespace inside; its only way out is the device.  `dns` is what the file names."""

    name = "wireguard"
    transports = frozenset(Transport)
    silence: ClassVar[TunnelFault] = TunnelFault.NO_DATA

    def __init__(self, inside: Netns, device: Device, exits: frozenset[str], quick: Quick) -> None:
        self.inside, self.device = inside, device
        self.mtu, self.dns = quick.mtu, quick.dns
        self._direct: WayOut = DirectPath(inside, self.name, exits)
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
