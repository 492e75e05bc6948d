"""ss-server at the exit: Shadowsocks over TCP and UDP, plain or behind one of Debian's plugins.

A plugin is started beside ss-server with SIP003's environment, not by it: ss-server takes a plugin
that is only halted for one that has ended.  Nothing here resolves names.
"""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from circumtest.lab.servers import Site, address_of
from circumtest.listening import free_port, listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir

_LOOPBACK = "127.0.0.1"
_IDLE = 600
"""Seconds after which ss-server gives up a flow that says nothing: longer than any trial."""
_PLUGINS = {
    "obfs-http": ("obfs-server", "obfs=http", "obfs-local;obfs=http;obfs-host=www.example.com"),
    "obfs-tls": ("obfs-server", "obfs=tls", "obfs-local;obfs=tls;obfs-host=www.example.com"),
    "v2ray": (
        "ss-v2ray-plugin",
        "server;host=www.example.com;path=/ws",
        "v2ray-plugin;host=www.example.com;path=/ws",
    ),
}
"""The program, its options, and what stands in the client's link."""


@dataclass(frozen=True)
class SsServer:
    """`port` is where it listens; without `udp` it carries TCP only.

    With a `plugin` TCP goes through it, UDP around it to the same port.
    """

    port: int = 8388
    method: Literal[
        "aes-128-gcm",
        "aes-192-gcm",
        "aes-256-gcm",
        "chacha20-ietf-poly1305",
        "xchacha20-ietf-poly1305",
    ] = "chacha20-ietf-poly1305"
    plugin: Literal["", "obfs-http", "obfs-tls", "v2ray"] = ""
    udp: bool = True

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens; the password is new each time."""
        password, host = secrets.token_urlsafe(12), address_of(lab, 4)
        link = f"ss://{self.method}:{quote(password, safe='')}@{host}:{self.port}"
        async with AsyncExitStack() as stack:
            place = stack.enter_context(private_dir())
            if self.plugin:
                await self._behind_plugin(lab, stack, place, password)
                client = quote(_PLUGINS[self.plugin][2], safe="")
                link += f"/?plugin={client}"
            else:
                mode = "tcp_and_udp" if self.udp else "tcp_only"
                at = {"server": sorted(lab.exit_addresses), "server_port": self.port, "mode": mode}
                await self._start(lab, stack, place, password, at, Address(host, self.port))
            yield {"url": link + "#lab"}

    async def _behind_plugin(
        self, lab: Site, stack: AsyncExitStack, place: Path, password: str
    ) -> None:
        """TCP at the loopback with the plugin before it, UDP where the plugin listens."""
        name, options, _ = _PLUGINS[self.plugin]
        host, port = address_of(lab, 4), free_port(lab.exit)
        at = {"server": _LOOPBACK, "server_port": port, "mode": "tcp_only"}
        await self._start(lab, stack, place, password, at, Address(_LOOPBACK, port))
        if self.udp:
            at = {"server": host, "server_port": self.port, "mode": "udp_only"}
            await self._start(lab, stack, place, password, at, None)
        env = {
            "SS_REMOTE_HOST": host,
            "SS_REMOTE_PORT": str(self.port),
            "SS_LOCAL_HOST": _LOOPBACK,
            "SS_LOCAL_PORT": str(port),
            "SS_PLUGIN_OPTIONS": options,
        }
        process = await stack.enter_async_context(daemon(lab.exit, [name], env=env))
        await listening(lab.exit, Address(host, self.port), process)

    async def _start(
        self,
        lab: Site,
        stack: AsyncExitStack,
        place: Path,
        password: str,
        at: Mapping[str, Any],
        probe: Address | None,
    ) -> None:
        settings = {
            **at,
            "method": self.method,
            "password": password,
            "timeout": _IDLE,
            "no_delay": True,
        }
        file = place / f"{at['mode']}.json"
        file.write_text(json.dumps(settings))
        argv = ["ss-server", "-c", str(file)]
        process = await stack.enter_async_context(daemon(lab.exit, argv))
        if probe:
            await listening(lab.exit, probe, process)
        else:
            await process.line("udp server listening", 10)
