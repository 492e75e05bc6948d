"""OpenVPN: an `.ovpn` file brought up in a namespace of its own, over UDP, TCP, or stunnel.

The daemon lives in the underlay with a configuration written anew; its device is moved inside and
given what the server pushed.  Ready when the daemon says that it is connected.  It refuses to run
scripts and plugins, and to lead packets by any other way than the tunnel.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import InsidePath, device_name
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.openvpn.client import client, followed, refused
from circumtest.openvpn.profile import Profile, is_ovpn, parse
from circumtest.openvpn.remotes import Remote
from circumtest.openvpn.written import Server
from circumtest.path.resolve import resolve
from circumtest.process import private_dir
from circumtest.stunnel.client import HOST, Wrapper, wrapping
from circumtest.stunnel.conf import Service, read
from circumtest.stunnel.conf import parse as parse_stunnel


@dataclass(frozen=True)
class Openvpn:
    """A client from an `.ovpn` file, or from its `text`; one of the two is given.

    `auth` is a file with user and password on a line each, for a configuration that asks for them.
    Where the file's server is a stunnel on this machine, `stunnel` is its stunnel.conf (or
    `stunnel_text` what that holds): one is started for it, the same but for its port.
    `patience` is how many seconds it may take until it is connected.  `exits` are the addresses
    that the far end may see, empty when nobody knows.
    Raises ConfigError when made from a configuration that cannot be right.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    auth: str = ""
    stunnel: str = ""
    stunnel_text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError("openvpn", "key `config`", "name an .ovpn file")
        if not self.patience > 0:
            raise ConfigError("openvpn", "key `patience`", "is not a number of seconds above 0")
        _ = self.profile, self.wrapper

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A client's configuration."""
        return {"text": text} if is_ovpn(text) else None

    @cached_property
    def profile(self) -> Profile:
        """The configuration, read once."""
        if self.text:
            return parse(self.text, "OpenVPN configuration", login=self.auth)
        file = Path(self.config)
        try:
            return parse(file.read_text(encoding="utf-8"), self.config, file.parent, self.auth)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "an .ovpn file") from None

    @cached_property
    def wrapper(self) -> Service | None:
        """The service of stunnel that the file's server is, None where it is none."""
        if not (self.stunnel or self.stunnel_text):
            return None
        if self.stunnel and self.stunnel_text:
            raise ConfigError("openvpn", "key `stunnel`", "is given twice", "a file, or its text")
        where, servers = self.config or "OpenVPN configuration", self.profile.remotes
        (host, port, transport, _), *more = servers
        if more or transport is not Transport.TCP or not _is_local(host):
            remedy = "remote 127.0.0.1 PORT and proto tcp, with the port at which stunnel accepts"
            raise ConfigError(where, "`remote`", "is no stunnel on this machine", remedy)
        if self.stunnel:
            service = read(self.stunnel, port=port)
        else:
            service = parse_stunnel(self.stunnel_text, "stunnel configuration", port=port)
        if service.accept is None or service.accept[1] != port:
            raise ConfigError(
                self.stunnel or "stunnel configuration",
                "`accept`",
                "is not where the .ovpn's remote is",
                f"accept = 127.0.0.1:{port}",
            )
        return service

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, in words."""
        return (*self.profile.notes, *(self.wrapper.notes if self.wrapper else ()))

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[InsidePath]:
        """Bring it up; ready when the daemon is connected and its device is inside.

        Raises TunnelDown: HANDSHAKE when the server is silent or not to be trusted, AUTH when it
        refuses us, BINARY when the daemon does not run.  Raises EnvironmentUnfit when OpenVPN is
        not installed.
        """
        with private_dir() as place:
            async with AsyncExitStack() as stack:
                wrapper = None
                if self.wrapper is not None:
                    starting = wrapping(underlay, self.wrapper, place, self.patience)
                    wrapper = await stack.enter_async_context(starting)
                yield await stack.enter_async_context(self._through(underlay, place, wrapper))

    @asynccontextmanager
    async def _through(
        self, underlay: Netns, place: Path, wrapper: Wrapper | None
    ) -> AsyncIterator[InsidePath]:
        """OpenVPN itself, through a wrapper where there is one."""
        loop, profile = asyncio.get_running_loop(), self.profile
        end = loop.time() + self.patience
        if wrapper is None:
            servers = await _found(underlay, profile, self.patience)
        else:
            servers = [Server(Address(HOST, wrapper.port), Transport.TCP)]
        device = device_name("ovp")
        async with (
            Netns.new(f"{underlay.name}/openvpn") as inside,
            client(underlay, profile, servers, device, place, self.patience) as running,
        ):
            try:
                left = max(end - loop.time(), 0.1)
                await running.connected(len(servers), left, self.patience)
                given = await running.enter(inside)
            except TunnelDown as down:
                raise wrapper.explained(down) if wrapper else down from None
            except OSError as error:
                raise refused(error) from None

            def known() -> TunnelDown | None:
                return (wrapper and wrapper.fault()) or running.known()

            async with followed(running, inside):
                yield InsidePath("openvpn", inside, given, self.exits, known, running.words)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _found(underlay: Netns, profile: Profile, patience: float) -> list[Server]:
    """The servers by address; those whose name is unknown are left out.

    Raises TunnelDown(HANDSHAKE) when none is left.
    """

    async def one(remote: Remote) -> Server | str:
        try:
            address = await resolve(underlay, remote.host, remote.port, patience)
        except OSError as error:
            return f"cannot resolve the server: {error.strerror or 'no answer'}"
        if remote.version not in (0, address.version):
            return f"the server has no IPv{remote.version} address"
        return Server(address, remote.transport)

    found = await asyncio.gather(*map(one, profile.remotes))
    if servers := [server for server in found if isinstance(server, Server)]:
        return servers
    raise TunnelDown(TunnelFault.HANDSHAKE, str(found[0]))
