"""stunnel at the exit: TLS around a SOCKS proxy (microsocks) or around OpenVPN over TCP.

Keys and certificates are new each time; with `certificates` it lets only clients in that show one.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from circumtest.lab.pki import Authority, Pair
from circumtest.lab.servers import Site, address_of
from circumtest.lab.servers.openvpn import OpenvpnServer, serving
from circumtest.listening import free_port, listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir

NAME = "tls.example"
LOOPBACK = "127.0.0.1"
LOCAL = 1194
"""Where the client's own stunnel listens in its configuration."""

_SERVER = """\
foreground = yes
pid =
syslog = no
debug = info
[behind]
libwrap = no
accept = :::{port}
connect = {behind.host}:{behind.port}
cert = {place}/server.pem
TIMEOUTclose = 0
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
"""
_ONLY = "verifyChain = yes\nCAfile = {place}/authority.pem\n"
_CLIENT = """\
client = yes
[behind]
accept = {loopback}:{local}
connect = {host}:{port}
verifyChain = yes
checkHost = {name}
CAfile = {place}/authority.pem
"""
_SHOWN = "cert = {place}/client.pem\n"


@dataclass(frozen=True)
class StunnelServer:
    """`port` is where it listens; `behind` it is a SOCKS proxy, or OpenVPN over TCP."""

    port: int = 4433
    behind: Literal["socks", "openvpn"] = "socks"
    certificates: bool = False

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when both listen.

        Gives `text`, a client's stunnel.conf; for OpenVPN `text` is its `.ovpn`, and the
        stunnel.conf is `stunnel_text`.  The files that it names live as long as the server.
        """
        authority, host = Authority(), address_of(lab, 4)
        behind = Address(LOOPBACK, free_port(lab.exit))
        async with AsyncExitStack() as stack:
            place = stack.enter_context(private_dir())
            (place / "authority.pem").write_text(authority.certificate)
            _keep(place / "server.pem", authority.server(NAME))
            _keep(place / "client.pem", authority.client("caller"))
            fields = await stack.enter_async_context(self._behind(lab, behind))
            config = place / "stunnel.conf"
            text = _SERVER.format(port=self.port, behind=behind, place=place)
            config.write_text(text + (_ONLY.format(place=place) if self.certificates else ""))
            argv = ["stunnel", str(config)]
            process = await stack.enter_async_context(daemon(lab.exit, argv))
            await process.line(r"bound to \S", 10)
            client = _CLIENT.format(
                loopback=LOOPBACK, local=LOCAL, host=host, port=self.port, name=NAME, place=place
            )
            client += _SHOWN.format(place=place) if self.certificates else ""
            yield {**fields, "stunnel_text": client} if fields else {"text": client}

    @asynccontextmanager
    async def _behind(self, lab: Site, at: Address) -> AsyncIterator[dict[str, Any]]:
        """What stands behind it, at `at`; the fields of its client's tunnel."""
        if self.behind == "openvpn":
            server = OpenvpnServer(port=at.port, proto="tcp")
            async with serving(lab, server, at.host, Address(LOOPBACK, LOCAL)) as text:
                yield {"text": text}
        else:
            argv = ["microsocks", "-i", at.host, "-p", str(at.port)]
            async with daemon(lab.exit, argv) as process:
                await listening(lab.exit, at, process)
                yield {}


def _keep(file: Path, pair: Pair) -> None:
    file.touch(0o600)
    file.write_text(pair.key + pair.certificate)
