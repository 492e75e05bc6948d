"""SSH by OpenSSH's client: dynamic forwarding, `ssh://user@host:port` and a key.

Its port opens only once the server has let us in, which is the honest signal; what it forwards an
exchange has to prove.  It carries TCP only.  It refuses passwords and passphrases (nobody is there
to be asked), ~/.ssh/config, and servers whose host key is not known.
"""

import asyncio
import errno
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import binary
from circumtest.listening import free_port, listening
from circumtest.localproxy import HOST, STREAMS, Local, LocalPath
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.openssh import Server, check_known_hosts, check_private_key, open_to_others, server
from circumtest.path import Conn, Sink
from circumtest.path.resolve import resolve
from circumtest.process import Daemon, ProcessEnded, daemon, private_dir
from circumtest.scrub import scrub

_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""The user's own that are tried when no key is given, besides those of an agent."""

_OPTIONS = {
    "BatchMode": "yes",
    "ExitOnForwardFailure": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "PreferredAuthentications": "publickey",
    "ServerAliveInterval": "3",
    "ServerAliveCountMax": "3",
}

_MEANS = (
    ("permission denied", TunnelFault.AUTH, "the server does not accept the user or the key"),
    ("too many authentication", TunnelFault.AUTH, "the server accepts none of the keys"),
    (
        "identification has changed",
        TunnelFault.HANDSHAKE,
        "the host key is another one than known_hosts says: another server, or somebody in between",
    ),
    (
        "host key is known for",
        TunnelFault.HANDSHAKE,
        "the host key is not in known_hosts, so nothing tells whose server it is",
    ),
    ("address already in use", TunnelFault.BINARY, "the local port is in use"),
    ("bad configuration option", TunnelFault.BINARY, "ssh does not take its options"),
)
"""From what ssh says in its last words to what it means."""
_OF_TARGET = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)
"""What sshd says of its own connection to the target, in the words of strerror(3)."""

_POLL = 0.01
_WORDS = 0.5
"""Seconds within which ssh's words about a channel come after its end."""


