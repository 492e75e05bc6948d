"""An ordinary user's way out for a namespace of his own: pasta, or slirp4netns.

They are ordinary programs that open ordinary sockets where the network is, and speak for whoever
is in the namespace: nothing is asked of the machine but user namespaces.  It refuses to let the
namespace reach what listens on the machine's own loopback, and to open a port to it.
"""

import asyncio
import ctypes
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass

from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Links, Netns
from circumtest.process import Daemon, ProcessEnded, daemon, private_dir

PATIENCE = 5.0
"""Seconds in which a program must have made the way out."""
LINK = "uplink"
"""The device of the namespace."""

_SIOCGSKNS = 0x894C
_MS_BIND, _MNT_DETACH = 0x1000, 2
_DEFAULT_MTU = 1500
_TUN = "/dev/net/tun"
_WITHOUT = "tunnels with a device (WireGuard, OpenVPN, IKEv2, AnyConnect) cannot be tried"


@dataclass(frozen=True)
class Carried:
    """The namespace and who carries it, or None and why not."""

    netns: Netns | None
    name: str
    left_out: tuple[str, ...]


def rules_here() -> bool:
    """Whether this process may make devices in the namespace that this thread is in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            os.close(fcntl.ioctl(any_socket, _SIOCGSKNS))
        except PermissionError:
            return False
    return True


async def choose(stack: AsyncExitStack, home: Netns) -> Carried:
    """A new namespace with the first way out that works here: pasta's, then slirp4netns's.

    It lasts as long as `stack`.
    """
    if not home.ways_out():
        return Carried(None, "", (f"{_WITHOUT}: no route leads out of here",))
    if not os.access(_TUN, os.R_OK | os.W_OK):
        remedy = f"as root: modprobe tun; chmod 666 {_TUN}"
        return Carried(None, "", (f"{_WITHOUT}: {_TUN} is not open to users.  {remedy}",))
    why = []
    for name, carry in CARRIERS.items():
        async with AsyncExitStack() as trying:
            try:
                netns = await trying.enter_async_context(Netns.new("underlay"))
                await trying.enter_async_context(carry(netns, home))
            except EnvironmentUnfit as unfit:
                why.append(f"{unfit.missing} ({unfit.remedy})")
                continue
            except TimeoutError:
                why.append(f"{name} made no way out within {PATIENCE:.0f} s")
                continue
            except (ProcessEnded, OSError) as error:
                why.append(f"{name} does not work here ({str(error).splitlines()[-1]})")
                continue
            stack.push_async_exit(trying.pop_all())
            return Carried(netns, name, ())
    remedy = "one of the two is enough; or run it as root"
    return Carried(None, "", (f"{_WITHOUT}: {'; '.join(why)}.  {remedy}",))


@asynccontextmanager
async def pasta(netns: Netns, home: Netns) -> AsyncIterator[None]:
    """The namespace gets home's own addresses and routes, IPv4 and IPv6 as home has them.

    Raises EnvironmentUnfit when it is not installed, ProcessEnded or TimeoutError with its words
    when it makes no way out.
    """
    argv = [
        *("pasta", "--foreground", "--stderr", "--netns-only", "--config-net"),
        *("--no-map-gw", "--ns-ifname", LINK, "--mtu", str(_mtu(home))),
        *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
    ]
    with _file(netns) as file:
        async with daemon(home, [*argv, "--netns", file]) as running:
            await _ready(netns, running, home.ways_out().keys())
            yield


@asynccontextmanager
async def slirp4netns(netns: Netns, home: Netns) -> AsyncIterator[None]:
    """The namespace is 10.0.2.100, and fd00::100 where home has IPv6.  Raises as `pasta`."""
    version6 = 6 in home.ways_out()
    argv = [
        *("slirp4netns", "--configure", "--disable-host-loopback", "--disable-dns"),
        *("--mtu", str(_mtu(home)), "--netns-type", "path"),
        *(("--enable-ipv6",) if version6 else ()),
    ]

    def settle(links: Links) -> None:
        # It announces itself as a router, to which a namespace of ours does not listen.
        links.address(LINK, "fd00::100/64")
        links.route("default", via="fd00::2")

    with _file(netns) as file:
        async with daemon(home, [*argv, file, LINK]) as running:
            await _ready(netns, running, {4})
            if version6:
                await netns.configure(settle)
            yield


CARRIERS: dict[str, Callable[[Netns, Netns], AbstractAsyncContextManager[None]]] = {
    "pasta": pasta,
    "slirp4netns": slirp4netns,
}


async def _ready(netns: Netns, running: Daemon, versions: Collection[int]) -> None:
    """Wait until a route leads out over every one of the IP `versions`."""
    async with asyncio.timeout(PATIENCE):
        while not set(versions) <= netns.ways_out().keys():
            if not running.alive:
                raise running.post_mortem()
            await asyncio.sleep(0.01)
    await netns.configure(lambda _: None)  # its addresses are in use


@contextmanager
def _file(netns: Netns) -> Iterator[str]:
    """A file of the namespace: those in /proc may be opened by who has all of our rights only."""
    libc = ctypes.CDLL(None, use_errno=True)
    with private_dir() as place:
        file = place / "netns"
        file.touch()
        if libc.mount(b"/proc/self/fd/%d" % netns.fd, bytes(file), None, _MS_BIND, None) != 0:
            raise OSError(ctypes.get_errno(), "the namespace cannot be given a name")
        try:
            yield str(file)
        finally:
            libc.umount2(bytes(file), _MNT_DETACH)


def _mtu(home: Netns) -> int:
    """What home's own way out carries, so that nothing has to be cut in pieces there."""
    ways = home.ways_out()
    devices = [home.device(name) for name in ways.values()]
    return min((device.mtu for device in devices if device), default=_DEFAULT_MTU)
