"""The path through an HTTP proxy: TCP by CONNECT (RFC 9110 section 9.3.6), with and without TLS.

What the proxy says of a target is what the network said: an OSError.  What it says of itself, or
does not say, is a fault of the tunnel.  It refuses UDP, and names: targets are addresses.
"""

import asyncio
import errno
import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from circumtest.errors import TunnelDown
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.associate import said
from circumtest.path.causes import cause_of_errno
from circumtest.path.direct import BACKLOG, family
from circumtest.scrub import scrub
from circumtest.wire import http
from circumtest.wire.http import Head

_UNACKED = 24
"""Where `tcpi_unacked` stands in struct tcp_info (linux/tcp.h)."""

_BY_ERROR = {
    "connection_refused": errno.ECONNREFUSED,
    "connection_terminated": errno.ECONNRESET,
    "connection_timeout": errno.ETIMEDOUT,
    "destination_ip_unroutable": errno.EHOSTUNREACH,
    "destination_not_found": errno.EHOSTUNREACH,
    "destination_unavailable": errno.EHOSTUNREACH,
}
"""Proxy-Status, parameter `error` (RFC 9209 section 2.3), as far as it is about the target."""
_BY_STATUS = {502: errno.EHOSTUNREACH, 503: errno.EHOSTUNREACH, 504: errno.ETIMEDOUT}


@dataclass(frozen=True)
class HttpProxy:
    """A proxy by address; `user` is "" where it wants none.

    With `tls` it is spoken to over TLS and has to have a certificate for `name`.
    """

    address: Address
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    name: str = ""


