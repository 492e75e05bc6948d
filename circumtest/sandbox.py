"""The private world that everything runs in: `python -m circumtest.sandbox -- COMMAND...`.

Three processes: the supervisor (who called), pid 1 of a new PID namespace, and the harness.  The
harness is root there (through a user namespace when it was not root before), sees a /run of its own
and an empty network namespace: a forgotten socket or name look-up fails instead of leaking.  When
the supervisor dies, however it dies, the kernel kills pid 1 and with it everything inside; no
process, namespace, interface or mount is left.  It refuses to know what is run inside.
"""

import ctypes
import errno
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from circumtest.errors import EnvironmentUnfit

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_SI_USER = 0

_MARK = Path("/run/circumtest-world")
_RUN = Path("/run")
_KEPT = ("netns", "user", "secrets", "media")
"""What stays of /run where the network is kept: names of namespaces, and people's own files.  Not
what resolves names (systemd-resolved, nscd): by their sockets every namespace would ask at home."""
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD}
_LIMITS = (
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
)

INTERNAL = 70
INTERRUPTED = 130
GRACE = 5.0
"""Seconds that the harness has after a SIGTERM before everything inside is killed."""

_libc = ctypes.CDLL(None, use_errno=True)


class Origin(NamedTuple):
    """Who entered: the uid and gid outside."""

    uid: int
    gid: int


def inside() -> bool:
    """Is this process in a private world already?  The mark is visible in its /run only."""
    return _MARK.exists()


def origin() -> Origin:
    """The uid and gid of who entered the world; of this process when it is not in one."""
    if not inside():
        return Origin(os.getuid(), os.getgid())
    uid, gid = _MARK.read_text().split()
    return Origin(int(uid), int(gid))


def run_inside(main: Callable[[], int], *, home: bool = False) -> int:
    """Run `main` in a private world and return its exit code; when inside already, just run it.

    With `home` the network that it was started in is kept, and of /run the names of namespaces and
    people's own files.

    Ctrl-C reaches `main` as KeyboardInterrupt; an uncaught one gives 130, a signal 128 + its
    number, another exception its traceback and 70.  SIGTERM to this process goes on to `main`;
    everything still there after GRACE seconds is killed.  Call it once, from a process with one
    thread, and end soon after: this process can start no others afterwards.  Raises
    EnvironmentUnfit with what to type when the machine does not allow it.
    """
    if inside():
        return main()
    who = Origin(os.getuid(), os.getgid())
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        _leave_home()
        alive, held = os.pipe()
        told, tell = os.pipe()
        if (init := os.fork()) == 0:
            os.close(held)
            os.close(told)
            _be_init(main, who, alive, tell, mask, home=home)
        os.close(alive)
        os.close(tell)
        with os.fdopen(told) as words:
            trouble = words.read()
        code = _watch(init)
        os.close(held)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if trouble:
        raise _unfit(trouble)
    return code


def refusal(*, home: bool = False) -> EnvironmentUnfit | None:
    """Why this machine would not allow `run_inside`, None when it does: tried by a child.

    Call it from a process with one thread, before anything else.
    """
    if inside():
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    told, tell = os.pipe()
    if (child := os.fork()) == 0:
        code = 0
        try:
            run_inside(lambda: 0, home=home)
        except EnvironmentUnfit as error:
            os.write(tell, f"{error.missing}\0{error.remedy}".encode())
            code = 1
        os._exit(code)
    os.close(tell)
    with os.fdopen(told) as words:
        said = words.read()
    os.waitpid(child, 0)
    return EnvironmentUnfit(*said.split("\0")) if said else None


def run_command(argv: Sequence[str]) -> int:
    """Become `argv`; the main function of `python -m circumtest.sandbox`."""
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606  # no shell is the point
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 127


# ------------------------------------------------------------------ the supervisor


def _leave_home() -> None:
    """Give the next child a new PID namespace, and enter a user namespace where that is needed."""
    if _libc.unshare(_CLONE_NEWPID) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID) != 0:
        raise _unfit(os.strerror(ctypes.get_errno()))
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise _unfit(str(error)) from None


