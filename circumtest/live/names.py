"""How names become addresses in every world: the system's resolvers, seen from everywhere.

The private world hides /run, into which /etc/resolv.conf often points: the file is put back as it
was.  A resolver on the machine's own loopback (127.0.0.53) is not to be reached from a namespace
with an uplink of its own: there the same address answers, and each question is carried home.  It
refuses to look into a question or an answer.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

from circumtest.model import Address, Cause
from circumtest.netns import Netns
from circumtest.path import Conn
from circumtest.path.direct import adopt_tcp, open_tcp, open_udp

_RUN = Path("/run")
_PORT = 53
_LARGEST = 65535
_ASKERS = 32
"""Who may wait for answers over UDP at a time: the oldest is given up for a new one."""
_STREAMS = 16
"""Questions over TCP at a time."""
_PATIENCE = 10.0


def configuration(file: Path) -> str:
    """What the resolver's file says, "" when it cannot be read."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def resolvers(text: str) -> tuple[str, ...]:
    """The addresses of resolv.conf(5); of none, the loopback's, as the C library has it."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        with contextlib.suppress(ValueError):
            ip_address(words[1])  # with its zone, if it has one: fe80::1%eth0
            found.append(words[1])
    return tuple(dict.fromkeys(found)) or ("127.0.0.1",)


def restore(file: Path, text: str, hidden: Path = _RUN) -> None:
    """Put back what `file` pointed to, where a new /run hides it.

    Where it cannot be put back, names are not resolved, which whoever asks is told.
    """
    target = file.resolve()
    if not text or target.exists() or hidden not in target.parents:
        return
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


@asynccontextmanager
async def within(netns: Netns, home: Netns, addresses: Sequence[str]) -> AsyncIterator[None]:
    """While the block lasts, each resolver on home's loopback answers in `netns` likewise."""
    async with AsyncExitStack() as stack:
        for host in addresses:
            if not ip_address(host).is_loopback:
                continue
            place = Address(host, _PORT)
            with contextlib.suppress(OSError):  # no IPv6 here, say: then nobody asks there either
                await stack.enter_async_context(_Relay(netns, home, place).standing())
        yield


class _Relay:
    """One resolver's other half: what comes to `place` in `netns` is carried to `place` at home."""

    def __init__(self, netns: Netns, home: Netns, place: Address) -> None:
        self._netns, self._place = netns, place
        self._home = home
        self._asking: dict[Address, Conn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        family = socket.AF_INET6 if self._place.version == 6 else socket.AF_INET
        with contextlib.ExitStack() as stack:
            udp = stack.enter_context(self._netns.socket(family, socket.SOCK_DGRAM))
            tcp = stack.enter_context(self._netns.socket(family, socket.SOCK_STREAM))
            udp.bind(self._place)
            tcp.bind(self._place)
            tcp.listen()
            for sock, heard in ((udp, self._asked), (tcp, self._called)):
                self._loop.add_reader(sock, heard, sock)
                stack.callback(self._loop.remove_reader, sock)
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                for conn in self._asking.values():
                    conn.close()

    def _asked(self, udp: socket.socket) -> None:
        with contextlib.suppress(OSError):  # nothing there after all, or no way to the resolver
            data, source = udp.recvfrom(_LARGEST)
            self._asker(udp, Address(*source[:2])).send(data, self._place)

    def _asker(self, udp: socket.socket, asker: Address) -> Conn:
        """The socket at home that asks for `asker`.  Raises OSError."""

        def answered(data: bytes | Cause, source: Address) -> None:  # noqa: ARG001  # it has one
            if isinstance(data, bytes):
                with contextlib.suppress(OSError):  # a full socket, or the end: asked again
                    udp.sendto(data, asker)

        if asker not in self._asking:
            conn = open_udp(self._home, self._place, answered)
            if len(self._asking) >= _ASKERS:
                self._asking.pop(next(iter(self._asking))).close()
            self._asking[asker] = conn
        return self._asking[asker]

    def _called(self, tcp: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock, _ = tcp.accept()
            if len(self._tasks) >= _STREAMS:
                sock.close()
                return
            task = self._loop.create_task(self._carry(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, sock: socket.socket) -> None:
        """A stream, both ways, until either end has said all."""
        over = asyncio.Event()
        ends: dict[str, Conn] = {}
        early = bytearray()

        def passed(to: str, data: bytes | Cause) -> None:
            if isinstance(data, Cause):
                over.set()
            elif to in ends:
                ends[to].send(data, self._place)
            else:
                early.extend(data)

        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            near = adopt_tcp(sock, lambda data, _: passed("far", data), self._place)
            stack.callback(near.close)
            ends["near"] = near
            far = await open_tcp(
                self._home, self._place, lambda data, _: passed("near", data), _PATIENCE
            )
            stack.callback(far.close)
            far.send(bytes(early), self._place)
            ends["far"] = far
            async with asyncio.timeout(_PATIENCE):
                await over.wait()