@dataclass(frozen=True)
class Ssh:
    """A server by `url`, or by `host`, `port` and `user`.

    `key` and `known_hosts` are files (their content may be given as `key_text` and
    `known_hosts_text`); without them the user's own are taken, from ~/.ssh and the agent.
    `patience` is how many seconds logging in may take.  `exits` are the addresses that the far end
    may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no key.
    """

    url: str = field(default="", repr=False)
    host: str = field(default="", repr=False)
    port: int = 22
    user: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_text: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)
    known_hosts_text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.patience > 0:
            raise ConfigError("ssh", "key `patience`", "is not a number of seconds above 0")
        _ = self.server
        if key := self._content("key", self.key, self.key_text):
            check_private_key(key, self.key or "key_text")
        if known := self._content("known_hosts", self.known_hosts, self.known_hosts_text):
            check_known_hosts(known, self.known_hosts or "known_hosts_text")

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme ssh."""
        is_link = text.lower().startswith("ssh://") and "\n" not in text
        return {"url": text} if is_link else None

    @cached_property
    def server(self) -> Server:
        """Where to, and as whom."""
        return server(self.url, self.host, self.port, self.user)

    def notes(self) -> tuple[str, ...]:
        """A key that others can read: ssh itself would not take it."""
        if self.key and open_to_others(Path(self.key).expanduser()):
            note = f"{self.key} can be read by others, and ssh itself would refuse it: chmod 600"
            return (note,)
        return ()

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["SshPath"]:
        """Log in; ready when ssh opens its port, which it does once the server has let us in.

        Raises TunnelDown: AUTH when it does not, HANDSHAKE when it is not reached or is not who it
        should be, BINARY when ssh does not run; EnvironmentUnfit when it is not installed.
        """
        to = self.server
        try:
            address = await resolve(underlay, to.host, to.port, self.patience)
        except OSError as error:
            detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        with private_dir() as place:
            port = free_port(underlay)
            argv = self._command(place, address, port)
            local = Local("ssh", argv, port, STREAMS, secrets=(to.host, to.user))
            async with daemon(underlay, argv, name="ssh") as process:
                try:
                    await listening(underlay, Address(HOST, port), process, self.patience)
                except ProcessEnded as ended:
                    raise _unlucky(ended, local) from None
                except TimeoutError:
                    detail = f"the server has not let us in within {self.patience:g} s"
                    words = scrub(process.log, local.secrets)
                    raise TunnelDown(TunnelFault.HANDSHAKE, detail, words) from None
                yield SshPath(underlay, local, process, self.exits)

    def _command(self, place: Path, address: Address, port: int) -> list[str]:
        """The command line: nothing secret is in it, and no configuration is read but this."""
        to, home = self.server, Path.home() / ".ssh"
        known = self._content("known_hosts", self.known_hosts, self.known_hosts_text)
        options = {**_OPTIONS, "ConnectTimeout": f"{math.ceil(self.patience)}"}
        # Names are resolved here; the host key is still that of the name.
        options["HostKeyAlias"] = to.alias
        options["UserKnownHostsFile"] = f'"{home / "known_hosts"}"'
        if known:
            _private(place / "known_hosts", known)
            options |= {
                "UserKnownHostsFile": str(place / "known_hosts"),
                "GlobalKnownHostsFile": "none",
            }
        argv = ["ssh", "-F", "none", "-N", "-T", "-a", "-x", "-D", f"{HOST}:{port}"]
        if key := self._content("key", self.key, self.key_text):
            # A copy, which ssh takes whatever the permissions of the file are.
            _private(place / "key", key)
            options["IdentitiesOnly"] = "yes"
            argv += ["-i", str(place / "key")]
            certificate = Path(f"{self.key}-cert.pub").expanduser()
            if self.key and certificate.exists():
                options["CertificateFile"] = f'"{certificate}"'
        else:
            for own in filter(Path.exists, (home / name for name in _KEYS)):
                argv += ["-i", str(own)]
        for name, value in options.items():
            argv += ["-o", f"{name}={value}"]
        return [*argv, "-l", to.user, "-p", str(to.port), "--", address.host]

    def _content(self, name: str, file: str, text: str) -> str:
        """What a file holds, or what was given in its place, with a newline at its end."""
        if file and text:
            raise ConfigError(
                "ssh", f"key `{name}`", "is given twice", f"`{name}_text` is the same"
            )
        if file:
            try:
                text = Path(file).expanduser().read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(file, "", f"cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ConfigError(file, "", "is not text") from None
        return "".join(f"{line}\n" for line in text.splitlines())


class SshPath(LocalPath):
    """Channels through ssh, which has been let in: silence is no longer the login's."""

    silence = TunnelFault.NO_DATA

    def __init__(
        self, underlay: Netns, local: Local, process: Daemon, exits: tuple[str, ...]
    ) -> None:
        super().__init__(underlay, local, process, exits)
        self._ssh = local

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A channel that the server has opened: ssh says "ok" only then, or else hangs up.

        Raises OSError for what the server said of the target; TunnelDown: AUTH when its rules say
        no, NO_DATA when the connection to it is over, BINARY when ssh was killed, NO_UDP for UDP.
        """
        if transport is not Transport.TCP:
            raise TunnelDown(TunnelFault.NO_UDP, "ssh forwards TCP only")
        if (down := self._over()) is not None:
            raise down
        written = self.process.written
        try:
            return await super().open(transport, remote, sink, timeout)
        except TunnelDown as hung_up:
            reason: Exception = await self._why(written) or self._over() or hung_up
            raise reason from None

    def fault(self) -> TunnelDown | None:
        """NO_DATA when the connection to the server is over, BINARY when ssh was killed."""
        return self._over() or super().fault()

    async def _why(self, written: int) -> Exception | None:
        """Why the server did not open a channel, from what ssh says beside the SOCKS connection."""
        for _ in range(round(_WORDS / _POLL)):
            for line in self.process.since(written).splitlines():
                if "open failed: " in line:
                    return _no_channel(line)
            if not self.process.alive:
                break
            await asyncio.sleep(_POLL)
        return None

    def _over(self) -> TunnelDown | None:
        if self.process.alive:
            return None
        ended = self.process.post_mortem()
        if ended.code < 0:
            return binary(ended, self._ssh.secrets)
        detail = "the connection to the server is over"
        return TunnelDown(TunnelFault.NO_DATA, detail, self.words)


def _unlucky(ended: ProcessEnded, local: Local) -> TunnelDown:
    """Why ssh gave up before it was let in."""
    if ended.code < 0:
        return binary(ended, local.secrets)
    words = scrub(ended.words, local.secrets)
    for sign, fault, detail in _MEANS:
        if sign in ended.words.lower():
            return TunnelDown(fault, detail, words)
    return TunnelDown(TunnelFault.HANDSHAKE, "no SSH connection to the server", words)


def _no_channel(line: str) -> Exception:
    """What the reason of SSH_MSG_CHANNEL_OPEN_FAILURE means (RFC 4254 section 5.1)."""
    if "administratively prohibited" in line:
        return TunnelDown(TunnelFault.AUTH, "the server's rules do not allow forwarding")
    for number in _OF_TARGET:
        if os.strerror(number).lower() in line.lower():
            return OSError(number, "the server says so of the target")
    return TunnelDown(TunnelFault.NO_DATA, "the server does not open channels", scrub(line))


def _private(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)
