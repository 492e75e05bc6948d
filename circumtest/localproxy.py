"""What every tunnel needs that is a daemon with a SOCKS port on the loopback of the underlay.

Such a daemon says yes to everything before it has reached its server, so neither its port nor its
"ok" proves anything: the path's `silence` is HANDSHAKE, and it is up to an exchange with a far end
to prove it (`circumtest.proof`).  It refuses to know what the daemon speaks.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from circumtest.errors import TunnelDown
from circumtest.inside import binary
from circumtest.listening import listening
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.direct import BOTH
from circumtest.path.socks import SocksPath, SocksProxy, Version
from circumtest.process import Daemon, ProcessEnded, daemon
from circumtest.scrub import scrub

STREAMS = frozenset({Transport.TCP})
"""What a daemon carries that knows no UDP."""
HOST = "127.0.0.1"

Explain = Callable[[str], tuple[TunnelFault, str] | None]
"""From what the daemon said since the channel was opened: whose fault it names, if it names one."""


@dataclass(frozen=True)
class Local:
    """A daemon's command, and the port of HOST on which it will speak SOCKS.

    `argv` must not hold secrets; `secrets` are those that its words may repeat.  `user` and
    `password` are what its port wants.  `explain` is asked after a failed trial.
    """

    name: str
    argv: Sequence[str]
    port: int
    carries: frozenset[Transport] = BOTH
    env: Mapping[str, str] | None = None
    explain: Explain = lambda _words: None
    secrets: Iterable[str] = ()
    user: str = ""
    password: str = ""
    version: Version = Version.SOCKS5


class LocalPath:
    """Channels through a local daemon.  What is known of its fault lasts until the next `open`."""

    mtu = None
    dns = ()
    silence = TunnelFault.HANDSHAKE

    def __init__(
        self, underlay: Netns, local: Local, process: Daemon, exits: Iterable[str]
    ) -> None:
        self.name = local.name
        self.transports = local.carries
        self.process = process
        self._local, self._heard = local, 0
        proxy = SocksProxy(local.version, Address(HOST, local.port), local.user, local.password)
        self._socks = SocksPath(underlay, proxy, frozenset(exits))

    @property
    def exits(self) -> frozenset[str]:
        return self._socks.exits

    @property
    def words(self) -> str:
        return scrub(self.process.log, self._local.secrets)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A channel through the daemon; raises what SocksPath does, BINARY when it has ended.

        OSError for what the proxy said of the target may mean its server just as well: the control
        that every block plays tells them apart.
        """
        if not self.process.alive:
            raise binary(self.process.post_mortem(), self._local.secrets)
        self._heard = self.process.written
        try:
            return await self._socks.open(transport, remote, sink, timeout)
        except TunnelDown as down:
            # One that hangs up on us may have said why.
            why = self._explained() if down.fault is TunnelFault.HANDSHAKE else None
            raise why or down from None

    def fault(self) -> TunnelDown | None:
        """BINARY when the daemon ended; what it explains; what the SOCKS side knows."""
        if not self.process.alive:
            return binary(self.process.post_mortem(), self._local.secrets)
        return self._explained() or self._socks.fault()

    def _explained(self) -> TunnelDown | None:
        said = self._local.explain(self.process.since(self._heard))
        return TunnelDown(*said, self.words) if said else None


@asynccontextmanager
async def local_proxy(
    underlay: Netns, local: Local, exits: Iterable[str], patience: float
) -> AsyncIterator[LocalPath]:
    """Start the daemon in `underlay`; yields when its port is open, which proves nothing more.

    Raises TunnelDown(BINARY) when it does not get so far within `patience` seconds,
    EnvironmentUnfit when the program is not installed.
    """
    async with daemon(underlay, local.argv, env=local.env, name=local.name) as process:
        try:
            await listening(underlay, Address(HOST, local.port), process, patience)
        except ProcessEnded as ended:
            raise binary(ended, local.secrets) from None
        except TimeoutError:
            words = scrub(process.log, local.secrets)
            detail = f"{local.name} does not open its port"
            raise TunnelDown(TunnelFault.BINARY, detail, words) from None
        yield LocalPath(underlay, local, process, exits)
