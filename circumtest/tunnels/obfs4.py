"""obfs4 without Tor: a bridge line, and a SOCKS5 proxy behind the server that it names.

obfs4proxy is driven by us; through the stream that it opens to the server goes SOCKS5 to the proxy
at its far end, and only that one is asked for targets.  Ready when the far proxy has answered,
which takes the whole handshake of obfs4.  It carries TCP only.  It refuses bridges of Tor: what is
behind those speaks no SOCKS.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import binary
from circumtest.localproxy import HOST, STREAMS
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.socks import SocksPath, SocksProxy, Version
from circumtest.process import Daemon, ProcessEnded, private_dir
from circumtest.scrub import scrub
from circumtest.tor import managed
from circumtest.tor.bridge import EXAMPLE, OBFS4, Bridge, encoded
from circumtest.tor.torrc import Torrc, parse

_SPLIT = 255
"""Bytes of a SOCKS user, after which the arguments go on in the password (pt-spec 1, 3.5)."""


@dataclass(frozen=True)
class Obfs4:
    """A server by a file with its bridge line, or by the file's `text`; one of the two is given.

    `user` and `password` are what the SOCKS5 proxy behind it wants, "" where it wants none.
    `patience` is how many seconds reaching that proxy may take.  `exits` are the addresses that the
    far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no key.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError("obfs4", "key `config`", "name a file with a bridge line", EXAMPLE)
        if not self.patience > 0:
            raise ConfigError("obfs4", "key `patience`", "is not a number of seconds above 0")
        if bool(self.user) != bool(self.password):
            raise ConfigError("obfs4", "key `user`", "only one of user and password is given")
        login = self.user + self.password
        if not login.isascii() or max(len(self.user), len(self.password)) > _SPLIT:
            problem = "user and password are up to 255 ASCII characters"
            raise ConfigError("obfs4", "key `user`", problem)
        _ = self.bridge

    @cached_property
    def torrc(self) -> Torrc:
        """What the file says, read once."""
        if self.text:
            return parse(self.text, "bridge line")
        try:
            return parse(Path(self.config).read_text(encoding="utf-8-sig"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", EXAMPLE) from None

    @cached_property
    def bridge(self) -> Bridge:
        """The one server."""
        where, bridges = self.config or "bridge line", self.torrc.bridges
        if self.torrc.options:
            name = self.torrc.options[0][0]
            raise ConfigError(where, name, "is tor's, and there is no tor here", "leave it out")
        if len(bridges) != 1:
            problem = f"has {len(bridges) or 'no'} bridges to use, and one is meant"
            raise ConfigError(where, "", problem, EXAMPLE)
        if bridges[0].transport != OBFS4:
            raise ConfigError(where, "", "the bridge does not speak obfs4", EXAMPLE)
        return bridges[0]

    def notes(self) -> tuple[str, ...]:
        """What of the file is not honoured, in words."""
        return self.torrc.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["Obfs4Path"]:
        """Start obfs4proxy and be let in by the proxy behind the server.

        Raises TunnelDown: HANDSHAKE when the server is not reached, does not know our key (it is
        silent then) or has no SOCKS behind it, AUTH when that refuses the login, BINARY when
        obfs4proxy does not run; EnvironmentUnfit when it is not installed.
        """
        async with AsyncExitStack() as stack:
            place = stack.enter_context(private_dir())
            try:
                process, port = await stack.enter_async_context(
                    managed.client(underlay, place, self.patience)
                )
            except ProcessEnded as ended:
                raise binary(ended, self.bridge.secrets) from None
            except TimeoutError:
                detail = f"{managed.PROGRAM} does not get ready"
                raise TunnelDown(TunnelFault.BINARY, detail) from None
            path = Obfs4Path(underlay, self, process, port, place / managed.LOG)
            await path.check(self.patience)
            yield path


class Obfs4Path:
    """Streams through obfs4proxy and the proxy behind its server."""

    name = "obfs4"
    transports = STREAMS
    mtu: ClassVar[int | None] = None
    dns: ClassVar[tuple[str, ...]] = ()
    silence: ClassVar[TunnelFault] = TunnelFault.NO_DATA

    def __init__(
        self, underlay: Netns, config: Obfs4, process: Daemon, port: int, log: Path
    ) -> None:
        self.process, self._bridge, self._log = process, config.bridge, log
        self._reached = False
        login = encoded(config.bridge.arguments)
        user, password = login[:_SPLIT], login[_SPLIT:] or "\0"
        exits = frozenset(config.exits)
        near = SocksProxy(Version.SOCKS5, Address(HOST, port), user, password)
        far = SocksProxy(Version.SOCKS5, config.bridge.address, config.user, config.password)
        self._near = SocksPath(underlay, near, exits)
        self._far = SocksPath(underlay, far, exits, self._reach)

    @property
    def exits(self) -> frozenset[str]:
        return self._far.exits

    @property
    def words(self) -> str:
        said = self.process.log
        with suppress(OSError):  # it has not said anything yet
            said = self._log.read_text(encoding="utf-8", errors="replace")
        return scrub(said, self._bridge.secrets)

    async def check(self, timeout: float) -> None:
        """Reach the proxy behind the server and be let in.  Raises TunnelDown."""
        try:
            await self._far.check(timeout)
        except TunnelDown as down:
            detail = down.detail
            if self._reached and down.fault is TunnelFault.HANDSHAKE:
                detail = (
                    f"the server speaks obfs4, and what is behind it no SOCKS5 ({detail}): for a"
                    " bridge of Tor's the kind is tor"
                )
            raise TunnelDown(down.fault, detail, down.evidence or self.words) from None

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A stream to `remote`; raises what SocksPath does of the proxy behind the server.

        HANDSHAKE when the server is not reached, BINARY when obfs4proxy has ended, NO_UDP for UDP.
        """
        if transport is not Transport.TCP:
            raise TunnelDown(TunnelFault.NO_UDP, "obfs4 carries streams only")
        return await self._far.open(transport, remote, sink, timeout)

    def fault(self) -> TunnelDown | None:
        """BINARY when obfs4proxy has ended."""
        if not self.process.alive:
            return binary(self.process.post_mortem(), self._bridge.secrets)
        return self._far.fault()

    async def _reach(self, timeout: float) -> socket.socket:
        """A stream to what is behind the server, obfs4's handshake included."""
        if not self.process.alive:
            raise binary(self.process.post_mortem(), self._bridge.secrets)
        try:
            reached = await self._near.connect(self._bridge.address, timeout)
        except TimeoutError:
            detail = (
                "the server does not answer: it is down, unreachable or blocked, or does not know"
                " our cert (obfs4 answers strangers with silence)"
            )
        except OSError as error:
            detail = f"the server is not reached: {error.strerror}"
        except TunnelDown:  # obfs4proxy has one word for most of what goes wrong
            if not self.process.alive:
                raise binary(self.process.post_mortem(), self._bridge.secrets) from None
            detail = f"{managed.PROGRAM} does not get through to the server"
        else:
            self._reached = True
            return reached
        raise TunnelDown(TunnelFault.HANDSHAKE, detail, self.words)
