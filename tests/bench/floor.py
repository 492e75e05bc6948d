"""What a tunnel costs without circumtest: its daemon started by hand, bare blocking sockets.

Used by `tunnels.py`.  The command is the one that the tunnel itself started, read from /proc, with
a copy of its private files.  Devices are not taken up by hand here: for WireGuard's `wireguard_up`
does, others have no recipe beside them.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path as File
from statistics import median

from circumtest.lab.topology import RESOLVER, Lab
from circumtest.localproxy import LocalPath
from circumtest.model import Address, Transport
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.path.socks import SocksPath, SocksProxy
from circumtest.process import daemon
from circumtest.wire import socks
from tests.lab.exits import command_of
from tests.lab.specimens import Specimen

PORT, ECHOES = 9001, 300
HERE = File(__file__).parent


@asynccontextmanager
async def far_end(services: Netns) -> AsyncIterator[None]:
    """A bare echo in a process of its own, so that it costs nobody's event loop anything."""
    argv = [sys.executable, str(HERE / "far.py"), str(PORT), *RESOLVER.values()]
    async with daemon(services, argv) as process:
        await process.line("^ready$", 10)
        yield


def far_of(specimen: Specimen) -> Address:
    """Where that echo is, in a family that the tunnel carries."""
    return Address(RESOLVER[min(specimen.versions)], PORT)


# ------------------------------------------------------------------ bare sockets


def bare(
    specimen: Specimen, proxy: SocksProxy | None
) -> tuple[socket.socket, socket.socket, bytes]:
    """A blocking socket to the far end, what must stay open beside it, and what goes before data.

    Called on the thread of the namespace that it is for.
    """
    remote = far_of(specimen)
    datagrams = Transport.UDP in specimen.carries
    family = socket.AF_INET6 if remote.version == 6 else socket.AF_INET
    if proxy is None:
        sock = socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        sock.settimeout(5)
        sock.connect(remote)
        return sock, sock, b""
    control = socket.create_connection(proxy.address, 5)
    control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _log_in(control, proxy)
    if not datagrams:
        _ask(control, socks.request(socks.Request.CONNECT, *remote))
        return control, control, b""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    udp.bind(("0.0.0.0", 0))
    bound = _ask(
        control, socks.request(socks.Request.UDP_ASSOCIATE, "0.0.0.0", udp.getsockname()[1])
    )
    host = proxy.address.host if bound.host == "0.0.0.0" else bound.host
    udp.connect((host, bound.port))
    return udp, control, socks.datagram(*remote, b"")


def _log_in(control: socket.socket, proxy: SocksProxy) -> None:
    method = socks.Method.PASSWORD if proxy.user else socks.Method.NONE
    control.sendall(socks.greeting(method))
    assert socks.method(control.recv(2)) == method
    if proxy.user:
        control.sendall(socks.credentials(proxy.user.encode(), proxy.password.encode()))
        assert socks.granted(control.recv(2))


def _ask(control: socket.socket, request: bytes) -> socks.Reply:
    control.sendall(request)
    told = b""
    while (reply := socks.reply(told)) is None:
        told += control.recv(1)
    assert reply.code == socks.Code.SUCCEEDED, reply
    return reply


def _echoes(specimen: Specimen, proxy: SocksProxy | None, count: int) -> list[float]:
    sock, control, header = bare(specimen, proxy)
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        sock.sendall(header + b"x" * 64)
        sock.recv(4096)
        taken.append(time.perf_counter() - begun)
    sock.close()
    control.close()
    return taken


async def floor(path: Path, specimen: Specimen) -> float | None:
    """The median of bare echoes where the path's are played, in seconds; None where none can be.

    In the namespace inside, or through the daemon's own SOCKS port.
    """
    inside: Netns | None = getattr(path, "inside", None)
    if inside is not None:
        return median(await inside.acall(_echoes, specimen, None, ECHOES))
    proxied = path._socks if isinstance(path, LocalPath) else path
    if not isinstance(proxied, SocksPath):
        return None
    return median(await proxied._underlay.acall(_echoes, specimen, proxied._proxy, ECHOES))


# ------------------------------------------------------------------ the recipe


@dataclass
class Recipe:
    """The daemon's command as the tunnel started it, to be started again by hand."""

    client: Netns
    argv: list[str]
    env: dict[str, str]
    proxy: SocksProxy

    @classmethod
    def taken_from(cls, place: Lab, path: Path) -> "Recipe | None":
        """From a tunnel that is up; None where it is no daemon with a SOCKS port of its own."""
        if isinstance(path, SocksPath):
            return cls(place.client, [], {}, path._proxy)
        if not isinstance(path, LocalPath):
            return None
        how = command_of(path.process.pid)
        recipe = cls(place.client, how.argv, how.env, path._socks._proxy)
        recipe._keep_files()
        return recipe

    def _keep_files(self) -> None:
        """Copy the private directories that the command names, under other names."""
        text = "\0".join([*self.argv, *self.env.values()])
        for place in File("/run").glob("circumtest-*"):
            if not place.is_dir() or str(place) not in text:
                continue
            copy = tempfile.mkdtemp(prefix="circumtest-", dir="/run")
            shutil.copytree(place, copy, dirs_exist_ok=True, ignore=_only_files)
            for file in filter(File.is_file, File(copy).rglob("*")):
                content = file.read_bytes()
                file.write_bytes(content.replace(str(place).encode(), copy.encode()))
            self.argv = [part.replace(str(place), copy) for part in self.argv]
            self.env = {key: value.replace(str(place), copy) for key, value in self.env.items()}

    async def play(self, specimen: Specimen) -> float:
        """Seconds from the command to the first reply; what was started is gone afterwards."""
        return await self.client.acall(self._play, specimen)

    def _play(self, specimen: Specimen) -> float:
        begun = time.perf_counter()
        process = None
        if self.argv:
            null = subprocess.DEVNULL
            process = subprocess.Popen(
                self.argv,
                env=self.env,
                stdin=null,
                stdout=null,
                stderr=null,
                start_new_session=True,
            )
        try:
            self._until_it_listens(begun + 20)
            # As the harness does: what the daemon swallows on its first connection is asked again.
            while True:
                try:
                    _echoes(specimen, self.proxy, 1)
                    return time.perf_counter() - begun
                except (OSError, AssertionError):
                    if time.perf_counter() > begun + 20:
                        raise
        finally:
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _until_it_listens(self, end: float) -> None:
        while True:
            try:
                socket.create_connection(self.proxy.address, 5).close()
                return
            except ConnectionRefusedError:
                if time.perf_counter() > end:
                    raise
                time.sleep(0.001)


def _only_files(place: str, names: list[str]) -> list[str]:
    """What is not copied: sockets, pipes, and `data`, what Tor learnt: its recipe starts cold."""
    whole = {name for name in names if File(place, name).is_file() or File(place, name).is_dir()}
    return [name for name in names if name not in whole or name == "data"]
