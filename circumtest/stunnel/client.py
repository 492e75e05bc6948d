"""stunnel as a client in the underlay: a port of the loopback that leads into TLS to a server.

It takes every connection before it has reached the server, so its port proves nothing; whose fault
a failure is, its log tells.
"""

import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from circumtest.errors import TunnelDown
from circumtest.inside import binary
from circumtest.listening import free_port
from circumtest.model import Address, TunnelFault
from circumtest.netns import Netns
from circumtest.path.resolve import resolve
from circumtest.process import Daemon, ProcessEnded, daemon
from circumtest.scrub import scrub
from circumtest.stunnel.conf import Service

HOST = "127.0.0.1"
BOUND = r"bound to 127\.0\.0\.1"
"""In the line of its log that says that its port is open."""

_CONFIG = """\
foreground = yes
pid =
syslog = no
debug = {debug}
[circumtest]
client = yes
libwrap = no
accept = {accept}
{connect}
TIMEOUTconnect = {timeout}
TIMEOUTclose = 0
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
"""

_SAYS = (
    (
        r"alert (?:unknown ca|bad certificate|certificate \w+|unsupported certificate"
        r"|access denied|unknown psk identity|decrypt error)",
        TunnelFault.AUTH,
        "the server behind TLS refuses our certificate or key",
    ),
    (
        r"certificate verify failed|Subject checks failed|Pre-verification error"
        r"|No host name matched|not found in local repository",
        TunnelFault.HANDSHAKE,
        "the server's certificate is not to be trusted",
    ),
    (r"SSL_connect: ", TunnelFault.HANDSHAKE, "the server does not speak TLS with us"),
    (r"connect\w*: .*refused", TunnelFault.HANDSHAKE, "cannot reach the server: refused"),
    (r"TIMEOUTconnect exceeded", TunnelFault.HANDSHAKE, "cannot reach the server: no answer"),
    (
        r"connect\w*: .*unreachable|connect\w*: .*timed out|connect\w*: .*No route",
        TunnelFault.HANDSHAKE,
        "cannot reach the server",
    ),
)
_NAMES = re.compile(r"(at depth=\d+: |client CA: |server CA: |servername: |Host name |subject: ).*")


async def reached(underlay: Netns, service: Service, patience: float) -> tuple[Address, ...]:
    """The servers by address.  Raises TunnelDown(HANDSHAKE) when none is known by name."""
    found, why = [], ""
    for host, port in service.connect:
        try:
            found.append(await resolve(underlay, host, port, patience))
        except OSError as error:
            why = error.strerror or "no answer"
    if not found:
        raise TunnelDown(TunnelFault.HANDSHAKE, f"cannot resolve the server: {why}")
    return tuple(found)


def command(
    service: Service,
    servers: Sequence[Address],
    port: int,
    place: Path,
    patience: float,
    debug: str = "err",
) -> list[str]:
    """Write its files into the private directory `place`; the command that starts it at `port`.

    Its errors tell no name of a certificate; with `debug` at "info" it does, and when it is BOUND.
    """
    text = _CONFIG.format(
        debug=debug,
        accept=f"{HOST}:{port}",
        connect="\n".join(f"connect = {one.host}:{one.port}" for one in servers),
        # So that all of them have been tried, and it has said so, before patience ends.
        timeout=max(1, math.ceil(patience / (len(servers) + 1))),
    )
    text += "".join(f"{line}\n" for line in service.lines)
    for key, inside in service.files:
        file = place / f"stunnel-{key}"
        file.touch(0o600)
        file.write_text(inside)
        text += f"{key} = {file}\n"
    config = place / "stunnel.conf"
    config.write_text(text)
    return ["stunnel", str(config)]


def explain(words: str) -> tuple[TunnelFault, str] | None:
    """Whose fault its words name, if they name one."""
    for pattern, fault, detail in _SAYS:
        if re.search(pattern, words):
            return fault, detail
    return None


class Wrapper:
    """A running stunnel: what stands behind `port` of HOST is its server.  Made by `wrapping`."""

    def __init__(self, process: Daemon, service: Service, port: int) -> None:
        self.port = port
        self._process, self._service = process, service

    @property
    def words(self) -> str:
        """Its last words, scrubbed."""
        return scrub(_NAMES.sub(r"\1<name>", self._process.log), self._service.secrets)

    def fault(self) -> TunnelDown | None:
        """BINARY once it has ended."""
        if self._process.alive:
            return None
        ended = self._process.post_mortem()
        return binary(ProcessEnded(ended.name, ended.code, self.words))

    def explained(self, down: TunnelDown) -> TunnelDown:
        """What `down`, which somebody behind it said, comes from, if its own words tell."""
        if (ended := self.fault()) is not None:
            return ended
        if down.fault is TunnelFault.HANDSHAKE and (said := explain(self._process.log)) is not None:
            return TunnelDown(*said, self.words)
        return down


@asynccontextmanager
async def wrapping(
    underlay: Netns, service: Service, place: Path, patience: float
) -> AsyncIterator[Wrapper]:
    """Start it in `underlay`, its files in the private directory `place`; yields when it listens.

    Raises TunnelDown(HANDSHAKE) when no server's name is known, TunnelDown(BINARY) when it does not
    start within `patience` seconds, EnvironmentUnfit when it is not installed.
    """
    servers = await reached(underlay, service, patience)
    port = free_port(underlay)
    argv = command(service, servers, port, place, patience, debug="info")
    async with daemon(underlay, argv) as process:
        wrapper = Wrapper(process, service, port)
        try:
            await process.line(BOUND, patience)
        except (ProcessEnded, TimeoutError):
            detail = "stunnel does not open its port"
            raise wrapper.fault() or TunnelDown(TunnelFault.BINARY, detail, wrapper.words) from None
        yield wrapper
