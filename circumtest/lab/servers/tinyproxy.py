"""Tinyproxy at the exit: HTTP CONNECT, with a login and behind stunnel's TLS where that is asked.

It has no rules about ports: every call may go through.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circumtest.lab.pki import certified
from circumtest.lab.servers import Site, address_of
from circumtest.listening import free_port, listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir

USER = "caller"

_LOOPBACK = "127.0.0.1"
_TLS = """\
foreground = yes
pid =
debug = warning
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[proxy]
accept = {host}:{port}
connect = {behind}
cert = {place}/cert.pem
key = {place}/key.pem
"""


@dataclass(frozen=True)
class Tinyproxy:
    """`port` is where it listens; with `login` it wants user and password."""

    port: int = 8888
    login: bool = False
    tls: bool = False

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens; password and certificates are new each time."""
        host, password = address_of(lab, 4), secrets.token_urlsafe(12)
        async with AsyncExitStack() as stack:
            place = stack.enter_context(private_dir())
            at = [Address(one, self.port) for one in (host, address_of(lab, 6))]
            if self.tls:  # Tinyproxy itself has none
                at = [Address(_LOOPBACK, free_port(lab.exit))]
            config = place / "tinyproxy.conf"
            config.write_text(self._config(at, password))
            argv = ["tinyproxy", "-d", "-c", str(config)]
            process = await stack.enter_async_context(daemon(lab.exit, argv))
            await listening(lab.exit, at[0], process)
            login = f"{USER}:{password}@" if self.login else ""
            fields = {"url": f"http://{login}{host}:{self.port}"}
            if self.tls:
                fields["url"] = fields["url"].replace("http", "https", 1)
                fields["ca_text"] = await self._before(lab, stack, place, at[0])
            yield fields

    def _config(self, at: list[Address], password: str) -> str:
        lines = [f"Port {at[0].port}", *(f"Listen {one.host}" for one in at)]
        lines += ["Timeout 600", "MaxClients 200", "LogLevel Warning", "DisableViaHeader Yes"]
        lines += [f"BasicAuth {USER} {password}"] if self.login else []
        return "\n".join([*lines, ""])

    async def _before(self, lab: Site, stack: AsyncExitStack, place: Path, at: Address) -> str:
        """stunnel before what listens at `at`; the certificate by which clients know it."""
        host = address_of(lab, 4)
        made = certified(lab.exit_addresses)
        (place / "cert.pem").write_text(made.certificate)
        (place / "key.pem").write_text(made.key)
        (place / "key.pem").chmod(0o600)
        config = place / "stunnel.conf"
        behind = f"{at.host}:{at.port}"
        config.write_text(_TLS.format(host=host, port=self.port, behind=behind, place=place))
        process = await stack.enter_async_context(daemon(lab.exit, ["stunnel", str(config)]))
        await listening(lab.exit, Address(host, self.port), process)
        return made.authority
