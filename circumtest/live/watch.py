"""The uplink watched while a call plays inside a tunnel: whatever goes around it voids the trial.

A packet is a leak when it leaves by a device that is not the tunnel's, while an inside arm plays,
to a target, or to a resolver with a question about one.  Flows that began before are none of the
arm's: what the outside arm left behind is still sent for a while, and the person's own programs
may talk to the same hosts.  Another program that begins to talk to a target meanwhile does count:
nobody can tell it from a leak.  It refuses to be silent where it could not watch, or missed some.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from circumtest.live.sieve import LONGEST, program, seen
from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.netns.packets import lost, packet_socket, passed

FLOWS = 4096
"""Flows that are remembered of the time before: of more, the oldest are forgotten, which may call
something a leak that is none, never the other way round."""

_BUFFER = 8 << 20
_BURST = 256
_ALL = 1_000_000

_Flow = tuple[str, Address, Address]


@dataclass(frozen=True)
class Leak:
    """Packets that left beside the tunnel.

    `kind` is "target", "ipv6" (to a target's IPv6 address) or "dns" (a question about a target);
    `transport` is "UDP", "TCP" or "IP", what is neither.
    """

    kind: str
    packets: int
    transport: str

    def __str__(self) -> str:
        what = {
            "target": "went to the target",
            "ipv6": "went to the target's IPv6 address",
            "dns": "asked for the target's name",
        }[self.kind]
        packets = "1 packet" if self.packets == 1 else f"{self.packets} packets"
        return (
            f"{packets} ({self.transport}) {what} outside of the tunnel,"
            " of the tunnel or of another program here"
        )


@dataclass(frozen=True)
class Targets:
    """What may not leave beside the tunnel, and what is the tunnel itself.

    `hosts` are addresses, `names` are asked of resolvers; devices `within` are the tunnel's, and
    packets to one of `servers` carry it, where such a server is a target too.
    """

    hosts: frozenset[str]
    names: frozenset[str]
    within: frozenset[str]
    servers: frozenset[Address]


class Watch:
    """A running watch, which heeds nothing at first.  Made by `watching`."""

    def __init__(self, targets: Targets, sock: socket.socket | None, fault: str | None) -> None:
        self._targets, self._sock, self._fault = targets, sock, fault
        self._heeds = False
        self._before: dict[_Flow, None] = {}
        self._found: Counter[tuple[str, str]] = Counter()
        self._missed = 0
        self._loop = asyncio.get_running_loop()
        if sock:
            self._loop.add_reader(sock, self._take)

    def heed(self, on: bool) -> None:
        """Whether an inside arm plays from now on; what left until now is counted as it was."""
        self._take(_ALL)
        self._heeds = on

    def leaks(self) -> tuple[Leak, ...]:
        """What was found until now, of all the time that it heeded."""
        self._take(_ALL)
        return tuple(
            Leak(kind, packets, transport)
            for (kind, transport), packets in sorted(self._found.items())
        )

    def fault(self) -> str | None:
        """None, or why nobody could watch, or how many packets nobody saw."""
        self._take(_ALL)
        if self._sock:
            self._missed += lost(self._sock)
        if self._missed:
            return f"the watch of the uplink had no room for {self._missed} packets"
        return self._fault

    def end(self) -> None:
        """Stop watching; what was found is still known."""
        self._take(_ALL)
        if self._sock:
            self._missed += lost(self._sock)
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def _take(self, limit: int = _BURST) -> None:
        if self._sock is None:
            return
        for _ in range(limit):
            try:
                _, packet, source = passed(self._sock, LONGEST)
            except BlockingIOError:
                return
            except OSError:  # a device went down: the socket says so once, and goes on
                continue
            if source[0] not in self._targets.within:
                self._look(packet)

    def _look(self, packet: bytes) -> None:
        try:
            one = seen(packet)
        except ValueError:
            return
        flow = one.transport, one.source, one.target
        if not self._heeds:
            self._before.pop(flow, None)
            self._before[flow] = None
            if len(self._before) > FLOWS:
                del self._before[next(iter(self._before))]
        elif one.question in self._targets.names:
            self._found["dns", one.transport] += 1
        elif flow in self._before or one.target in self._targets.servers:
            pass
        elif one.target.host in self._targets.hosts:
            self._found["ipv6" if one.target.version == 6 else "target", one.transport] += 1


@asynccontextmanager
async def watching(
    netns: Netns,
    hosts: Iterable[str],
    names: Iterable[str],
    *,
    within: Iterable[str] = (),
    servers: Iterable[Address] = (),
) -> AsyncIterator[Watch]:
    """Watch all devices of `netns` until the end of the block.

    `hosts` are the targets' addresses and `names` their names; `within` are devices that are the
    tunnel (`interface:wg0`), and what goes to `servers` carries it, for a target that is on the
    same machine as the tunnel's server.  Where nobody may listen the watch's `fault` says so.
    Raises ValueError for a host that is no address, and for more than a filter can name.
    """
    targets = Targets(
        frozenset(str(ip_address(host)) for host in hosts),
        frozenset(name.lower().rstrip(".") for name in names) - {""},
        frozenset(within),
        frozenset(servers),
    )
    sock, fault = None, None
    # By their numbers too: a packet that is read when its device is gone has no name any more.
    numbers = await netns.acall(_numbers, targets.within)
    wanted = program(sorted(targets.hosts), numbers)
    try:
        sock = packet_socket(netns, _BUFFER, program=wanted, kind=socket.SOCK_DGRAM)
    except PermissionError:
        fault = (
            "an ordinary user may not watch the machine's own uplink: whether packets went around"
            " the tunnel is not known; as root it is"
        )
    watch = Watch(targets, sock, fault)
    try:
        yield watch
    finally:
        watch.end()


def _numbers(devices: Iterable[str]) -> list[int]:
    """Of those that are there."""
    found = []
    for device in devices:
        with suppress(OSError):
            found.append(socket.if_nametoindex(device))
    return found
