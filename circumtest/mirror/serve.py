"""The mirror itself: sockets, the token's file, signals.

It refuses to run as root once it listens, and to write down who came.
"""

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from circumtest import __version__
from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.lab.services import Here, Services
from circumtest.mirror import rooms as far
from circumtest.mirror import token as tokens
from circumtest.mirror.front import Front
from circumtest.mirror.guard import Guard
from circumtest.mirror.hello import Greeter
from circumtest.mirror.inventory import VERSION, Inventory
from circumtest.mirror.places import Places, listen
from circumtest.mirror.privileges import drop

COUNT_EVERY = 3600.0
"""Seconds between two lines of counts."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class Setting:
    """What a mirror is started with.

    `hosts` are this machine's addresses to listen at, `name` is what the token calls it, `ports`
    restricts it to those, `user` is who it becomes (uid, gid), None to stay who it is.
    """

    hosts: tuple[str, ...]
    name: str
    file: Path
    ports: frozenset[int] = frozenset()
    recordings: tuple[Path, ...] = ()
    user: tuple[int, int] | None = None


def secret_in(file: Path, name: str) -> str:
    """The secret of the token in `file`, which is made (0600) where there is none.

    Raises ConfigError for a file that is no token, or that others may read.
    """
    if not file.exists():
        made = tokens.Token(name, tokens.draw())
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8") as out:
                out.write(f"{made}\n")
        except OSError as error:
            raise ConfigError(str(file), "", f"cannot be written: {error.strerror}") from None
        return made.secret
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(str(file), "", "others may read the token", f"chmod 600 {file}")
    return tokens.Token.load(file).secret


class Mirror:
    """A mirror that listens from `start` on; `renew` takes another token."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._secret = secret_in(setting.file, setting.name)
        # Who gives root up may not open it again: what is written into it can still be read.
        self._held = os.open(setting.file, os.O_RDONLY | os.O_CLOEXEC)
        self._key = os.urandom(32)
        self._guard = Guard()
        self._places = Places()
        self.front = Front(self._guard, _Nobody(), _Nobody())

    @property
    def token(self) -> tokens.Token:
        return tokens.Token(self._setting.name, self._secret)

    def start(self, services: Services) -> Places:
        """Bind everything and give root up.  Raises EnvironmentUnfit where no port can be had."""
        wanted = far.ports(far.parts(self._secret, self._setting.recordings))
        if only := self._setting.ports:
            wanted = {way: tuple(sorted(only)) for way in wanted}
        self._places = listen(services, self.front, self._setting.hosts, wanted)
        if not self._places.udp and not self._places.tcp:
            why = next(iter(self._places.missing.values()), "there are none")
            raise EnvironmentUnfit(f"no port to listen at: {why}", self._places.advice)
        if self._setting.user is not None:
            drop(*self._setting.user)
        self._furnish()
        return self._places

    def renew(self) -> None:
        """Read the token's file again.  Raises ConfigError; everything stays as it was then."""
        try:
            self._secret = secret_in(self._setting.file, self._setting.name)
        except OSError:
            text = os.pread(self._held, 4096, 0).decode("utf-8", "replace")
            self._secret = tokens.Token.read(text, str(self._setting.file)).secret
        self._furnish()

    def close(self) -> None:
        """Let the token's file go."""
        os.close(self._held)

    def told(self) -> str:
        """What has happened, in numbers."""
        counts = sorted(self._guard.counts.items())
        return ", ".join(f"{count} {name}" for name, count in counts) or "nothing came"

    def _furnish(self) -> None:
        played = far.parts(self._secret, self._setting.recordings)
        inventory = Inventory(
            VERSION,
            __version__,
            far.offers(played),
            tuple(self._places.udp),
            tuple(self._places.tcp),
            self._setting.hosts,
        )
        greeter = Greeter(self._secret, inventory, self._key, self._guard.prove)
        self.front.renew(greeter, far.rooms(played, self._secret, self._guard.knows))


class _Nobody:
    """Who answers before there is anybody."""

    def receive(self, flow: object, data: bytes, now: float) -> tuple[()]:  # noqa: ARG002
        return ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> tuple[()]:  # noqa: ARG002
        return ()


async def serve(setting: Setting, ready: Callable[[Mirror, Places], object], say: Say) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the token's file again.

    `ready` is told once it listens, `say` gets lines for people.  Raises ConfigError and
    EnvironmentUnfit before it listens.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    mirror = Mirror(setting)

    def again() -> None:
        try:
            mirror.renew()
            say("the token was read again")
        except ConfigError as error:
            say(f"the token stays as it was: {error}")

    with contextlib.closing(mirror), Services(Here()) as services:
        places = mirror.start(services)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGHUP, again)
        ready(mirror, places)
        while not ended.is_set():
            try:
                async with asyncio.timeout(COUNT_EVERY):
                    await ended.wait()
            except TimeoutError:
                say(mirror.told())
    say(f"stopped: {mirror.told()}")


def missing_words(places: Places) -> list[str]:
    """A line for each reason for which ports are missing."""
    lines: dict[str, list[str]] = {}
    for (transport, port), why in places.missing.items():
        lines.setdefault(why, []).append(f"{transport}/{port}")
    return [f"not at {', '.join(ports)}: {why}" for why, ports in lines.items()]
