"""Daemons and one-shot tools in a namespace.

A daemon is born on the namespace's thread, so it lives there; what it says is kept (the last
64 KiB) and can be waited for.  It gets a session of its own, and the whole session ends with it.
It refuses to put secrets on command lines: write them to a file in a `private_dir`.  A harness that
is killed takes its daemons with it because the sandbox's pid 1 goes too.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from circumtest import sandbox
from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns

LOG_LIMIT = 64 * 1024
"""Bytes of a daemon's output that are kept: the last ones."""
GRACE = 2.0
"""Seconds that a daemon has between SIGTERM and SIGKILL."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PACKAGES = {
    "baresip": "baresip-core",
    "charon-systemd": "charon-systemd",
    "conntrack": "conntrack",
    "danted": "dante-server",
    "ip": "iproute2",
    "iptables": "iptables",
    "kamailio": "kamailio kamailio-tls-modules",
    "microsocks": "microsocks",
    "nft": "nftables",
    "nsenter": "util-linux",
    "obfs-local": "simple-obfs",
    "obfs-server": "simple-obfs",
    "obfs4proxy": "obfs4proxy",
    "ocpasswd": "ocserv",
    "ocserv": "ocserv",
    "openconnect": "openconnect",
    "openvpn": "openvpn",
    "pasta": "passt",
    "setpriv": "util-linux",
    "sipp": "sip-tester",
    "slirp4netns": "slirp4netns",
    "ss-local": "shadowsocks-libev",
    "ss-server": "shadowsocks-libev",
    "ss-v2ray-plugin": "shadowsocks-v2ray-plugin",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "stunnel": "stunnel4",
    "tc": "iproute2",
    "tcpdump": "tcpdump",
    "tinyproxy": "tinyproxy",
    "tor": "tor",
    "tor-gencert": "tor",
    "trojan": "trojan",
    "tshark": "tshark",
    "turnserver": "coturn",
    "turnutils_uclient": "coturn",
    "unshare": "util-linux",
    "v2ray": "v2ray",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
}


class ProcessEnded(Exception):
    """A process ended that should not have, or failed: its name, exit code (-N: signal), words."""

    def __init__(self, name: str, code: int, words: str) -> None:
        self.name, self.code, self.words = name, code, words
        last = "\n".join(words.strip().splitlines()[-5:])
        super().__init__(f"{name} ended with {code}" + (f":\n{last}" if last else ""))


def program(name: str) -> str:
    """The file of a program, sbin directories included.

    Raises EnvironmentUnfit that names the Debian package when it is not installed.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    if found := shutil.which(name, path=path):
        return found
    raise EnvironmentUnfit(
        f"{name} is not installed", f"apt-get install {_PACKAGES.get(name, name)}"
    )


@contextmanager
def private_dir() -> Iterator[Path]:
    """A directory for keys and sockets, mode 0700, in memory inside the sandbox; gone on exit."""
    memory = "/run" if sandbox.inside() else None
    with tempfile.TemporaryDirectory(prefix=f"circumtest-{os.getpid()}-", dir=memory) as name:
        yield Path(name)


