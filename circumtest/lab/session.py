"""A lab that stays up in the background, for `circumtest lab up`, `exec` and `down`.

A supervisor process holds it in a private world of its own.  What is known about it lies in one
file of the user's: who holds it (process id and start time, so that a reused id is never taken for
it), which descriptors its rooms are, what is served where.  It refuses to know policies and
handshakes: `up` is given a function that furnishes the lab.
"""

import asyncio
import contextlib
import ctypes
import os
import select
import signal
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from circumtest import punctual, sandbox
from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address

START_LIMIT = 30.0
"""Seconds within which a lab must be up."""
STOP_LIMIT = 10.0
"""Seconds that a lab has to end before it is killed."""

_SCM_CREDENTIALS, _SO_PASSCRED = 2, 16
_LARGEST = 1 << 20
_SETNS_ANY = 0
_KINDS = ("user", "mnt", "pid")

Furnish = Callable[[Lab], Awaitable[None]]


class Process(msgspec.Struct, frozen=True):
    """A process for good: its id, and when it started (clock ticks since boot)."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return _started(self.pid) == self.started


class Session(msgspec.Struct, frozen=True):
    """A lab in the background.

    `rooms` are descriptors of the holder, by room; `served` the addresses by service name.
    """

    title: str
    supervisor: Process
    holder: Process
    rooms: dict[str, int]
    served: dict[str, tuple[Address, ...]]


class _Report(msgspec.Struct):
    """What the holder tells when it is up, or why it is not."""

    rooms: dict[str, int] = {}
    served: dict[str, tuple[Address, ...]] = {}
    missing: str = ""
    remedy: str = ""


def up(title: str, furnish: Furnish) -> Session:
    """Put a lab up in the background; `furnish` applies the policy and serves what is to be served.

    `title` says what it is, for `load`.  Returns when everything is in place.  Raises ConfigError
    when one is up already, EnvironmentUnfit when it does not come up.
    """
    if running := load():
        raise ConfigError(
            "lab", "", f"one is up already ({running.title})", "end it with: circumtest lab down"
        )
    place = _place()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
    sys.stdout.flush()
    sys.stderr.flush()
    supervisor = os.fork()
    if supervisor == 0:
        ours.close()
        _supervise(furnish, theirs, place / "lab.log")
    theirs.close()
    with ours:
        try:
            report, holder = _hear(ours)
        except EnvironmentUnfit:
            os.kill(supervisor, signal.SIGKILL)
            os.waitpid(supervisor, 0)
            raise
    session = Session(title, _identify(supervisor), _identify(holder), report.rooms, report.served)
    file = place / "lab.json"
    file.write_bytes(msgspec.json.encode(session))
    return session


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

    Raises ConfigError for a room that there is not, OSError when the lab cannot be entered.
    """
    if room not in session.rooms:
        raise ConfigError("lab", room, "no such room", f"rooms: {', '.join(session.rooms)}")
    child = os.fork()
    if child == 0:
        _enter_and_become(session, room, argv)
    # The terminal's signals are for the command; it decides what they mean.
    held = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)
    }
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


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
    (_place() / "lab.json").unlink(missing_ok=True)
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
        raise EnvironmentUnfit("the lab ended while it came up", f"see {_place() / 'lab.log'}")
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


def _supervise(furnish: Furnish, tell: socket.socket, log: Path) -> NoReturn:
    """Become a background process that holds the lab until it gets SIGTERM."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = sandbox.INTERNAL
    try:
        code = sandbox.run_inside(lambda: punctual.run(_hold(furnish, tell)))
    except EnvironmentUnfit as unfit:
        _tell(tell, _Report(missing=unfit.missing, remedy=unfit.remedy))
    finally:
        os._exit(code)


async def _hold(furnish: Furnish, tell: socket.socket) -> int:
    """Have the lab up until SIGTERM; the first thing told is where everything is."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        async with lab() as here:
            await furnish(here)
            rooms = {name: netns.fd for name, netns in here.rooms.items()}
            _tell(tell, _Report(rooms, here.served))
            tell.close()
            await stop.wait()
    except EnvironmentUnfit as unfit:
        _tell(tell, _Report(missing=unfit.missing, remedy=unfit.remedy))
        return sandbox.INTERNAL
    return 0


def _tell(tell: socket.socket, report: _Report) -> None:
    tell.send(msgspec.json.encode(report))


def _hear(ours: socket.socket) -> tuple[_Report, int]:
    """The holder's report, and its process id here, which only the kernel knows."""
    if not select.select([ours], [], [], START_LIMIT)[0]:
        raise EnvironmentUnfit(f"the lab was not up after {START_LIMIT:.0f} s")
    words, ancillary, _, _ = ours.recvmsg(_LARGEST, socket.CMSG_SPACE(12))
    if not words:
        raise EnvironmentUnfit("the lab did not come up", f"see {_place() / 'lab.log'}")
    report = msgspec.json.decode(words, type=_Report)
    if report.missing:
        raise EnvironmentUnfit(report.missing, report.remedy)
    pid, _, _ = struct.unpack("=iII", ancillary[0][2])  # unix(7), struct ucred
    return report, pid


# ------------------------------------------------------------------ entering


def _enter_and_become(session: Session, room: str, argv: Sequence[str]) -> NoReturn:
    """Enter the lab's namespaces, start the command there, end as it ends: a child's life."""
    code = sandbox.INTERNAL
    try:
        _enter(session.holder.pid, session.rooms[room])
        command = os.fork()  # only children are in the new PID namespace
        if command == 0:
            os._exit(sandbox.run_command(argv))
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        code = 128 - code if code < 0 else code
    except OSError as error:
        print(f"cannot enter the lab: {error}", file=sys.stderr)  # noqa: T201
    finally:
        os._exit(code)


def _enter(pid: int, room: int) -> None:
    """Everything is opened before anything is entered: afterwards /proc is another one."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = Path.cwd()
    files = [f"/proc/{pid}/ns/{kind}" for kind in _KINDS if not _same(pid, kind)]
    for descriptor in [os.open(file, os.O_RDONLY) for file in (*files, f"/proc/{pid}/fd/{room}")]:
        if libc.setns(descriptor, _SETNS_ANY) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        os.close(descriptor)
    os.chdir(here)


def _same(pid: int, kind: str) -> bool:
    """Does the process share this namespace with us?  One's own user namespace is not enterable."""
    theirs, ours = Path(f"/proc/{pid}/ns/{kind}"), Path(f"/proc/self/ns/{kind}")
    return os.path.samestat(theirs.stat(), ours.stat())
