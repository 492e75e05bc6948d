"""Tor by the tor program: the public network, directly or by bridges, or one that is given.

Ready when tor says on its control socket that it has bootstrapped: it has then built a circuit.  It
carries TCP only, and nobody knows beforehand by which exit.  It refuses to run the transports'
programs that a user's file names, and to share its state (guards, caches) between two runs.
"""

import asyncio
import errno
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import binary
from circumtest.listening import free_port
from circumtest.localproxy import HOST, STREAMS, Local, LocalPath
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.process import Daemon, ProcessEnded, daemon, private_dir, program
from circumtest.scrub import scrub
from circumtest.tor.bridge import OBFS4
from circumtest.tor.control import Control, control
from circumtest.tor.managed import PROGRAM
from circumtest.tor.torrc import Torrc, is_torrc, parse

_AUTHORITY = re.compile(
    r"\w+ (?:[a-z0-9]+(?:=[0-9A-Fa-f]+)? )*v3ident=[0-9A-Fa-f]{40} (?:[a-z0-9]+ )*"
    r"[0-9.]+:\d{1,5} [0-9A-Fa-f]{40}"
)
_OPENED = "Opened Control listener"
_PROXY_ENDED = re.compile(r"Managed proxy .* (?:terminated|exited|having failed)")
_DATE = re.compile(r"^\w{3} \d\d \d\d:\d\d:\d\d\.\d{3} ")
_EVERY_TIME = re.compile(
    "running on|Tor can't help you|Read configuration file|used DirAuthority|TestingTorNetwork is"
    "|Tor as root|Open(?:ing|ed) |TLS groups|guard context|New control connection"
    "|giving Tor only an IP address"
)
_SAYS = {
    "CONNECTREFUSED": errno.ECONNREFUSED,
    "CONNRESET": errno.ECONNRESET,
    "MISC": errno.EHOSTUNREACH,  # all that newer exits say, whatever became of it
    "NOROUTE": errno.EHOSTUNREACH,
    "TIMEOUT": errno.ETIMEDOUT,
}
"""What an exit says of a target (control-spec, 4.1.2)."""

_TORRC = """\
DataDirectory {place}/data
ControlSocket {place}/control
CookieAuthentication 1
CookieAuthFile {place}/cookie
SocksPort {host}:{port}
Log notice stdout
SafeLogging 1
AvoidDiskWrites 1
ClientOnly 1
"""


