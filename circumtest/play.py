"""The player: performs a script's commands on a path's real sockets, and is the only one to record.

It refuses to judge.  What the network did becomes a Failure; a tunnel at fault, a wrong exit or a
player that was itself late becomes Invalid; whatever else a script raises is a bug and goes up.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from itertools import count

from circumtest.ear import PLAYOUT
from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.model import (
    Address,
    Cause,
    Failure,
    Invalid,
    Outcome,
    Record,
    Transport,
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
"""Seconds by which the player may be late before a failure says nothing about the network.

Of late sound less is enough: packets that the player itself takes late are too late as well."""


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
        elif seen.lag > (PLAYOUT if _late(outcome, seen) else MAX_LAG):
            outcome = Invalid("overloaded", detail=f"the player was {seen.lag:.2f} s late")
    return seen.close(outcome, player.now())


def _late(outcome: Failure, seen: Observations) -> bool:
    """Whether packets that came too late had a part in a failure."""
    ways = (way for media in seen.media for way in (media.up, media.down))
    return outcome.cause is Cause.LOSSY and any(way.late for way in ways)


def invalid(down: TunnelDown) -> Invalid:
    """What a trial is whose tunnel was at fault."""
    return Invalid("tunnel-down", down.fault, down.detail, down.evidence)


def lacking(path: Path, needed: Iterable[Transport]) -> str:
    """What a path does not carry of what is needed, in words; "" where it carries all of it."""
    missing = next((one for one in needed if one not in path.transports), None)
    return f"{path.name} does not carry {missing}" if missing else ""


class _Player:
    """One playing: the channels, the inbox they share, and the clock.

    What arrives while the script waits drives it on at once, in the socket's own callback; only
    opening a channel is awaited.  Hundreds of calls with sound fit on one core by that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()
        self._conns: dict[int, Conn] = {}
        self._ids = count(1)
        self._inbox: deque[Arrival] = deque()
        self._script: Script[None] | None = None
        self._pause: asyncio.Future[Open | None] | None = None
        self._until: float | None = None  # until when the script waits, None while it runs
        self._timer: asyncio.TimerHandle | None = None
        self.seen = Observations(self.now())

    def now(self) -> float:
        return self._epoch + self._loop.time()

    def close(self) -> None:
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
        for conn in self._conns.values():
            conn.close()

    async def run(self, script: Script[None]) -> Outcome:
        self._script = script
        reply: object = None
        try:
            while (wanted := await self._opening(reply)) is not None:
                reply = await self._open(wanted)
            return self.seen.pass_(self.now())
        except HandshakeFailed as error:
            return self.seen.fail(error, self.now())
        except TunnelDown as down:
            return invalid(down)

    async def _opening(self, reply: object) -> Open | None:
        """Drive the script until it wants a channel; None when it has returned.  Raises."""
        self._pause = self._loop.create_future()
        self._drive(reply)
        return await self._pause

    def _drive(self, reply: object) -> None:
        """Perform commands until the script waits for something."""
        assert self._pause is not None
        assert self._script is not None
        if self._pause.done():
            return  # cancelled: whoever did so closes the script
        try:
            while True:
                command = self._script.send(reply)
                if isinstance(command, Recv):
                    if not self._inbox:
                        self._wait(command.until)
                        return
                    reply = self._inbox.popleft()
                elif isinstance(command, Open):
                    self._pause.set_result(command)
                    return
                else:
                    reply = self._perform(command)
        except StopIteration:
            self._pause.set_result(None)
        except BaseException as error:  # noqa: BLE001  # it goes up in `run`, whatever it is
            self._pause.set_exception(error)

    def _perform(self, command: Command) -> object:
        """What takes no waiting."""
        match command:
            case Now():
                return self.now()
            case Send(channel, data, remote):
                if conn := self._conns.get(channel.id):
                    conn.send(data, remote)
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
            arrival = Arrival(channel, data, source, self.now())
            if self._until is None:
                self._inbox.append(arrival)
            else:
                self._until = None
                self._drive(arrival)

        timeout = max(command.until - self.now(), 0.01)
        try:
            conn = await self._path.open(command.transport, command.remote, sink, timeout)
        except OSError as error:
            return cause_of(error)
        self._conns[channel.id] = conn
        return channel

    def _wait(self, until: float) -> None:
        """Go on when something arrives, or at `until`."""
        self._until = until
        at = until - self._epoch
        if self._timer is not None:
            if self._timer.when() <= at and not self._timer.cancelled():
                return  # it looks again when it is due: most waits end before, with a packet
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._until is None:
            return
        late = self.now() - self._until
        if late < 0:
            self._wait(self._until)
            return
        self.seen.late(late)
        self._until = None
        self._drive(None)
