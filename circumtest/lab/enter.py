"""Running a command in a namespace of a lab that is in the background, on this terminal.

A child enters the lab's world (user, mounts, processes, network), sees some of the room's own files
in place of the machine's, and becomes the command.  It refuses to change anything that others in
the lab see.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from circumtest import sandbox

_SETNS_ANY = 0
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_KINDS = ("user", "mnt", "pid")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Place:
    """Where a command runs: the lab's holder, and its descriptor of the room's namespace.

    `mounts` are files that are seen in place of others (what is seen: which file of the lab's),
    `environment` is added to this process's.
    """

    pid: int
    descriptor: int
    mounts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def execute(place: Place, argv: Sequence[str]) -> int:
    """Run `argv` there; returns its exit code, 128 + N for signal N, 127 when there is none such.

    What cannot be seen in place of another file is told on stderr, and the command runs without.
    """
    child = os.fork()
    if child == 0:
        _enter_and_become(place, argv)
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


def _enter_and_become(place: Place, argv: Sequence[str]) -> NoReturn:
    """Enter the lab's namespaces, start the command there, end as it ends: a child's life."""
    code = sandbox.INTERNAL
    try:
        _enter(place)
        command = os.fork()  # only children are in the new PID namespace
        if command == 0:
            os.environ.update(place.environment)
            os._exit(sandbox.run_command(argv))
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        code = 128 - code if code < 0 else code
    except OSError as error:
        print(f"cannot enter the lab: {error}", file=sys.stderr)  # noqa: T201
    finally:
        os._exit(code)


def _enter(place: Place) -> None:
    """Everything is opened before anything is entered: afterwards /proc is another one."""
    here, pid = Path.cwd(), place.pid
    files = [f"/proc/{pid}/ns/{kind}" for kind in _KINDS if not _same(pid, kind)]
    room = f"/proc/{pid}/fd/{place.descriptor}"
    for descriptor in [os.open(file, os.O_RDONLY) for file in (*files, room)]:
        _check(_libc.setns(descriptor, _SETNS_ANY))
        os.close(descriptor)
    _check(_libc.unshare(_CLONE_NEWNS))
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    for seen, file in place.mounts.items():
        try:
            _bind(file, seen)
        except OSError as error:
            print(f"{seen} is not the lab's: {error.strerror}", file=sys.stderr)  # noqa: T201
    os.chdir(here)


def _bind(file: str, seen: str) -> None:
    """Let `file` be seen at `seen`, following links; the lab's own /run may lack what they name."""
    target = Path(seen).resolve()
    if not target.exists() and target.is_relative_to("/run"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            target.touch()
    _check(_libc.mount(file.encode(), str(target).encode(), None, _MS_BIND, None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _same(pid: int, kind: str) -> bool:
    """Does the process share this namespace with us?  One's own user namespace is not enterable."""
    theirs, ours = Path(f"/proc/{pid}/ns/{kind}"), Path(f"/proc/self/ns/{kind}")
    return os.path.samestat(theirs.stat(), ours.stat())
