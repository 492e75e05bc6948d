"""A lab that stays up in the background, for `circumtest lab up`, `exec`, `status` and `down`.

A supervisor process holds it in a private world of its own.  What is known about it lies in one
file of the user's: who holds it (process id and start time, so that a reused id is never taken for
it), and which descriptors its rooms are; a socket beside it answers (`control`).  It refuses to
know policies, handshakes and tunnels: `up` is given what furnishes the lab.
"""

import asyncio
import contextlib
import os
import select
import signal
import socket
import stat
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import msgspec

from circumtest import sandbox
from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.lab import control, enter
from circumtest.lab.topology import Lab, lab
from circumtest.netns import Netns

START_LIMIT = 60.0
"""Seconds within which a lab must be up, unless who wants it knows that it takes longer."""
LOG = "lab.log"
"""What the holder says that nobody is there to hear."""
STOP_LIMIT = 10.0
"""Seconds that a lab has to end before it is killed."""

_SCM_CREDENTIALS, _SO_PASSCRED = 2, 16
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Furnished:
    """What a lab has been furnished with, beside what passes through it.

    `rooms` are further namespaces, and `absent` says of those that could not be made why.  `mounts`
    are files that commands see in place of others, by room; `environment` is what they are told.
    `reply` answers what is asked of the lab.
    """

    reply: control.Reply
    rooms: Mapping[str, Netns] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


Furnish = Callable[[Lab, contextlib.AsyncExitStack], Awaitable[Furnished]]
"""Puts into a lab what is to be there; what it enters into the stack is left before the lab is."""


class Process(msgspec.Struct, frozen=True):
    """A process for good: its id, and when it started (clock ticks since boot)."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return _started(self.pid) == self.started


class Room(msgspec.Struct, frozen=True):
    """A namespace: the holder's descriptor of it, what commands there see in place of files."""

    descriptor: int
    mounts: dict[str, str] = {}


class Session(msgspec.Struct, frozen=True):
    """A lab in the background; of `absent` rooms it is told why they are not there."""

    title: str
    supervisor: Process
    holder: Process
    rooms: dict[str, Room]
    absent: dict[str, str]
    environment: dict[str, str]


class _Report(msgspec.Struct):
    """What the holder tells when it is up, or why it is not."""

    rooms: dict[str, Room] = {}
    absent: dict[str, str] = {}
    environment: dict[str, str] = {}
    missing: str = ""
    remedy: str = ""


def up(title: str, furnish: Furnish, limit: float = START_LIMIT) -> Session:
    """Put a lab up in the background; `furnish` applies the policy and serves what is to be served.

    `title` says what it is, for `load`.  Returns when everything is in place.  Raises ConfigError
    when one is up already, EnvironmentUnfit when it is not up within `limit` seconds.
    """
    refuse_second()
    place = _place()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
    sys.stdout.flush()
    sys.stderr.flush()
    with control.listen(place) as listener, ours:
        supervisor = os.fork()
        if supervisor == 0:
            ours.close()
            _supervise(furnish, theirs, listener, place / LOG)
        theirs.close()
        try:
            report, holder = _hear(ours, limit)
        except BaseException:  # Ctrl-C, too: it is in a session of its own and would stay
            os.kill(supervisor, signal.SIGKILL)
            os.waitpid(supervisor, 0)
            (place / control.NAME).unlink(missing_ok=True)
            raise
    who = _identify(supervisor), _identify(holder)
    session = Session(title, *who, report.rooms, report.absent, report.environment)
    draft = place / "lab.json.new"
    draft.write_bytes(msgspec.json.encode(session))
    draft.replace(place / "lab.json")
    return session


def refuse_second() -> None:
    """Raise ConfigError when a lab is up."""
    if running := load():
        problem = f"one is up already ({running.title})"
        raise ConfigError("lab", "", problem, "end it with: circumtest lab down")


def load() -> Session | None:
    """The lab that is up, None when there is none."""
    file = _place() / "lab.json"
    try:
        session = msgspec.json.decode(file.read_bytes(), type=Session)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return session if session.supervisor.alive and session.holder.alive else None


def execute(session: Session, room: str, argv: Sequence[str]) -> int:
    """Run `argv` in a room, on this terminal; returns its exit code, 128 + N for signal N.

    Raises ConfigError for a room that there is not, EnvironmentUnfit for an absent one.
    """
    if room in session.absent:
        raise EnvironmentUnfit(f"there is no {room}: {session.absent[room]}")
    if room not in session.rooms:
        known = ", ".join((*session.rooms, *session.absent))
        raise ConfigError("lab", room, "no such room", f"rooms: {known}")
    there = session.rooms[room]
    place = enter.Place(session.holder.pid, there.descriptor, there.mounts, session.environment)
    return enter.execute(place, argv)


