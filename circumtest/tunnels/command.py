"""A VPN that somebody starts with a command of their own, whatever it is.

`start`, `ready` and `stop` are lists of words: no shell reads them.  What the command leaves (a
SOCKS port, a device, a namespace) is a tunnel by itself, and is taken up as one.  It refuses to
leave anything behind that the command has started.
"""

import asyncio
import os
import re
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest import registry
from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import binary
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path import Path as WayOut
from circumtest.process import GRACE, Daemon, ProcessEnded, daemon, program, run
from circumtest.recognise import recognise
from circumtest.scrub import scrub

LEAVES = ("socks", "interface", "netns")
MARK = "CIRCUMTEST_COMMAND"
"""In the environment of everything that the command starts, by which it is found again."""

_POLL = 0.05
_EXAMPLE = 'one of "socks5://127.0.0.1:1080", "iface:tun0", "netns:NAME"'


@dataclass(frozen=True)
class Command:
    """`start` stays in the foreground, or ends with 0 and leaves something in the background.

    `ready` is asked again and again until it ends with 0; without it, what `leaves` names has to be
    there.  Both within `patience` seconds.  `stop` is run at the end and may take as long.
    Raises ConfigError for an empty `start` and for what nothing can leave.
    """

    start: tuple[str, ...] = field(repr=False)
    leaves: str | dict[str, Any] = field(repr=False)
    ready: tuple[str, ...] = field(default=(), repr=False)
    stop: tuple[str, ...] = field(default=(), repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.start:
            raise _wrong("start", "names no program", 'write it like ["my-vpn", "--up"]')
        for key in ("start", "ready", "stop"):
            words = getattr(self, key)
            if words and not words[0]:
                raise _wrong(key, "begins with an empty word", "the name of a program")
            if any("\0" in word for word in words):
                raise _wrong(key, "has a NUL in a word", "no program can be given one")
        if not self.patience > 0:
            raise _wrong("patience", "is not a number of seconds above 0", "")
        _ = self.left

    @cached_property
    def left(self) -> Any:
        """What the command leaves, as a tunnel."""
        table = recognise(self.leaves, "command", "key `leaves`")
        if table.get("kind") not in LEAVES:
            problem = f"a command leaves no {table.get('kind') or 'tunnel without a kind'}"
            raise _wrong("leaves", problem, _EXAMPLE)
        more = {"patience": self.patience, "exits": self.exits}
        return registry.build(registry.TUNNELS, {**more, **table}, "command", "key `leaves`")

    def notes(self) -> tuple[str, ...]:
        """That programs of somebody else's are run, which nothing else here does."""
        return (f"runs {Path(self.start[0]).name} as it was told to",)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["CommandPath"]:
        """Start it, wait until it is ready, and take up what it leaves.

        Raises TunnelDown: BINARY when `start` fails or leaves nothing, HANDSHAKE when `ready` never
        says yes, and what the tunnel that it leaves says; EnvironmentUnfit for a missing program.
        """
        for words in filter(None, (self.ready, self.stop)):
            program(words[0])
        end = asyncio.get_running_loop().time() + self.patience
        mark = secrets.token_hex(16)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_end_marked, mark)
            try:
                starting = daemon(underlay, self.start, env={MARK: mark})
                process = await stack.enter_async_context(starting)
            except OSError as error:
                detail = f"`start` cannot be run: {error.strerror}"
                raise TunnelDown(TunnelFault.BINARY, detail) from None
            stack.push_async_callback(self._stop, underlay)
            if self.ready:
                await self._until_ready(underlay, process, end)
            path = await self._take_up(stack, underlay, process, end)
            yield CommandPath(path, process, self._secrets)

    async def _until_ready(self, underlay: Netns, process: Daemon, end: float) -> None:
        loop, why = asyncio.get_running_loop(), "it takes too long"
        while True:
            if (down := _failed(process, self._secrets)) is not None:
                raise down
            try:
                await run(underlay, self.ready, timeout=max(end - loop.time(), _POLL))
                return
            except ProcessEnded as ended:
                why = f"it ends with {ended.code}"
            except TimeoutError:
                pass
            except OSError as error:
                detail = f"`ready` cannot be run: {error.strerror}"
                raise TunnelDown(TunnelFault.BINARY, detail) from None
            if loop.time() >= end:
                words = scrub(process.log, self._secrets)
                detail = f"`ready` has not said yes in {self.patience:g} s: {why}"
                raise TunnelDown(TunnelFault.HANDSHAKE, detail, words)
            await asyncio.sleep(_POLL)

    async def _take_up(
        self, stack: AsyncExitStack, underlay: Netns, process: Daemon, end: float
    ) -> WayOut:
        """What it leaves, as soon as it is there."""
        while True:
            if (down := _failed(process, self._secrets)) is not None:
                raise down
            try:
                path: WayOut = await stack.enter_async_context(self.left.up(underlay))
            except TunnelDown as absent:
                if absent.fault is TunnelFault.AUTH:
                    raise
                if asyncio.get_running_loop().time() >= end:
                    detail = f"`start` has left nothing usable: {absent.detail}"
                    words = scrub(process.log, self._secrets)
                    raise TunnelDown(TunnelFault.BINARY, detail, words) from None
            else:
                return path
            await asyncio.sleep(_POLL)

    async def _stop(self, underlay: Netns) -> None:
        if self.stop:
            # Whatever comes of it: the rest is killed anyway.
            with suppress(ProcessEnded, TimeoutError, OSError):
                await run(underlay, self.stop, timeout=self.patience)

    @property
    def _secrets(self) -> Sequence[str]:
        """The login in what it leaves, which its words may repeat."""
        url = str(getattr(self.left, "url", ""))
        found = re.search(r"//([^@/]+)@", url)
        return found[1].split(":") if found else ()


