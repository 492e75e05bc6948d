"""The path through a SOCKS proxy: TCP by python-socks, UDP by an association of our own.

What the proxy says of a target is what the network said: an OSError.  What it says of itself, or
does not say, is a fault of the tunnel.  Names are never resolved here, and never sent: targets are
addresses.  It refuses fragments and BIND.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, cast

from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy

from circumtest.errors import TunnelDown
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.associate import Association, associate, greet, raise_for, said
from circumtest.path.direct import adopt_tcp, family
from circumtest.wire.socks import Code

_BYTES_RECEIVED = 128
"""Where `tcpi_bytes_received` stands in struct tcp_info (linux/tcp.h)."""
_SOCKS4_REFUSED, _SOCKS4_IDENT = 0x5B, (0x5C, 0x5D)


Reach = Callable[[float], Awaitable[socket.socket]]
"""A connection to a proxy within so many seconds.  Raises TunnelDown."""


class Version(StrEnum):
    SOCKS4 = "socks4"
    SOCKS5 = "socks5"


@dataclass(frozen=True)
class SocksProxy:
    """A proxy by address; `user` and `password` are "" where it wants none."""

    version: Version
    address: Address
    user: str = ""
    password: str = field(default="", repr=False)


class SocksPath:
    """Channels through `proxy`, whose own packets leave from `underlay`.

    With a `reach` the proxy is connected to by that, and not from `underlay`: it stands at the far
    end of something else, which carries streams to it.
    SOCKS4 carries TCP to IPv4 only.  What is remembered for `fault` lasts until the next `open`
    that finds no channel open: one trial's evidence never taints the next.
    """

    name = "socks"
    mtu: ClassVar[int | None] = None
    dns: ClassVar[tuple[str, ...]] = ()
    silence: ClassVar[TunnelFault] = TunnelFault.NO_DATA
    words: ClassVar[str] = ""

    def __init__(
        self,
        underlay: Netns,
        proxy: SocksProxy,
        exits: frozenset[str],
        reach: Reach | None = None,
    ) -> None:
        self._underlay, self._proxy, self._exits = underlay, proxy, exits
        self._reach = reach or self._dial
        self._known: TunnelDown | None = None
        self._associations: set[Association] = set()

    @property
    def transports(self) -> frozenset[Transport]:
        udp = self._proxy.version is Version.SOCKS5
        return frozenset(Transport) if udp else frozenset({Transport.TCP})

    @property
    def exits(self) -> frozenset[str]:
        return self._exits

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A channel to `remote` through the proxy.

        Raises OSError for what the proxy said of the target (TimeoutError when it said nothing, but
        is there); TunnelDown for what it said of itself: HANDSHAKE when it is not reached or speaks
        no SOCKS, AUTH when it does not let us, NO_UDP when it has no UDP, NO_DATA when it fails.
        """
        if not self._associations:
            self._known = None
        if transport is Transport.TCP:
            return adopt_tcp(await self.connect(remote, timeout), sink, remote)
        association = await self._associate(remote, sink, timeout)
        self._associations.add(association)
        return association

    def fault(self) -> TunnelDown | None:
        """WRONG_SOURCE when replies came from beside the relay, NO_DATA when a relay ended."""
        return self._known

    async def check(self, timeout: float) -> None:
        """Reach the proxy and be let in, which proves nothing more.  Raises TunnelDown."""
        sock = await self._reach(timeout)
        try:
            if self._proxy.version is Version.SOCKS5:
                async with asyncio.timeout(timeout):
                    await greet(sock, self._proxy.user, self._proxy.password)
        except TimeoutError:
            raise TunnelDown(TunnelFault.HANDSHAKE, "the proxy does not answer") from None
        finally:
            sock.close()

    async def _dial(self, timeout: float) -> socket.socket:
        """A TCP connection to the proxy.  Raises TunnelDown(HANDSHAKE)."""
        sock = self._underlay.socket(family(self._proxy.address), socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(sock, self._proxy.address)
        except OSError as error:
            sock.close()
            detail = f"cannot reach the proxy: {said(error)}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    async def connect(self, remote: Address, timeout: float) -> socket.socket:
        """A stream to `remote` as the socket that it runs over; raises what `open` does."""
        proxy = self._proxy
        if proxy.version is Version.SOCKS4 and remote.version == 6:
            raise OSError(errno.ENETUNREACH, "SOCKS4 carries IPv4 only")
        end = asyncio.get_running_loop().time() + timeout
        sock = await self._reach(timeout)
        with sock.dup() as witness:
            heard = _received(witness)  # what is said before is of who led us here
            # python-socks opens a socket of its own, except behind another proxy: as that other
            # proxy it is handed the socket that was born in the underlay.
            client = Proxy(
                ProxyType.SOCKS5 if proxy.version is Version.SOCKS5 else ProxyType.SOCKS4,
                *proxy.address,
                username=proxy.user,
                password=proxy.password,
                forward=cast("Any", _Born(sock)),
            )
            left = max(end - asyncio.get_running_loop().time(), 0.01)
            try:
                connected: socket.socket = await client.connect(*remote, timeout=left)
            except TimeoutError:
                raise self._silence(_received(witness) - heard) from None
            except OSError as error:
                detail = f"the connection to the proxy broke: {said(error)}"
                raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
            except ProxyError as error:
                raise self._refusal(error) from None
            except ValueError as error:
                raise TunnelDown(TunnelFault.HANDSHAKE, f"the proxy: {error}") from None
        return connected

    def _silence(self, received: int) -> Exception:
        """Silence is the target's if the proxy has answered everything before the request."""
        before = 0 if self._proxy.version is Version.SOCKS4 else 4 if self._proxy.user else 2
        if received == before:
            return TimeoutError("the proxy says nothing about the target")
        half = "stops in the middle of a reply" if received > before else "does not answer"
        return TunnelDown(TunnelFault.HANDSHAKE, f"the proxy {half}")

    def _refusal(self, error: ProxyError) -> Exception:
        code = error.error_code
        if code is None:
            # Without a code it is python-socks' own sentence about the greeting or the password.
            auth = "authentication" in str(error)
            return TunnelDown(TunnelFault.AUTH if auth else TunnelFault.HANDSHAKE, str(error))
        if self._proxy.version is Version.SOCKS4:
            if code in _SOCKS4_IDENT:
                return TunnelDown(TunnelFault.AUTH, str(error))
            # 0x5B means rejected *or* failed; the protocol cannot say which.
            return OSError(errno.ECONNREFUSED, "SOCKS4: rejected or failed")
        try:
            raise_for(code)
        except (OSError, TunnelDown) as reason:
            return reason
        raise AssertionError(f"python-socks raised for {Code(code)!r}")

    async def _associate(self, remote: Address, sink: Sink, timeout: float) -> Association:
        end = asyncio.get_running_loop().time() + timeout
        control = await self._reach(timeout)
        udp = self._underlay.socket(control.family, socket.SOCK_DGRAM)
        try:
            async with asyncio.timeout_at(end):
                await greet(control, self._proxy.user, self._proxy.password)
                relay = await associate(control, udp, self._proxy.address)
        except TimeoutError:
            control.close()
            udp.close()
            raise TunnelDown(TunnelFault.HANDSHAKE, "the proxy does not answer") from None
        except BaseException:
            control.close()
            udp.close()
            raise
        return Association(
            control, udp, relay, remote, sink, self._report, self._associations.discard
        )

    def _report(self, fault: TunnelFault, detail: str) -> None:
        # The first fault is the one that the others follow from.
        self._known = self._known or TunnelDown(fault, detail)


def _received(sock: socket.socket) -> int:
    """The bytes that a TCP socket has got so far."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (received,) = struct.unpack_from("=Q", info, _BYTES_RECEIVED)
    return int(received)


class _Born:
    """What python-socks takes for a proxy in front of the proxy: a socket connected already."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def connect(self, **_target: object) -> socket.socket:
        return self._sock