def _watch(child: int) -> int:
    """Wait for `child`, passing on the signals that were meant for it.

    What the terminal sends (si_code is not SI_USER) has reached the whole group already.
    """
    deadline: float | None = None
    while True:
        info = signal.sigtimedwait(_SIGNALS, GRACE) if deadline else signal.sigwaitinfo(_SIGNALS)
        if info is None:
            os.kill(child, signal.SIGKILL)
            deadline = None
            continue
        if info.si_signo == signal.SIGCHLD:
            if (status := _reap(child)) is not None:
                return status
        elif info.si_code <= _SI_USER:
            os.kill(child, info.si_signo)
        if info.si_signo == signal.SIGTERM:
            deadline = GRACE


def _reap(child: int) -> int | None:
    """Collect every ended process; the exit code of `child` if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            code = 128 - code if code < 0 else code


# ------------------------------------------------------------------ pid 1


def _be_init(
    main: Callable[[], int], who: Origin, alive: int, tell: int, mask: Iterable[int], *, home: bool
) -> NoReturn:
    """Build the world, start the harness, reap; `tell` gets what went wrong while building."""
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if select.select([alive], [], [], 0)[0]:  # the supervisor died before the line above
            os._exit(INTERNAL)
        _build(who, home=home)
    except OSError as error:
        os.write(tell, str(error).encode())
        os._exit(INTERNAL)
    os.close(tell)
    harness = os.fork()
    if harness == 0:
        os.close(alive)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _be_harness(main)
    os._exit(_watch(harness))


def _build(who: Origin, *, home: bool) -> None:
    _check(_libc.unshare(_CLONE_NEWNS | (0 if home else _CLONE_NEWNET)), "unshare")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    kept = {name: _open(_RUN / name) for name in _KEPT} if home else {}
    _mount("tmpfs", str(_RUN), "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755")
    for name, held in kept.items():
        if held >= 0:
            (_RUN / name).mkdir()
            _mount(f"/proc/self/fd/{held}", str(_RUN / name), None, _MS_BIND | _MS_REC)
            os.close(held)
    _MARK.write_text(f"{who.uid} {who.gid}")
    # Refused where parts of /proc are masked (containers): then the old one serves, and only
    # /proc/self is missing.
    _libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)


def _open(place: Path) -> int:
    """A descriptor of a directory, -1 when there is none."""
    try:
        return os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1


def _be_harness(main: Callable[[], int]) -> NoReturn:
    code = INTERNAL
    try:
        code = main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # nothing above could print it: this is a process's end
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = [text.encode() if text else None for text in (source, target, kind)]
    _check(_libc.mount(*encoded, flags, data.encode() or None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} ({what})")


def _unfit(trouble: str) -> EnvironmentUnfit:
    for place, bad, setting in _LIMITS:
        file = Path("/proc/sys", place)
        if file.exists() and file.read_text().strip() == bad:
            return EnvironmentUnfit(
                f"user namespaces are not allowed here ({place.replace('/', '.')} = {bad})",
                f"as root: sysctl -w {setting}",
            )
    if trouble.startswith(os.strerror(errno.ENOSPC)):
        return EnvironmentUnfit(
            "no more user namespaces are allowed here", "as root: sysctl -w " + _LIMITS[-1][2]
        )
    return EnvironmentUnfit(
        f"namespaces are not allowed here: {trouble}",
        "run as root; in a container, with --privileged (or --cap-add SYS_ADMIN, NET_ADMIN"
        " and a seccomp profile that allows unshare and mount)",
    )


def _command_line(arguments: Sequence[str]) -> int:
    argv = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not argv:
        print("usage: python -m circumtest.sandbox -- COMMAND...", file=sys.stderr)  # noqa: T201
        return 2
    try:
        return run_inside(lambda: run_command(argv))
    except EnvironmentUnfit as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 4


if __name__ == "__main__":
    sys.exit(_command_line(sys.argv[1:]))