class CommandPath:
    """The path of what the command has left; BINARY when the command has failed."""

    name = "command"

    def __init__(self, left: WayOut, process: Daemon, hidden: Sequence[str]) -> None:
        self._left, self._process, self._hidden = left, process, hidden

    @property
    def inside(self) -> Netns | None:
        """The namespace that it has left, where it has."""
        return getattr(self._left, "inside", None)

    @property
    def transports(self) -> frozenset[Transport]:
        return self._left.transports

    @property
    def exits(self) -> frozenset[str]:
        return self._left.exits

    @property
    def mtu(self) -> int | None:
        return self._left.mtu

    @property
    def dns(self) -> tuple[str, ...]:
        return self._left.dns

    @property
    def silence(self) -> TunnelFault:
        """A local port says yes to everything: then its server was never heard."""
        return TunnelFault.HANDSHAKE if self._left.name == "socks" else self._left.silence

    @property
    def words(self) -> str:
        return scrub(self._process.log, self._hidden)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """Through what it has left; raises what that does, BINARY when the command has failed."""
        if (down := _failed(self._process, self._hidden)) is not None:
            raise down
        return await self._left.open(transport, remote, sink, timeout)

    def fault(self) -> TunnelDown | None:
        return _failed(self._process, self._hidden) or self._left.fault()


def _failed(process: Daemon, hidden: Sequence[str]) -> TunnelDown | None:
    """BINARY when it ended with anything but 0, which is how programs go to the background."""
    if process.alive or (ended := process.post_mortem()).code == 0:
        return None
    return binary(ended, hidden)


async def _end_marked(mark: str) -> None:
    """End what went to a session of its own: SIGTERM, and SIGKILL after GRACE seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not (pids := _marked(mark)):
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while _marked(mark):  # noqa: ASYNC110  # a foreign process has no event to wait for
                    await asyncio.sleep(_POLL)


def _marked(mark: str) -> list[int]:
    """The processes with the mark in their environment (proc(5)), those that are dying left out."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is somebody else's
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def _wrong(key: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError("command", f"key `{key}`", problem, remedy)
