"""The player: performs a script's commands on a path's real sockets, and is the only one to record.

It refuses to judge.  What the network did becomes a Failure; a tunnel at fault, a wrong exit or a
player that was itself late becomes Invalid; whatever else a script raises is a bug and goes up.
"""

import asyncio
import time
from collections import deque
from itertools import count

from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.model import (
    Address,
    Cause,
    Failure,
    Invalid,
    Outcome,
    Record,
)
from circumtest.observe import Observations
from circumtest.path import Conn, Path
from circumtest.path.causes import cause_of
from circumtest.script import (
    Arrival,
    Channel,
    Close,
    Command,
    Enter,
    Note,
    Now,
    Open,
    Recv,
    Script,
    Send,
)

MAX_LAG = 0.5
"""Seconds by which the player may be late before a trial says nothing about the network."""


async def play(script: Script[None], path: Path) -> Record:
    """Perform `script` over `path` on the running event loop and tell what happened.

    Returns a Record; its outcome is Invalid when the tunnel is at fault, when the far end saw an
    address that is not one of `path.exits`, or when the player was late by more than MAX_LAG.
    """
    player = _Player(path)
    try:
        outcome = await player.run(script)
    finally:
        script.close()
        player.close()
    seen = player.seen
    if seen.exit is not None and path.exits and seen.exit.host not in path.exits:
        outcome = Invalid("wrong-exit", detail="the far end saw an address that is not the path's")
    elif isinstance(outcome, Failure):
        if down := path.fault():
            outcome = invalid(down)
        elif seen.lag > MAX_LAG:
            outcome = Invalid("overloaded", detail=f"the player was {seen.lag:.2f} s late")
    return seen.close(outcome, player.now())


def invalid(down: TunnelDown) -> Invalid:
    """What a trial is whose tunnel was at fault."""
    return Invalid("tunnel-down", down.fault, down.detail, down.evidence)


class _Player:
    """One playing: the channels, the inbox they share, and the clock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()
        self._conns: dict[int, Conn] = {}
        self._ids = count(1)
        self._inbox: deque[Arrival] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.seen = Observations(self.now())

    def now(self) -> float:
        return self._epoch + self._loop.time()

    def close(self) -> None:
        for conn in self._conns.values():
            conn.close()

    async def run(self, script: Script[None]) -> Outcome:
        try:
            command = next(script)
            while True:
                match command:
                    case Recv(until):
                        reply: object = await self._recv(until)
                    case Open():
                        reply = await self._open(command)
                    case _:
                        reply = self._perform(command)
                command = script.send(reply)
        except StopIteration:
            return self.seen.pass_(self.now())
        except HandshakeFailed as error:
            return self.seen.fail(error, self.now())
        except TunnelDown as down:
            return invalid(down)

    def _perform(self, command: Command) -> object:
        """What takes no waiting."""
        match command:
            case Send(channel, data, remote):
                if conn := self._conns.get(channel.id):
                    conn.send(data, remote)
            case Now():
                return self.now()
            case Enter(stage):
                self.seen.enter(stage, self.now())
            case Note(what):
                self.seen.note(what)
            case Close(channel):
                if conn := self._conns.pop(channel.id, None):
                    conn.close()
        return None

    async def _open(self, command: Open) -> Channel | Cause:
        channel = Channel(next(self._ids), command.transport, command.remote)

        def sink(data: bytes | Cause, source: Address) -> None:
            self._inbox.append(Arrival(channel, data, source, self.now()))
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

        timeout = max(command.until - self.now(), 0.01)
        try:
            conn = await self._path.open(command.transport, command.remote, sink, timeout)
        except OSError as error:
            return cause_of(error)
        self._conns[channel.id] = conn
        return channel

    async def _recv(self, until: float) -> Arrival | None:
        if self._inbox:
            return self._inbox.popleft()
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until - self._epoch, self._expire, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
        if self._inbox:
            return self._inbox.popleft()
        self.seen.late(self.now() - until)
        return None

    @staticmethod
    def _expire(waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            waiter.set_result(None)
