"""What tests do to the programs of a namespace: find them, and start a server anew as it was."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path as File
from typing import NamedTuple

from circumtest.netns import Netns
from tests.lab.town import until


class Command(NamedTuple):
    """How a program was started."""

    argv: list[str]
    env: dict[str, str]


class _Program(NamedTuple):
    """How a program was started, in which directory, and a descriptor of its mount namespace."""

    command: Command
    cwd: str
    mounts: int


def command_of(pid: int) -> Command:
    """The command and the environment of a process, as they are in /proc."""
    place = File(f"/proc/{pid}")
    argv = [word.decode() for word in (place / "cmdline").read_bytes().split(b"\0")[:-1]]
    pairs = (place / "environ").read_bytes().split(b"\0")
    return Command(argv, dict(pair.decode().split("=", 1) for pair in pairs if b"=" in pair))


def inhabitants(netns: Netns) -> set[int]:
    """The processes that live in a namespace, zombies not counted."""
    home, found = os.fstat(netns.fd), set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it ended meanwhile
            if os.path.samestat(os.stat(f"/proc/{name}/ns/net"), home):
                found.add(int(name))
    return found


def kill_all(pids: Iterable[int]) -> None:
    """kill -9 for each; one that ended meanwhile, as some do with their parent, is dead as well."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def restart(netns: Netns) -> AsyncIterator[None]:
    """Kill every program of a namespace, and start those again that had no parent among them.

    The new ones end with the context.
    """
    pids = inhabitants(netns)
    programs = []
    for pid in sorted(pids):
        with suppress(OSError):  # it ended meanwhile: nothing that was serving
            if _parent(pid) not in pids and command_of(pid).argv:
                programs.append(_how(pid))
    kill_all(pids)
    async with asyncio.timeout(5):
        await until(lambda: not inhabitants(netns))
    again = [await netns.acall(_start, program) for program in programs]
    try:
        yield
    finally:
        kill_all(inhabitants(netns))
        for process in again:
            process.wait()


def _how(pid: int) -> _Program:
    place = File(f"/proc/{pid}")
    command, cwd = command_of(pid), str((place / "cwd").readlink())
    return _Program(command, cwd, os.open(place / "ns" / "mnt", os.O_RDONLY))


def _start(program: _Program) -> "subprocess.Popen[bytes]":
    mounts = f"--mount=/proc/self/fd/{program.mounts}"
    try:
        return subprocess.Popen(
            ["nsenter", mounts, f"--wdns={program.cwd}", *program.command.argv],
            env=program.command.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(program.mounts,),
            start_new_session=True,
        )
    finally:
        os.close(program.mounts)


def _parent(pid: int) -> int:
    return int(File(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