class Daemon:
    """A running process: what it said, and when it ends.  Made by `daemon`.

    `written` is how many bytes it has said in all.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", output: int, name: str) -> None:
        self.name, self.pid = name, process.pid
        self._process, self._output = process, output
        self._loop = asyncio.get_running_loop()
        self._log = bytearray()
        self.written = 0
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        os.set_blocking(output, False)
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(output, self._read)
        self._loop.add_reader(self._pidfd, self._end)

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    @property
    def log(self) -> str:
        """What it wrote to stdout and stderr, the last LOG_LIMIT bytes."""
        return self._log.decode(errors="replace")

    def since(self, written: int) -> str:
        """What it said after its first `written` bytes, as far as it is kept."""
        new = self.written - written
        return self._log[-new:].decode(errors="replace") if new > 0 else ""

    async def line(self, pattern: str, timeout: float) -> str:
        """The first line of the log, past or future, in which the regular expression is found.

        Raises TimeoutError after `timeout` seconds, ProcessEnded when it will never come.
        """
        wanted = re.compile(pattern)
        async with asyncio.timeout(timeout):
            while True:
                self._changed.clear()
                alive = self.alive
                for text in self.log.splitlines():
                    if wanted.search(text):
                        return text
                if not alive:
                    raise self.post_mortem()
                await self._changed.wait()

    async def ended(self) -> int:
        """Wait for its end; the exit code, or -N when signal N ended it."""
        await self._ended.wait()
        return self._code()

    def post_mortem(self) -> ProcessEnded:
        """The exception that says how it ended.  Only after its end."""
        return ProcessEnded(self.name, self._code(), self.log)

    async def stop(self) -> None:
        """SIGTERM, SIGKILL after GRACE seconds, and whatever else is left of its session."""
        try:
            if self.alive:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), GRACE)
        finally:
            # Before the process is reaped, while its id cannot mean another one.
            self._signal(signal.SIGKILL)
            for pid in _session(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._loop.remove_reader(self._pidfd)
            self._read()
            self._loop.remove_reader(self._output)
            os.close(self._pidfd)
            os.close(self._output)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _code(self) -> int:
        # Looked at without reaping, so that the id stays reserved until `stop`.
        if self._process.returncode is not None:
            return self._process.returncode
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert result is not None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._output, LOG_LIMIT)
            except BlockingIOError:
                break
            if not chunk:
                self._loop.remove_reader(self._output)
                break
            self._log += chunk
            self.written += len(chunk)
            del self._log[:-LOG_LIMIT]
        self._changed.set()

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._ended.set()
        self._read()


@asynccontextmanager
async def daemon(
    netns: Netns,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    name: str = "",
) -> AsyncIterator[Daemon]:
    """Start `argv` in `netns`; on exit it and every process of its session are gone.

    `env` is added to this process's environment.  Raises EnvironmentUnfit when the program is not
    installed; that it is running says nothing about its being ready: await a `line` or probe it.
    """
    output, theirs = os.pipe()
    try:
        process = await netns.acall(_spawn, argv, theirs, env, pass_fds)
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(theirs)
    running = Daemon(process, output, name or Path(argv[0]).name)
    try:
        yield running
    finally:
        await running.stop()


async def run(
    netns: Netns,
    argv: Sequence[str],
    *,
    input: bytes = b"",  # noqa: A002  # subprocess's word
    timeout: float = 10.0,
) -> str:
    """Run a one-shot tool in `netns`, feed it `input`, and return what it printed.

    Raises ProcessEnded with the tool's own words when it fails, TimeoutError when it is not done
    after `timeout` seconds, EnvironmentUnfit when it is not installed.
    """
    command = [program(argv[0]), *argv[1:]]
    with await netns.acall(_start_tool, command) as process:
        try:
            # Only the start needs the namespace's thread; waiting there would hold up its sockets.
            said, _ = await asyncio.to_thread(process.communicate, input, timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{argv[0]} took longer than {timeout} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    words = said.decode(errors="replace")
    if process.returncode != 0:
        raise ProcessEnded(" ".join(argv[:3]), process.returncode, words)
    return words


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}


def _leash() -> list[str]:
    """Where no private world ends with us, the kernel ends the daemon when we end."""
    return [] if sandbox.inside() else [program("setpriv"), "--pdeathsig", "KILL"]


def _spawn(
    argv: Sequence[str], output: int, env: Mapping[str, str] | None, pass_fds: Sequence[int]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*_leash(), program(argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_environment(env),
        pass_fds=pass_fds,
        start_new_session=True,
    )


def _start_tool(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(None),
        start_new_session=True,
    )


def _session(leader: int) -> list[int]:
    """The processes whose session `leader` began (proc(5), stat, field 6), itself not included."""
    found = []
    # Not by glob: it looks into the directories itself, and stumbles over one that is going.
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:  # noqa: PTH208
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == leader and pid != leader:
            found.append(pid)
    return found