@contextmanager
def connected() -> Iterator[socket.socket]:
    """A connection to the lab that is up, for `control.ask`.  Raises ConfigError when none is."""
    try:
        with control.connected(_place()) as sock:
            yield sock
    except (FileNotFoundError, ConnectionError):
        raise not_up() from None


def not_up() -> ConfigError:
    """The error to raise where a lab is needed."""
    return ConfigError("lab", "", "none is up", "circumtest lab up POLICY")


def down() -> bool:
    """End the lab; returns whether there was one.  When it returns, nothing of it is left."""
    session = load()
    if session is not None:
        with contextlib.ExitStack() as stack:
            watched = [_watch(process, stack) for process in (session.supervisor, session.holder)]
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(watched[0], number)
                if all(select.select([each], [], [], STOP_LIMIT)[0] for each in watched):
                    break
    for name in ("lab.json", control.NAME):
        (_place() / name).unlink(missing_ok=True)
    return session is not None


# ------------------------------------------------------------------ who is who


def _started(pid: int) -> int | None:
    """When a process started (proc(5), stat, field 22), None when there is none or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _identify(pid: int) -> Process:
    started = _started(pid)
    if started is None:
        raise EnvironmentUnfit("the lab ended while it came up", f"see {_place() / LOG}")
    return Process(pid, started)


def _watch(process: Process, stack: contextlib.ExitStack) -> int:
    descriptor = os.pidfd_open(process.pid)
    stack.callback(os.close, descriptor)
    return descriptor


def _place() -> Path:
    """The user's own directory for it.  Raises EnvironmentUnfit when somebody else made it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    place = Path(runtime, "circumtest") if runtime else Path(f"/tmp/circumtest-{os.geteuid()}")  # noqa: S108
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700, parents=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EnvironmentUnfit(f"{place} is not a private directory of yours", f"rm -r {place}")
    return place


# ------------------------------------------------------------------ the supervisor and the holder


def _supervise(
    furnish: Furnish, tell: socket.socket, listener: socket.socket, log: Path
) -> NoReturn:
    """Become a background process that holds the lab until it gets SIGTERM."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = sandbox.INTERNAL
    try:
        code = sandbox.run_inside(lambda: asyncio.run(_hold(furnish, tell, listener)))
    except EnvironmentUnfit as unfit:
        _tell(tell, _Report(missing=unfit.missing, remedy=unfit.remedy))
    except BaseException:  # noqa: BLE001  # nothing above could print it: this is a process's end
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


async def _hold(furnish: Furnish, tell: socket.socket, listener: socket.socket) -> int:
    """Have the lab up until SIGTERM; the first thing told is where everything is."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        async with lab() as here, contextlib.AsyncExitStack() as stack:
            furnished = await furnish(here, stack)
            rooms = {**here.rooms, **furnished.rooms}
            mounts = {name: dict(furnished.mounts.get(name, {})) for name in rooms}
            async with control.answering(listener, furnished.reply):
                _tell(
                    tell,
                    _Report(
                        {name: Room(one.fd, mounts[name]) for name, one in rooms.items()},
                        dict(furnished.absent),
                        dict(furnished.environment),
                    ),
                )
                tell.close()
                await stop.wait()
    except EnvironmentUnfit as unfit:
        _tell(tell, _Report(missing=unfit.missing, remedy=unfit.remedy))
        return sandbox.INTERNAL
    return 0


def _tell(tell: socket.socket, report: _Report) -> None:
    tell.send(msgspec.json.encode(report))


def _hear(ours: socket.socket, limit: float) -> tuple[_Report, int]:
    """The holder's report, and its process id here, which only the kernel knows."""
    if not select.select([ours], [], [], limit)[0]:
        raise EnvironmentUnfit(f"the lab was not up after {limit:.0f} s")
    words, ancillary, _, _ = ours.recvmsg(_LARGEST, socket.CMSG_SPACE(12))
    if not words:
        log = _place() / LOG
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise EnvironmentUnfit(": ".join(["the lab did not come up", *last]), f"see {log}")
    report = msgspec.json.decode(words, type=_Report)
    if report.missing:
        raise EnvironmentUnfit(report.missing, report.remedy)
    pid, _, _ = struct.unpack("=iII", ancillary[0][2])  # unix(7), struct ucred
    return report, pid
