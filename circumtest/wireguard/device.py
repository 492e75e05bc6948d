"""A WireGuard device: the kernel's where there is one, else wireguard-go on a TUN device.

Born in one namespace and moved to another, its encrypted packets go on leaving from the first.
It refuses to know what is routed into it.
"""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

from circumtest.errors import EnvironmentUnfit
from circumtest.inside import device_name
from circumtest.model import Address
from circumtest.netns import Netns, WireguardPeer
from circumtest.process import Daemon, ProcessEnded, daemon
from circumtest.wireguard import uapi
from circumtest.wireguard.quick import Peer
from circumtest.wireguard.uapi import Counters

Kind = Literal["auto", "kernel", "userspace"]

START = 10.0
"""Seconds that wireguard-go may take to listen for its configuration (it takes about 30 ms)."""

_TUN = Path("/dev/net/tun")
_SOCKETS = Path("/var/run/wireguard")


class Device(Protocol):
    """A device, wherever it is now.  `counters` blocks for well under a millisecond."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Literal["kernel", "userspace"]: ...
    @property
    def log(self) -> str:
        """What the daemon wrote; "" for the kernel."""
        ...

    def ended(self) -> ProcessEnded | None:
        """How the daemon ended, None while it lives (the kernel always does)."""
        ...

    async def configure(
        self, private_key: bytes, listen_port: int, peers: tuple[Peer, ...]
    ) -> None: ...
    async def move(self, to: Netns) -> None: ...
    def counters(self) -> Counters: ...


@asynccontextmanager
async def wireguard_device(netns: Netns, kind: Kind = "auto") -> AsyncIterator[Device]:
    """A new device in `netns`, without key or peers; gone on exit.

    Raises EnvironmentUnfit when this machine has none of the wanted kind, ProcessEnded when
    wireguard-go does not start.
    """
    # Sockets of all devices share one directory, and other workers make devices too.
    name = device_name("wg")
    if kind != "userspace":
        try:
            await netns.wireguard(name)
        except EnvironmentUnfit:
            if kind == "kernel":
                raise
        else:
            kernel = _Kernel(netns, name)
            try:
                yield kernel
            finally:
                await kernel.delete()
            return
    async with userspace_device(netns, name, "wireguard-go", _SOCKETS) as device:
        yield device


@asynccontextmanager
async def userspace_device(
    netns: Netns, name: str, program: str, sockets: Path, more: Iterable[str] = ()
) -> AsyncIterator[Device]:
    """The device of a daemon of wireguard-go's kind, which keeps its socket in `sockets`.

    `more` are lines of its configuration that only this kind knows.
    """
    _tun_or_unfit()
    argv, env = [program, "-f", name], {"LOG_LEVEL": "verbose"}
    socket_file = sockets / f"{name}.sock"
    try:
        async with daemon(netns, argv, env=env) as process:
            await process.line("UAPI listener started", START)
            yield _Userspace(netns, name, process, socket_file, tuple(more))
    finally:
        socket_file.unlink(missing_ok=True)  # a killed daemon leaves it


class _Kernel:
    kind: Literal["kernel"] = "kernel"
    log = ""

    def __init__(self, netns: Netns, name: str) -> None:
        self._netns, self.name = netns, name

    def ended(self) -> None:
        return None

    async def configure(
        self, private_key: bytes, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        await self._netns.set_wireguard(
            self.name, _text(private_key), tuple(map(_peer, peers)), listen_port=listen_port or None
        )

    async def move(self, to: Netns) -> None:
        await self._netns.move(self.name, to)
        self._netns = to

    def counters(self) -> Counters:
        return Counters(*self._netns.wireguard_counters(self.name))

    async def delete(self) -> None:
        with suppress(OSError):  # it is gone with its namespace
            await self._netns.configure(lambda links: links.delete(self.name))


class _Userspace:
    kind: Literal["userspace"] = "userspace"

    def __init__(
        self, netns: Netns, name: str, process: Daemon, socket_file: Path, more: tuple[str, ...]
    ) -> None:
        self._netns, self.name, self._process = netns, name, process
        self._socket, self._more = socket_file, more

    @property
    def log(self) -> str:
        return self._process.log

    def ended(self) -> ProcessEnded | None:
        return None if self._process.alive else self._process.post_mortem()

    async def configure(
        self, private_key: bytes, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        request = uapi.configure(private_key, listen_port, peers, self._more)
        answer = await asyncio.to_thread(self._ask, request)
        if number := uapi.refused(answer):
            said = f"{self._process.name}: {os.strerror(abs(number))}"
            raise OSError(abs(number), said)

    async def move(self, to: Netns) -> None:
        await self._netns.move(self.name, to)
        self._netns = to

    def counters(self) -> Counters:
        """Raises OSError when the daemon is gone."""
        return uapi.counters(self._ask(uapi.ASK))

    def _ask(self, request: bytes) -> bytes:
        # A socket in the file system belongs to no network namespace.
        with socket.socket(socket.AF_UNIX) as daemon_socket:
            daemon_socket.settimeout(START)
            daemon_socket.connect(str(self._socket))
            daemon_socket.sendall(request)
            answer = b""
            while not answer.endswith(b"\n\n"):
                chunk = daemon_socket.recv(65536)
                if not chunk:
                    raise ConnectionResetError(f"{self._process.name} hung up")
                answer += chunk
            return answer


def _tun_or_unfit() -> None:
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        remedy = "as root: modprobe tun (in a container: --device /dev/net/tun)"
        raise EnvironmentUnfit(f"there is no {_TUN}", remedy) from None
    except OSError as error:
        remedy = f"as root: chmod 0666 {_TUN}"
        raise EnvironmentUnfit(f"{_TUN} cannot be opened: {error.strerror}", remedy) from None


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _peer(peer: Peer) -> WireguardPeer:
    return WireguardPeer(
        _text(peer.public_key),
        peer.allowed_ips,
        Address(*peer.endpoint) if peer.endpoint else None,
        _text(peer.preshared_key) if peer.preshared_key else "",
        peer.keepalive,
    )
