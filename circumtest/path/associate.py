"""UDP ASSOCIATE: datagrams through a SOCKS5 proxy (RFC 1928 section 7).

The control connection stays open beside the UDP socket; when it ends, so does the association.
It refuses fragments, and datagrams from anywhere but the relay: they are dropped, and those that
are somebody's replies from a wrong address are reported.
"""

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import NoReturn

from circumtest.errors import TunnelDown
from circumtest.model import Address, Cause, TunnelFault
from circumtest.path import Sink
from circumtest.path.direct import UdpConn
from circumtest.wire import socks
from circumtest.wire.socks import Code, Method, Request

_SAYS: dict[int, int] = {
    Code.NETWORK_UNREACHABLE: errno.ENETUNREACH,
    Code.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    Code.REFUSED: errno.ECONNREFUSED,
    Code.TTL_EXPIRED: errno.ETIMEDOUT,  # danted says so when its own connect timed out
    Code.ADDRESS_NOT_SUPPORTED: errno.ENETUNREACH,
}
_MEANS: dict[int, tuple[TunnelFault, str]] = {
    Code.GENERAL_FAILURE: (TunnelFault.NO_DATA, "the proxy says: general failure"),
    Code.NOT_ALLOWED: (TunnelFault.AUTH, "the proxy's rules do not allow it"),
    Code.COMMAND_NOT_SUPPORTED: (TunnelFault.NO_DATA, "the proxy does not support the command"),
}


def said(error: OSError) -> str:
    """What the system calls the error; asyncio's own words would tell the proxy's address."""
    return os.strerror(error.errno).lower() if error.errno else "no answer"


def raise_for(code: int) -> NoReturn:
    """What a refusal means: OSError about the target, TunnelDown about the proxy itself."""
    if code in _SAYS:
        raise OSError(_SAYS[Code(code)], f"the proxy says: {Code(code).name.lower()}")
    fault, detail = _MEANS.get(code, (TunnelFault.NO_DATA, f"the proxy refused with code {code}"))
    raise TunnelDown(fault, detail)


async def greet(control: socket.socket, user: str, password: str) -> None:
    """Greeting and password.  Raises TunnelDown: AUTH, or HANDSHAKE for what is no SOCKS5."""
    methods = (Method.NONE, Method.PASSWORD) if user else (Method.NONE,)
    await _write(control, socks.greeting(*methods))
    try:
        chosen = socks.method(await _read(control, socks.METHOD_LENGTH))
        if chosen not in methods:
            wants = "" if user else ": it wants a user and a password"
            raise TunnelDown(TunnelFault.AUTH, f"the proxy accepts none of our methods{wants}")
        if chosen == Method.PASSWORD:
            await _write(control, socks.credentials(user.encode(), password.encode()))
            if not socks.granted(await _read(control, socks.STATUS_LENGTH)):
                raise TunnelDown(TunnelFault.AUTH, "the proxy refuses the user or the password")
    except ValueError as error:
        raise TunnelDown(TunnelFault.HANDSHAKE, f"the proxy: {error}") from None


async def associate(control: socket.socket, udp: socket.socket, proxy: Address) -> Address:
    """Ask for a relay for `udp` (bound here) over a greeted connection; the relay's address.

    Raises TunnelDown: NO_UDP when the proxy will not, HANDSHAKE for what is no SOCKS5.
    """
    # Address and port are left open: a NAT, or a proxy on the way, may change both, and a proxy
    # that was told them drops what comes from elsewhere (danted does; zeros: RFC 1928 section 6).
    anywhere = "::" if udp.family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104
    udp.bind((anywhere, 0))
    await _write(control, socks.request(Request.UDP_ASSOCIATE, anywhere, 0))
    told = b""
    try:
        while (reply := socks.reply(told)) is None:
            told += await _read(control, 1)
        if reply.code != Code.SUCCEEDED:
            known = {code.value: code.name.lower().replace("_", " ") for code in Code}
            why = known.get(reply.code, f"code {reply.code}")
            detail = f"the proxy refuses UDP ASSOCIATE: {why}"
            raise TunnelDown(TunnelFault.NO_UDP, detail)
        bound = ipaddress.ip_address(reply.host)
    except ValueError as error:
        raise TunnelDown(TunnelFault.HANDSHAKE, f"the proxy: {error}") from None
    if bound.is_unspecified:
        return Address(proxy.host, reply.port)
    if bound.version != proxy.version:
        raise TunnelDown(TunnelFault.NO_UDP, "the proxy's relay has no address of its own family")
    return Address(str(bound), reply.port)


class Association:
    """A channel through a relay.  `report` gets faults of the proxy, `closed` is told the end."""

    def __init__(
        self,
        control: socket.socket,
        udp: socket.socket,
        relay: Address,
        remote: Address,
        sink: Sink,
        report: Callable[[TunnelFault, str], None],
        closed: Callable[["Association"], None],
    ) -> None:
        self._control, self._relay, self._remote = control, relay, remote
        self._sink, self._report, self._closed = sink, report, closed
        self._asked: set[Address] = set()
        self._udp = UdpConn(udp, self._arrived)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control.fileno(), self._watch)

    def send(self, data: bytes, remote: Address) -> None:
        self._asked.add(remote)
        self._udp.send(socks.datagram(remote.host, remote.port, data), self._relay)

    def close(self) -> None:
        self._udp.close()
        if (fd := self._control.fileno()) >= 0:
            self._loop.remove_reader(fd)
            self._control.close()
        self._closed(self)

    def _arrived(self, data: bytes | Cause, source: Address) -> None:
        if isinstance(data, Cause):
            # An ICMP error on the way to the relay is the tunnel's trouble, not the target's.
            if source == self._relay:
                self._report(TunnelFault.NO_DATA, f"the proxy's relay: {data}")
                self._sink(data, self._remote)
            return
        try:
            datagram = socks.parse_datagram(data)
        except ValueError:
            return
        told = Address(datagram.host, datagram.port)
        if source == self._relay:
            self._sink(datagram.payload, told)
        elif told in self._asked:
            detail = "replies come from another address than the relay's and were dropped"
            self._report(TunnelFault.WRONG_SOURCE, detail)

    def _watch(self) -> None:
        """The control connection has something to say: only its end means anything."""
        try:
            if self._control.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:  # a reset is an end
            pass
        self._loop.remove_reader(self._control.fileno())
        self._report(TunnelFault.NO_DATA, "the proxy ended the UDP association")
        self._sink(Cause.EOF, self._remote)


async def _write(control: socket.socket, data: bytes) -> None:
    try:
        await asyncio.get_running_loop().sock_sendall(control, data)
    except OSError as error:
        raise _broken(said(error)) from None


async def _read(control: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes.  Raises TunnelDown(HANDSHAKE) when the connection ends before."""
    data = b""
    while len(data) < size:
        try:
            chunk = await asyncio.get_running_loop().sock_recv(control, size - len(data))
        except OSError as error:
            raise _broken(said(error)) from None
        if not chunk:
            raise _broken("it hung up")
        data += chunk
    return data


def _broken(why: str) -> TunnelDown:
    return TunnelDown(TunnelFault.HANDSHAKE, f"the connection to the proxy broke: {why}")