@dataclass(frozen=True)
class Tor:
    """Bridges by a file (`config`: a piece of torrc, or bridge lines) or its `text`, or neither.

    `authorities` make it another network than the public one: DirAuthority lines without the
    keyword, as the lab's own network has them.  `patience` is how many seconds bootstrapping may
    take.  `exits` are the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no bridge.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    authorities: tuple[str, ...] = field(default=(), repr=False)
    patience: float = 60.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.config and self.text:
            raise ConfigError("tor", "key `config`", "is given twice", "`text` is the same")
        if not self.patience > 0:
            raise ConfigError("tor", "key `patience`", "is not a number of seconds above 0")
        for number, line in enumerate(self.authorities, 1):
            if not _AUTHORITY.fullmatch(line):
                remedy = "NAME orport=PORT v3ident=DIGITS IP:PORT FINGERPRINT, as in DirAuthority"
                raise ConfigError("tor", f"key `authorities`, {number}", "is none", remedy)
        _ = self.torrc

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """Bridge lines, a torrc that has some, and the word `tor:` for the public network."""
        if text.strip() == "tor:":
            return {}
        return {"text": text} if is_torrc(text) else None

    @cached_property
    def torrc(self) -> Torrc:
        """What the file says, read once."""
        if not self.config:
            return parse(self.text, "torrc")
        try:
            return parse(Path(self.config).read_text(encoding="utf-8-sig"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "a torrc, or bridge lines") from None

    def notes(self) -> tuple[str, ...]:
        """What of the file is not honoured, in words."""
        return self.torrc.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["TorPath"]:
        """Start tor and wait until it has bootstrapped.

        Raises TunnelDown: HANDSHAKE with the phase in which it stays, BINARY when tor does not run
        or does not take its configuration; EnvironmentUnfit when it is not installed.
        """
        async with AsyncExitStack() as stack:
            place = stack.enter_context(private_dir())
            local = self._local(place, free_port(underlay))
            process = await stack.enter_async_context(daemon(underlay, local.argv, name="tor"))
            try:
                await process.line(_OPENED, self.patience)
                sockets = place / "control", place / "cookie"
                talk = await stack.enter_async_context(control(*sockets))
                await self._bootstrapped(talk, process, local)
            except ProcessEnded as ended:
                telling = ProcessEnded(ended.name, ended.code, _telling(ended.words))
                raise binary(telling, local.secrets) from None
            except (TimeoutError, OSError):
                words = scrub(_telling(process.log), local.secrets)
                detail = "tor does not open its control socket to us"
                raise TunnelDown(TunnelFault.BINARY, detail, words) from None
            yield TorPath(underlay, local, process, talk, self.exits)

    def _local(self, place: Path, port: int) -> Local:
        (place / "torrc").write_text(self._torrc(place, port))
        (place / "defaults").touch()  # or tor would read the system's
        argv = ["tor", "--defaults-torrc", str(place / "defaults"), "-f", str(place / "torrc")]
        secrets = [one for bridge in self.torrc.bridges for one in bridge.secrets]
        return Local("tor", argv, port, STREAMS, explain=_explain, secrets=secrets)

    async def _bootstrapped(self, talk: Control, process: Daemon, local: Local) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await talk.bootstrapped()
        except TimeoutError:
            phase = scrub(str(talk.phase))
            detail = f"bootstrapping has come to {phase} in {self.patience:g} s, and stays there"
            words = scrub(_telling(process.log), local.secrets)
            raise TunnelDown(TunnelFault.HANDSHAKE, detail, words) from None
        except ConnectionError:
            await process.ended()
            raise process.post_mortem() from None

    def _torrc(self, place: Path, port: int) -> str:
        text = _TORRC.format(place=place, host=HOST, port=port)
        if self.authorities:
            lines = (f"DirAuthority {line}" for line in self.authorities)
            text += "\n".join(["TestingTorNetwork 1", *lines, ""])
        torrc = self.torrc
        text += "".join(f"{name} {value}\n" for name, value in torrc.options)
        if torrc.bridges:
            text += "UseBridges 1\n"
            text += "".join(f"Bridge {bridge.line}\n" for bridge in torrc.bridges)
        if any(bridge.transport == OBFS4 for bridge in torrc.bridges):
            text += f"ClientTransportPlugin {OBFS4} exec {program(PROGRAM)}\n"
        return text


class TorPath(LocalPath):
    """Streams through tor, which has a circuit: silence is no longer bootstrapping's."""

    silence = TunnelFault.NO_DATA

    def __init__(
        self,
        underlay: Netns,
        local: Local,
        process: Daemon,
        talk: Control,
        exits: tuple[str, ...],
    ) -> None:
        super().__init__(underlay, local, process, exits)
        self._talk, self._hidden = talk, tuple(local.secrets)

    @property
    def words(self) -> str:
        return scrub(_telling(self.process.log), self._hidden)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """As LocalPath's; what the exits said of the target is an OSError; NO_UDP for UDP."""
        if transport is not Transport.TCP:
            raise TunnelDown(TunnelFault.NO_UDP, "Tor carries streams only")
        self._talk.reasons.pop(str(remote), None)
        try:
            return await super().open(transport, remote, sink, timeout)
        except TunnelDown:
            # After three exits tor's SOCKS says "general failure", whatever they have said.
            reason = self._talk.reasons.get(str(remote), "")
            if reason in _SAYS:
                raise OSError(_SAYS[reason], f"the exits say: {reason.lower()}") from None
            raise

    def fault(self) -> TunnelDown | None:
        """What LocalPath knows; NO_DATA while tor says that it has no circuit."""
        if (known := super().fault()) is not None:
            return known
        if self._talk.cut_off:
            detail = "tor says that it can build no circuit any more"
            return TunnelDown(TunnelFault.NO_DATA, detail, self.words)
        return None


def _explain(words: str) -> tuple[TunnelFault, str] | None:
    """What tor says of the transport's program, before it starts it again."""
    if _PROXY_ENDED.search(words):
        return TunnelFault.BINARY, f"{PROGRAM} has ended"
    return None


def _telling(log: str) -> str:
    """What of tor's log tells something: no dates, nothing that it says every time, or twice."""
    lines = (_DATE.sub("", line) for line in log.splitlines())
    return "\n".join(dict.fromkeys(line for line in lines if not _EVERY_TIME.search(line)))
