"""WireGuard without a device and without root: a wg-quick file, played by sing-box's own stack.

TCP and UDP end in sing-box, which makes packets of them again.  A wrong key and a dead server look
the same, as with every WireGuard.  It refuses to run commands (PostUp and its kind).
"""

import base64
import errno
import ipaddress
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest.engine.sing_box import sing_box
from circumtest.engine.sing_box_path import SingBoxPath
from circumtest.errors import ConfigError, TunnelDown
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path.resolve import resolve
from circumtest.wireguard.quick import Peer, Quick, is_amnezia, parse

_KIND = "wireguard-userspace"
_SAID = (
    ("connection was refused", errno.ECONNREFUSED),
    ("connection reset by peer", errno.ECONNRESET),
    ("connection refused", errno.ECONNREFUSED),
    ("network is unreachable", errno.ENETUNREACH),
    ("no route to host", errno.EHOSTUNREACH),
    ("host is unreachable", errno.EHOSTUNREACH),
)
"""What the stack inside says of a target: it hears it from beyond the tunnel."""
_SILENT = ("timed out", "timeout", "deadline exceeded")
_UNANSWERED = re.compile(r"handshake did not complete after")
_GUESS = (
    "no handshake: the server is down or unreachable, its port is blocked, or it does not know our"
    " key (WireGuard answers strangers with silence)"
)


@dataclass(frozen=True)
class WireguardUserspace:
    """A client from a wg-quick file, or from its `text`; one of the two is given.

    `patience` is how many seconds starting sing-box, and the proof after it, may take.  `exits` are
    the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from a configuration that cannot be right.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError(_KIND, "key `config`", "name a wg-quick file")
        if not self.patience > 0:
            raise ConfigError(_KIND, "key `patience`", "is not a number of seconds above 0")
        _ = self.quick

    @cached_property
    def quick(self) -> Quick:
        """The configuration, read once."""
        if self.text:
            return _parsed(self.text, "WireGuard configuration")
        try:
            return _parsed(Path(self.config).read_text(encoding="utf-8"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "a wg-quick .conf file") from None

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, in words."""
        return self.quick.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["WithinAllowed"]:
        """Start sing-box; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when
        sing-box does not run, EnvironmentUnfit when it is not installed.
        """
        quick = self.quick
        peers = [await _peer(peer, underlay, self.patience) for peer in quick.peers]
        endpoint = {
            "type": "wireguard",
            "system": False,
            "mtu": quick.mtu,
            "address": list(quick.addresses),
            "private_key": _text(quick.private_key),
            "listen_port": quick.listen_port,
            "peers": peers,
        }
        async with sing_box(
            underlay,
            endpoint,
            self.exits,
            self.patience,
            name="wireguard",
            reading=of_target,
            explain=_explain,
            dns=quick.dns,
        ) as path:
            yield WithinAllowed(path, quick)


class WithinAllowed:
    """Channels to what AllowedIPs names, of the families of Address; else there is no route."""

    mtu = None

    def __init__(self, path: SingBoxPath, quick: Quick) -> None:
        self._path = path
        self.name, self.transports, self.dns = path.name, path.transports, path.dns
        self._families = {ipaddress.ip_interface(one).version for one in quick.addresses}
        self._networks = [
            ipaddress.ip_network(one) for peer in quick.peers for one in peer.allowed_ips
        ]

    @property
    def exits(self) -> frozenset[str]:
        return self._path.exits

    @property
    def silence(self) -> TunnelFault:
        """NO_DATA once the server has answered a handshake."""
        shaken = "received handshake response" in self._path.process.log
        return TunnelFault.NO_DATA if shaken else TunnelFault.HANDSHAKE

    @property
    def words(self) -> str:
        return self._path.words

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A channel.  Raises OSError for what the target said, TunnelDown as its path does."""
        host = ipaddress.ip_address(remote.host)
        if remote.version not in self._families or not any(host in net for net in self._networks):
            raise OSError(errno.ENETUNREACH, "AllowedIPs and Address have no route to it")
        return await self._path.open(transport, remote, sink, timeout)

    def fault(self) -> TunnelDown | None:
        return self._path.fault()


def of_target(why: str) -> Exception | None:
    """A refusal as the word of a target, which sing-box has asked through the tunnel."""
    for sign, number in _SAID:
        if sign in why:
            return OSError(number, "said through the tunnel")
    if any(sign in why for sign in _SILENT):
        return TimeoutError("the target is silent")
    return None


def _explain(words: str) -> tuple[TunnelFault, str] | None:
    """WireGuard's handshake is repeated every 5 s while it is not answered."""
    return (TunnelFault.HANDSHAKE, _GUESS) if _UNANSWERED.search(words) else None


def _parsed(text: str, where: str) -> Quick:
    if is_amnezia(text):
        raise ConfigError(
            where, "", "is AmneziaWG's, which sing-box does not speak", "amneziawg:FILE"
        )
    return parse(text, where)


async def _peer(peer: Peer, underlay: Netns, patience: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "public_key": _text(peer.public_key),
        "allowed_ips": list(peer.allowed_ips),
        "persistent_keepalive_interval": peer.keepalive,
    }
    if peer.preshared_key:
        found["pre_shared_key"] = _text(peer.preshared_key)
    if peer.endpoint:
        try:
            address = await resolve(underlay, *peer.endpoint, patience)
        except OSError as error:
            detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        found |= {"address": address.host, "port": address.port}
    return found


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
