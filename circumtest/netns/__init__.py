"""One network namespace with one thread living in it.

The namespace is anonymous: it is held by an open file descriptor and by the thread, has no name
under `/run/netns`, and is gone with the process, however that ends.  Sockets born on the thread
stay in the namespace wherever they are used, so one event loop serves them all; a process started
on it lives there too.  It refuses to know what the namespace is for.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from circumtest.errors import EnvironmentUnfit
from circumtest.netns.links import CABLE_ENDS, Links, WireguardPeer, end_netlink, netlink
from circumtest.netns.seen import Device

__all__ = ["CABLE_ENDS", "Device", "Links", "Netns", "WireguardPeer"]

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SIOCGSKNS = 0x894C
_SETTLE = 5.0
_STOCK = 16
_STOCKED = {
    (family, kind)
    for family in (socket.AF_INET, socket.AF_INET6)
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
}
_Job = tuple[Callable[[], Any], "Future[Any]"]


class Netns:
    """A namespace, its descriptor and its thread.  Made by `new`, `here`, or `enter` of another's.

    `fd` is -1 where a namespace that is not ours cannot be held on to.
    """

    def __init__(self, name: str, go: Callable[[], int], *, own: bool) -> None:
        self.name = name
        self._go, self._own = go, own
        self.fd = -1
        self._stock: dict[tuple[int, int, int], list[socket.socket]] = {}
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._born: Future[int] = Future()
        self._gone: Future[None] = Future()
        for future in (self._born, self._gone):
            # Whoever waits may be cancelled: the thread's word must not be.
            future.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=self._live, name=f"netns {name}", daemon=True)

    @classmethod
    @asynccontextmanager
    async def new(cls, name: str) -> AsyncIterator["Netns"]:
        """A new, empty namespace: `lo` is up, nothing else is there.

        On exit its thread ends, its descriptor is closed, and processes that outlived their parent
        in it are killed; the kernel takes it, and every interface in it, once the last socket in it
        is closed.  Raises EnvironmentUnfit when this process may not make one.
        """
        async with cls(name, _unshare, own=True)._lived_in() as netns:
            yield netns

    @classmethod
    @asynccontextmanager
    async def enter(cls, file: str | Path, name: str) -> AsyncIterator["Netns"]:
        """A namespace that somebody else made, by its file (`/run/netns/NAME`).

        Nothing in it is changed, and on exit nothing of it but our own thread and descriptor goes.
        Raises OSError when the file cannot be opened or is no network namespace's, EnvironmentUnfit
        when this process may not enter it.
        """
        async with cls(name, lambda: _enter(file), own=False)._lived_in() as netns:
            yield netns

    @classmethod
    @asynccontextmanager
    async def here(cls, name: str) -> AsyncIterator["Netns"]:
        """The namespace that the calling thread is in now: its own thread stays there.

        Wherever the caller moves afterwards.  Nothing in it is changed, and on exit nothing of it
        but our own thread and descriptor goes.
        """
        # A thread is born where the one that starts it is: nothing has to be entered.
        async with cls(name, _held, own=False)._lived_in() as netns:
            yield netns

    @asynccontextmanager
    async def _lived_in(self) -> AsyncIterator["Netns"]:
        self._thread.start()
        try:
            self.fd = await asyncio.wrap_future(self._born)
            yield self
        finally:
            self._jobs.put(None)
            await asyncio.wrap_future(self._gone)
            self._thread.join()  # it has nothing left to do
            for stock in self._stock.values():
                for unused in stock:
                    unused.close()
            self._stock.clear()
            if self.fd >= 0:
                if self._own:
                    _kill_inhabitants(self.fd)
                os.close(self.fd)
                self.fd = -1

    def __repr__(self) -> str:
        return f"<Netns {self.name} fd={self.fd}>"

    # -------------------------------------------------------------- the thread

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` on the namespace's thread and wait, blocking; for what takes microseconds.

        Raises what `fn` raises.
        """
        return self._submit(fn, *args, **kwargs).result()

    async def acall(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same without blocking the event loop: for what starts a process or talks netlink."""
        return await asyncio.wrap_future(self._submit(fn, *args, **kwargs))

    def socket(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        """A non-blocking, close-on-exec socket of this namespace.  Raises OSError.

        From the second UDP or TCP socket of a family on they are made in stock: the trip to the
        thread costs more than the socket.  Others would hear packets while they wait.
        """
        sort = (family, kind | socket.SOCK_NONBLOCK, proto)
        stock = self._stock.get(sort)
        if stock is None or (family, kind) not in _STOCKED:
            self._stock[sort] = []
            return self.call(socket.socket, *sort)
        if not stock:
            self.call(lambda: stock.extend(socket.socket(*sort) for _ in range(_STOCK)))
        return stock.pop()

    def _submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        if self._gone.done():
            raise RuntimeError(f"namespace {self.name} is gone")
        future: Future[T] = Future()
        self._jobs.put((lambda: fn(*args, **kwargs), future))
        return future

    def _live(self) -> None:
        try:
            fd = self._go()
        except (EnvironmentUnfit, OSError) as error:
            self._born.set_exception(error)
            self._gone.set_result(None)
            return
        self._born.set_result(fd)
        while (job := self._jobs.get()) is not None:
            run, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = run()
            except BaseException as error:  # noqa: BLE001  # belongs to the caller, not to the thread
                future.set_exception(error)
                del error
            else:
                future.set_result(result)
                del result
            del job, run, future  # or an idle thread would keep the last job's sockets alive
        end_netlink()
        self._gone.set_result(None)

    # -------------------------------------------------------------- links

    async def configure(self, build: Callable[[Links], T]) -> T:
        """Run `build(links)` on the thread: many operations for the price of one switch.

        Returns when the addresses that it added are in use.  Raises OSError with the kernel's errno
        and the operation that failed.
        """
        result = await self.acall(lambda: build(netlink()))
        await _until(lambda: self.acall(lambda: netlink().settled()))
        return result

    async def veth(self, name: str, peer: "Netns", peer_name: str) -> None:
        """A cable: `name` here, `peer_name` in `peer`, both up, fe80::1 and fe80::2.

        The ends' hardware addresses are `CABLE_ENDS`.  Packets pass when it returns.
        """
        await self.configure(lambda links: links.veth(name, peer.fd, peer_name))
        await peer.configure(lambda links: links.plug(peer_name, 2))
        await self.configure(lambda links: links.plug(name, 1))
        # The end that was up first learns of its carrier a moment later, and drops packets until
        # then.
        await _until(lambda: peer.acall(lambda: netlink().operating(peer_name)))

    async def address(self, link: str, address: str) -> None:
        """Give `link` an address with its prefix length, "192.0.2.1/24"."""
        await self.configure(lambda links: links.address(link, address))

    async def up(self, link: str) -> None:
        await self.configure(lambda links: links.up(link))

    async def mtu(self, link: str, octets: int) -> None:
        await self.configure(lambda links: links.mtu(link, octets))

    async def route(
        self,
        destination: str,
        via: str | None = None,
        dev: str | None = None,
        *,
        version: int | None = None,
    ) -> None:
        """Add a route; "default" takes its family from `via`, or from `version` (4 or 6)."""
        await self.configure(
            lambda links: links.route(destination, via=via, dev=dev, version=version)
        )

    async def move(self, link: str, to: "Netns") -> None:
        """Move a device: it arrives there down and without addresses."""
        await self.configure(lambda links: links.move(link, to.fd))

    async def forward(self) -> None:
        """Route packets of both families between the links."""
        await self.configure(Links.forward)

    async def sysctl(self, key: str, value: str | int) -> None:
        """Set "net.ipv4.ip_forward" and its kind in this namespace."""
        await self.configure(lambda links: links.sysctl(key, value))

    async def links(self) -> tuple[str, ...]:
        """The names of the devices, in the kernel's order."""
        return await self.configure(Links.names)

    def device(self, name: str) -> Device | None:
        """What a device is like just now, None when there is none of that name.

        Blocks for well under a millisecond.
        """
        return self.call(lambda: netlink().device(name))

    def ways_out(self) -> dict[int, str]:
        """By IP version (4, 6) the device by which packets leave for far away; likewise quick."""
        return self.call(lambda: netlink().ways_out())

    def way_to(self, host: str) -> str | None:
        """The device by which a packet to one address leaves, None without a route; quick."""
        return self.call(lambda: netlink().way_to(host))

    def ways_below(self) -> dict[int, str]:
        """By IP version the device by which a VPN that is on sends its own packets."""
        return self.call(lambda: netlink().ways_below())

    # -------------------------------------------------------------- WireGuard in the kernel

    async def wireguard(self, name: str, kind: str = "wireguard") -> None:
        """Create a kernel WireGuard device, or one of its kin ("amneziawg").

        Raises EnvironmentUnfit when the kernel has none.

        Its encrypted packets leave from the namespace it was born in, wherever it is moved.
        """
        await self.configure(lambda links: links.wireguard(name, kind))

    async def set_wireguard(
        self,
        name: str,
        private_key: str,
        peers: tuple[WireguardPeer, ...],
        *,
        listen_port: int | None = None,
    ) -> None:
        """Give a device that is in this namespace now its key, its port and its peers."""
        await self.configure(
            lambda links: links.set_wireguard(name, private_key, peers, listen_port)
        )

    async def last_handshakes(self, name: str) -> dict[str, float]:
        """Per peer (base64 public key) the Unix time of its last handshake, 0.0 for never."""
        return await self.configure(lambda links: links.last_handshakes(name))

    def wireguard_counters(self, name: str) -> tuple[float, int, int]:
        """All peers summed up: last handshake (Unix time, 0.0 for never), bytes in, bytes out.

        Blocks for well under a millisecond.  Raises OSError.
        """
        return self.call(lambda: netlink().wireguard_counters(name))


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so.  Raises TimeoutError after _SETTLE seconds.

    The kernel's notices would need a second netlink socket a namespace, and come no sooner.
    """
    async with asyncio.timeout(_SETTLE):
        while not await done():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def _unshare() -> int:
    """Move this thread to a new namespace, prepare it, and return a descriptor of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise EnvironmentUnfit(
            f"may not make network namespaces: {os.strerror(ctypes.get_errno())}",
            "run it through `circumtest`, which enters a private world first, or as root",
        )
    fd = _descriptor()
    netlink().prepare()
    return fd


def _enter(file: str | Path) -> int:
    """Move this thread to the namespace of a file, and return a descriptor of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    theirs = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(theirs, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            if number == errno.EPERM:
                raise EnvironmentUnfit(
                    f"may not enter the network namespace {file}", "run it as root"
                )
            raise OSError(number, "is no network namespace's file")
    finally:
        os.close(theirs)
    return _descriptor()


def _descriptor() -> int:
    """A descriptor of the namespace that this thread is in."""
    # Asked of a socket and not of /proc, which may belong to another PID namespace.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fd = fcntl.ioctl(any_socket, _SIOCGSKNS)
    os.set_inheritable(fd, False)
    return fd


def _held() -> int:
    """A descriptor of the namespace that this thread is in, ours or not; -1 when there is none."""
    try:
        return _descriptor()
    except PermissionError:  # SIOCGSKNS is for who rules the namespace
        with suppress(OSError):
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return -1


def _kill_inhabitants(fd: int) -> None:
    """Daemons that fork leave children in sessions of their own (danted does): end them too."""
    home = os.fstat(fd)
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        # What ended meanwhile, or belongs to somebody else, is none of ours.
        with suppress(OSError):
            if os.path.samestat(link.stat(), home):
                os.kill(int(link.parts[2]), signal.SIGKILL)
