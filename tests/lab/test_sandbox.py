"""The private world: what comes through, what does not, and what is left of it.

The tests run in such a world already, so they first take its /run away: a new one is made then.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from circumtest import sandbox

OUT = ("unshare", "-m", "sh", "-c", 'umount -l /run && exec "$@"', "sh")
WORLD = (*OUT, sys.executable, "-m", "circumtest.sandbox", "--")
PATIENCE = 10.0

LIFE = """
import asyncio, threading
from circumtest.lab.topology import lab
from circumtest.process import daemon
async def main():
    async with lab() as here, daemon(here.exit, ["sleep", "1000"]):
        script = "setsid sleep 1001 & echo born; exec sleep 1002"
        async with daemon(here.client, ["sh", "-c", script]) as parent:
            await parent.line("born", 5)
            print("ready", flush=True)
            await asyncio.Event().wait()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


@contextmanager
def world(*argv: str, before: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[str]"]:
    """A supervisor that runs `argv` inside; it is killed at the end if it is still there."""
    with subprocess.Popen(
        # Whoever runs these tests in the background has them ignore Ctrl-C.
        ["env", "--default-signal=INT", *before, *WORLD, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as supervisor:
        try:
            yield supervisor
        finally:
            with contextlib.suppress(ProcessLookupError):
                supervisor.kill()


def alive(supervisor: "subprocess.Popen[str]") -> None:
    """Wait until LIFE is in mid-life."""
    assert supervisor.stdout is not None
    assert select.select([supervisor.stdout], [], [], PATIENCE)[0]
    assert supervisor.stdout.readline() == "ready\n"


def run(*argv: str) -> tuple[int, str]:
    """Exit code and output of a command in a world."""
    with world(*argv) as supervisor:
        said, _ = supervisor.communicate(timeout=PATIENCE)
        return supervisor.returncode, said


def script(text: str) -> tuple[str, ...]:
    """The command that runs some Python."""
    return sys.executable, "-W", "error", "-c", textwrap.dedent(text)


def descendants(pid: int) -> set[int]:
    """Every process below `pid`."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            parents[int(file.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def traces() -> dict[str, set[str]]:
    """Everything that a world could leave: namespaces in use or held open, mounts, interfaces."""
    spaces = set()
    for link in (*Path("/proc").glob("[0-9]*/ns/*"), *Path("/proc").glob("[0-9]*/fd/*")):
        with contextlib.suppress(OSError):
            if (target := str(link.readlink())).partition(":")[0] in ("net", "mnt", "pid", "user"):
                spaces.add(target)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    links = Path("/proc/net/dev").read_text().splitlines()[2:]
    return {
        "namespaces": spaces,
        "mounts": set(mounts),
        "interfaces": {line.partition(":")[0] for line in links},
        "names": {str(file) for file in Path("/run").glob("netns/*")},
    }


def settled(wanted: dict[str, set[str]]) -> dict[str, set[str]]:
    """The traces, when they are as wanted or it is too late: the dead are reaped meanwhile."""
    end = time.monotonic() + PATIENCE
    while (found := traces()) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return found


def test_the_exit_code_and_the_output_come_through() -> None:
    """What runs inside ends the supervisor as it ends itself."""
    assert run("sh", "-c", "echo said; exit 7") == (7, "said\n")


def test_death_by_a_signal_is_told_as_a_shell_tells_it() -> None:
    """128 and the signal's number."""
    assert run("sh", "-c", "kill -KILL $$")[0] == 128 + signal.SIGKILL


def test_the_harness_is_root_in_a_world_of_its_own() -> None:
    """It is uid 0, pid 2 below its init, in a /run that holds the mark and nothing else."""
    code, said = run("sh", "-c", "id -u; echo $$; ls /run; test -e /proc/$$/stat")
    assert (code, said.split()) == (0, ["0", "2", "circumtest-world"])


def test_nothing_leaves_the_home_namespace() -> None:
    """There is no route, not even to oneself: sockets and name look-ups fail at once."""
    code, said = run(
        *script("""
            import socket
            for address in ("192.0.2.1", "127.0.0.1"):
                try:
                    socket.create_connection((address, 53), timeout=1)
                except OSError as error:
                    print(error.strerror)
            try:
                socket.getaddrinfo("example.com", 443)
            except socket.gaierror:
                print("no look-up")
        """)
    )
    assert code == 0
    assert said.splitlines() == ["Network is unreachable"] * 2 + ["no look-up"]


def test_an_uncaught_exception_is_printed_and_is_an_internal_error() -> None:
    """run_inside(main) with a bug in main: traceback and 70."""
    code = subprocess.run(
        [
            *OUT,
            *script("""
                import sys
                from circumtest import sandbox
                sys.exit(sandbox.run_inside(lambda: 1 // 0))
            """),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert code.returncode == sandbox.INTERNAL
    assert "ZeroDivisionError" in code.stderr


def test_inside_a_world_main_is_just_run() -> None:
    """Nesting costs nothing: the same process, the same namespaces."""
    assert sandbox.inside()
    assert sandbox.run_inside(os.getpid) == os.getpid()


def test_kill_9_in_mid_life_leaves_nothing() -> None:
    """No process, namespace, mount or interface outlives the supervisor, daemons included."""
    before = traces()
    with world(*script(LIFE)) as supervisor:
        alive(supervisor)
        below = descendants(supervisor.pid)
        assert len(below) >= 5  # init, harness, three sleeps
        assert len(traces()["namespaces"] - before["namespaces"]) >= 8
        watched = [os.pidfd_open(pid) for pid in below]
        supervisor.kill()
        for descriptor in watched:
            assert select.select([descriptor], [], [], PATIENCE)[0]
            os.close(descriptor)
        supervisor.wait(PATIENCE)
    assert settled(before) == before


def test_ctrl_c_reaches_the_harness_as_keyboard_interrupt() -> None:
    """SIGINT to the supervisor: the harness unwinds, says so, and the exit code is 130."""
    before = traces()
    with world(*script(LIFE)) as supervisor:
        alive(supervisor)
        supervisor.send_signal(signal.SIGINT)
        said, _ = supervisor.communicate(timeout=PATIENCE)
        assert "interrupted" in said
        assert supervisor.returncode == sandbox.INTERRUPTED
    assert settled(before) == before


def test_a_terminal_interrupts_once() -> None:
    """The terminal's SIGINT reaches the whole group; the supervisor does not add a second one."""
    counting = script("""
        import signal, time
        seen = []
        signal.signal(signal.SIGINT, lambda *_: seen.append(1))
        print("ready", flush=True)
        while not seen:
            time.sleep(0.01)
        time.sleep(0.3)
        print("seen", len(seen), flush=True)
    """)
    ours, theirs = os.openpty()
    with subprocess.Popen(
        ["setsid", "-c", "-w", *WORLD, *counting], stdin=theirs, stdout=theirs, stderr=theirs
    ) as terminal:
        os.close(theirs)
        assert "ready" in until(ours, b"ready")
        os.write(ours, b"\x03")
        assert "seen 1" in until(ours, b"seen")
        assert terminal.wait(PATIENCE) == 0
    os.close(ours)


def until(descriptor: int, wanted: bytes) -> str:
    """What a terminal shows, up to and with the line that has `wanted`."""
    shown = b""
    end = time.monotonic() + PATIENCE
    while not (wanted in shown and shown.endswith(b"\n")) and time.monotonic() < end:
        if select.select([descriptor], [], [], PATIENCE)[0]:
            shown += os.read(descriptor, 4096)
    return shown.decode()


def test_sigterm_ends_everything_also_what_ignores_it() -> None:
    """A harness that does not listen is killed after a while, with everything below it."""
    with world("sh", "-c", "trap '' TERM; echo ready; sleep 1000 & wait; wait") as supervisor:
        alive(supervisor)
        below = [os.pidfd_open(pid) for pid in descendants(supervisor.pid)]
        begun = time.monotonic()
        supervisor.terminate()
        supervisor.wait(sandbox.GRACE + PATIENCE)
        assert time.monotonic() - begun < sandbox.GRACE + 3
        for descriptor in below:
            assert select.select([descriptor], [], [], PATIENCE)[0]
            os.close(descriptor)


def test_where_namespaces_are_forbidden_it_says_what_to_type() -> None:
    """Exit code 4 and the sysctl that forbids it."""
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin"
    done = subprocess.run(
        [
            *OUT,
            *("unshare", "-U", "-r", "sh", "-c", forbid + ' "$@"', "sh"),
            *WORLD[len(OUT) :],
            "true",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 4
    assert "sysctl -w user.max_user_namespaces=" in done.stderr
