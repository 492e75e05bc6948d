"""Shadowsocks by ss-local, and 2022's by sing-box: `ss://` links, Outline's keys, JSON files.

The local port proves nothing, and a server that does not know the password is as silent as
one that is not there: only an exchange with a far end tells.  It refuses stream ciphers, unknown
plugins, and to let UDP go around a plugin unasked.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest.engine.sing_box import sing_box
from circumtest.errors import ConfigError, TunnelDown
from circumtest.listening import free_port
from circumtest.localproxy import HOST, STREAMS, Local, local_proxy
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Path as WayOut
from circumtest.path.direct import BOTH
from circumtest.path.resolve import resolve
from circumtest.process import private_dir, program
from circumtest.shadowsocks.sip002 import BLAKE3, Access, from_file, from_link, is_file
from circumtest.shadowsocks.sip003 import OBFS, V2RAY
from circumtest.sharelink import shadowtls

_PROGRAMS = {OBFS: "obfs-local", V2RAY: "ss-v2ray-plugin"}
_IDLE = 600
"""Seconds after which ss-local gives up a flow that says nothing: longer than any trial."""


@dataclass(frozen=True)
class Shadowsocks:
    """A server by link, by JSON file, or by the file's `text`; one of the three is given.

    With a plugin, Shadowsocks sends UDP around it: only with `plugin_udp` is UDP carried then.
    `patience` is how many seconds starting the program, and the proof after it, may take.  `exits`
    are the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no password.
    """

    url: str = field(default="", repr=False)
    config: str = ""
    text: str = field(default="", repr=False)
    plugin_udp: bool = False
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if [bool(self.url), bool(self.config), bool(self.text)].count(True) != 1:
            remedy = "or name a client's JSON file as `config`"
            raise ConfigError("shadowsocks", "key `url`", "give one ss:// link", remedy)
        if not self.patience > 0:
            problem = "is not a number of seconds above 0"
            raise ConfigError("shadowsocks", "key `patience`", problem)
        _ = self.access
        if self.plugin_udp and not self.access.plugin:
            problem = "there is no plugin that UDP could go around"
            raise ConfigError("shadowsocks", "key `plugin_udp`", problem, "leave it out")

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme ss or ssconf, without ShadowTLS in it; a client's JSON file."""
        if shadowtls.claimed(text):
            return None
        if text.lower().startswith(("ss://", "ssconf://")) and "\n" not in text:
            return {"url": text}
        return {"text": text} if is_file(text) else None

    @cached_property
    def access(self) -> Access:
        """The server, read once."""
        if self.url:
            return from_link(self.url)
        if self.text:
            return from_file(self.text, "Shadowsocks configuration")
        try:
            return from_file(Path(self.config).read_text(encoding="utf-8-sig"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "a client's JSON file") from None

    @property
    def carries(self) -> frozenset[Transport]:
        """TCP, and UDP where it goes the way that is asked for."""
        access = self.access
        return BOTH if access.udp and (self.plugin_udp or not access.plugin) else STREAMS

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, or not what it seems, in words."""
        access = self.access
        told: tuple[str, ...] = ()
        if access.plugin and access.udp:
            told = (
                f"UDP goes around {access.plugin}, as plain Shadowsocks: what is seen of it says"
                " nothing of the plugin"
                if self.plugin_udp
                else f"UDP would go around {access.plugin}, so only TCP is carried; plugin_udp ="
                " true carries it as plain Shadowsocks",
            )
        return (*access.notes, *told)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[WayOut]:
        """Start ss-local, or sing-box for Shadowsocks 2022; ready when an exchange has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when
        the program or its plugin does not run, EnvironmentUnfit when they are not installed.
        """
        by = self._by_sing_box if self.access.method in BLAKE3 else self._by_ss_local
        async with by(underlay) as path:
            yield path

    @asynccontextmanager
    async def _by_ss_local(self, underlay: Netns) -> AsyncIterator[WayOut]:
        access = self.access
        try:
            server = await resolve(underlay, access.host, access.port, self.patience)
        except OSError as error:
            detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        with private_dir() as place:
            port = free_port(underlay)
            file = place / "ss-local.json"
            file.write_text(json.dumps(self._settings(server, port)))
            local = Local(
                "shadowsocks",
                ["ss-local", "-c", str(file)],
                port,
                self.carries,
                explain=_explain,
                secrets=self._hidden,
            )
            async with local_proxy(underlay, local, self.exits, self.patience) as path:
                yield path

    @asynccontextmanager
    async def _by_sing_box(self, underlay: Netns) -> AsyncIterator[WayOut]:
        """shadowsocks-libev knows nothing of SIP022; sing-box has the plugins built in."""
        access = self.access
        outbound: dict[str, Any] = {
            "type": "shadowsocks",
            "server": access.host,
            "server_port": access.port,
            "method": access.method,
            "password": access.password,
        }
        if access.plugin:
            outbound |= {"plugin": access.plugin, "plugin_opts": access.options}
        if Transport.UDP not in self.carries:
            outbound["network"] = "tcp"
        async with sing_box(
            underlay,
            outbound,
            self.exits,
            self.patience,
            self._hidden,
            name="shadowsocks",
            carries=self.carries,
        ) as path:
            yield path

    @property
    def _hidden(self) -> tuple[str, ...]:
        """What the words of a program must not tell."""
        access = self.access
        return (access.password, access.host, *access.options.split(";"))

    def _settings(self, server: Address, port: int) -> dict[str, Any]:
        access = self.access
        settings: dict[str, Any] = {
            "server": server.host,
            "server_port": server.port,
            "local_address": HOST,
            "local_port": port,
            "method": access.method,
            "password": access.password,
            "timeout": _IDLE,
            "mode": "tcp_and_udp" if Transport.UDP in self.carries else "tcp_only",
            "no_delay": True,
        }
        if access.plugin:
            settings["plugin"] = program(_PROGRAMS[access.plugin])
            settings["plugin_opts"] = access.options
        return settings


def _explain(words: str) -> tuple[TunnelFault, str] | None:
    """What ss-local says of bytes that came from the server and that the password does not open."""
    if "invalid password or cipher" in words:
        return TunnelFault.HANDSHAKE, "what answers does not speak Shadowsocks with this password"
    return None