class HttpPath:
    """Channels through `proxy`, whose own packets leave from `underlay`.

    What is remembered for `fault` lasts until the next `open`: one trial's evidence never taints
    the next.
    """

    name = "http-connect"
    transports = frozenset({Transport.TCP})
    mtu: ClassVar[int | None] = None
    dns: ClassVar[tuple[str, ...]] = ()
    silence: ClassVar[TunnelFault] = TunnelFault.HANDSHAKE
    words: ClassVar[str] = ""

    def __init__(self, underlay: Netns, proxy: HttpProxy, exits: frozenset[str]) -> None:
        self._underlay, self._proxy, self._exits = underlay, proxy, exits
        self._known: TunnelDown | None = None
        self._heard = False

    @property
    def exits(self) -> frozenset[str]:
        return self._exits

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A channel to `remote` through the proxy.

        Raises OSError for what the proxy said of the target (TimeoutError when it said nothing, but
        is there); TunnelDown for what it said of itself: HANDSHAKE when it is not reached, is not
        who it should be or is no HTTP proxy, AUTH when it does not let us, NO_DATA when it fails,
        NO_UDP for UDP.
        """
        if transport is not Transport.TCP:
            raise TunnelDown(TunnelFault.NO_UDP, "an HTTP proxy carries TCP only")
        self._known = None
        end = asyncio.get_running_loop().time() + timeout
        stream = await self._reach(remote, sink, end)
        try:
            stream.send(http.connect(*remote, self._proxy.user, self._proxy.password), remote)
            no = refusal(await self._answer(stream, end), bool(self._proxy.user))
        except BaseException:
            stream.close()
            raise
        if no is not None:
            stream.close()
            raise no
        return stream

    def fault(self) -> TunnelDown | None:
        """NO_DATA when the TLS with the proxy broke in the middle."""
        return self._known

    async def check(self, timeout: float) -> None:
        """Reach the proxy, TLS included, which proves nothing more.  Raises TunnelDown."""
        end = asyncio.get_running_loop().time() + timeout
        stream = await self._reach(self._proxy.address, lambda _data, _source: None, end)
        stream.close()

    async def _reach(self, remote: Address, sink: Sink, end: float) -> "_Stream":
        """A connection to the proxy, with TLS where it is wanted.  Raises TunnelDown(HANDSHAKE)."""
        proxy, loop = self._proxy, asyncio.get_running_loop()
        sock = self._underlay.socket(family(proxy.address), socket.SOCK_STREAM)
        try:
            async with asyncio.timeout_at(end):
                await loop.sock_connect(sock, proxy.address)
        except OSError as error:
            sock.close()
            raise _handshake(f"cannot reach the proxy: {said(error)}") from None
        except BaseException:
            sock.close()
            raise
        try:
            async with asyncio.timeout_at(end):
                _, stream = await loop.create_connection(
                    lambda: _Stream(remote, sink, self._broken),
                    sock=sock,
                    ssl=proxy.tls,
                    server_hostname=proxy.name if proxy.tls else None,
                )
        except ssl.SSLCertVerificationError as error:
            why = scrub(error.verify_message, (proxy.name,))
            raise _handshake(f"the proxy's certificate is not to be trusted: {why}") from None
        except ssl.SSLError as error:
            why = (error.reason or "no TLS").lower().replace("_", " ")
            raise _handshake(f"the proxy does not speak TLS with us: {why}") from None
        except TimeoutError:
            raise _handshake("the proxy does not answer to TLS") from None
        except OSError:
            raise _handshake("the proxy hung up in the middle of the TLS handshake") from None
        return stream

    async def _answer(self, stream: "_Stream", end: float) -> Head:
        """The proxy's answer.  Raises what its silence means: until it was heard, it is its own.

        Over TLS it has been heard on this very connection; and a request that its end did not even
        acknowledge has not arrived.
        """
        try:
            async with asyncio.timeout_at(end):
                head = await stream.answer
        except TimeoutError:
            if (self._heard or self._proxy.tls) and not stream.unacknowledged():
                raise TimeoutError("the proxy says nothing about the target") from None
            raise _handshake("the proxy does not answer") from None
        self._heard = True
        return head

    def _broken(self, detail: str) -> None:
        self._known = self._known or TunnelDown(TunnelFault.NO_DATA, detail)


def refusal(head: Head, login: bool) -> Exception | None:
    """What an answer other than 2xx means: OSError of the target, TunnelDown of the proxy itself.

    `login` is whether one was given.  502, 503 and 504 are a gateway's words about what is behind
    it (RFC 9110 section 15.6), a 503 with Retry-After about itself; tinyproxy says 500 instead.
    """
    status, says = head.status, f"the proxy says: {head.status}"
    if 200 <= status < 300:
        return None
    if status in (401, 407):
        asks = head.fields.get("proxy-authenticate") or head.fields.get("www-authenticate", "")
        if asks and not re.search(r"\bbasic\b", asks, re.IGNORECASE):
            detail = "the proxy wants a login of a kind that is not known here (only Basic is)"
        elif login:
            detail = "the proxy refuses the user or the password"
        else:
            detail = "the proxy wants a user and a password"
        return TunnelDown(TunnelFault.AUTH, detail)
    if status == 403:
        return TunnelDown(TunnelFault.AUTH, "the proxy's rules do not allow it")
    if (number := _of_target(head)) is not None:
        return OSError(number, says)
    if status >= 500 or status == 429:
        return TunnelDown(TunnelFault.NO_DATA, f"{says}, and not whose fault it is")
    return _handshake(f"what should be a proxy answers CONNECT with {status}")


def _of_target(head: Head) -> int | None:
    told = re.search(r"\berror=([a-z_]+)", head.fields.get("proxy-status", ""))
    if told:
        return _BY_ERROR.get(told[1])
    squid = re.fullmatch(r"ERR_CONNECT_FAIL (\d+)", head.fields.get("x-squid-error", ""))
    if squid and cause_of_errno(int(squid[1])):  # its own system's number: mostly Linux, like here
        return int(squid[1])
    if head.status == 500 and head.reason.lower() == "unable to connect":
        return errno.EHOSTUNREACH
    return None if "retry-after" in head.fields else _BY_STATUS.get(head.status)


class _Stream(asyncio.Protocol):
    """A connection to the proxy, and the channel that it becomes once `answer` is a 2xx."""

    def __init__(self, remote: Address, sink: Sink, broken: Callable[[str], None]) -> None:
        self._remote, self._sink, self._broken = remote, sink, broken
        self._waiting = b""
        self._granted = False
        self.answer: asyncio.Future[Head] = asyncio.get_running_loop().create_future()

    def send(self, data: bytes, remote: Address) -> None:  # noqa: ARG002  # a stream has one
        """Send more of the stream.  Silently nothing once it is broken: the sink was told."""
        if self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > BACKLOG:
            self._tell(Cause.ABORTED)
            self.close()

    def close(self) -> None:
        """Close it; what still waits to be written is lost."""
        self._granted = False
        self.answer.cancel()
        self._transport.abort()

    def unacknowledged(self) -> int:
        """How many segments the proxy's end has not acknowledged."""
        sock = self._transport.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (count,) = struct.unpack_from("=I", info, _UNACKED)
        return int(count) + bool(self._transport.get_write_buffer_size())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            self._tell(data)
            return
        self._waiting += data
        try:
            # Interim answers may come first (RFC 9110 section 15.2).
            while (head := http.head(self._waiting)) is not None and head.status < 200:
                self._waiting = self._waiting[head.length :]
        except ValueError as error:
            self._fail(f"the proxy: {error}")
            return
        if head is None:
            return
        self.answer.set_result(head)
        self._granted = head.status < 300
        rest, self._waiting = self._waiting[head.length :], b""
        if rest:
            self._tell(rest)

    def eof_received(self) -> bool:
        """The other half stays usable, but TLS has no halves."""
        self._fail("the proxy hung up without an answer")
        self._tell(Cause.EOF)
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, error: Exception | None) -> None:
        """The end: told once, unless it was ours."""
        if isinstance(error, ssl.SSLError):  # its errno is TLS's own
            self._broken("the TLS connection to the proxy broke")
            number = errno.ECONNRESET
        else:
            number = (isinstance(error, OSError) and error.errno) or errno.ECONNRESET
        self._fail(f"the connection to the proxy broke: {said(OSError(number, ''))}")
        if error:
            self._tell(cause_of_errno(number) or Cause.RESET)

    def _tell(self, what: bytes | Cause) -> None:
        if self._granted:
            self._sink(what, self._remote)

    def _fail(self, detail: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(_handshake(detail))


def _handshake(detail: str) -> TunnelDown:
    return TunnelDown(TunnelFault.HANDSHAKE, detail)
