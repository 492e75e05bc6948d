"""WireGuard: a wg-quick configuration brought up in a namespace of its own.

The device is born in the underlay and moved inside, where it is the only way out.  Ready when a
handshake has happened.  It refuses to run commands (PostUp and its kind) and to touch the routes,
names or firewall of anything but its own namespace.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from circumtest.errors import ConfigError
from circumtest.netns import Netns
from circumtest.wireguard.device import wireguard_device
from circumtest.wireguard.quick import Quick, is_amnezia, is_quick, parse
from circumtest.wireguard.tunnel import WireguardPath, brought_up


@dataclass(frozen=True)
class Wireguard:
    """A client from a wg-quick file, or from its `text`; one of the two is given.

    `patience` is how many seconds the first handshake may take (WireGuard itself retries every 5).
    `exits` are the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from a configuration that cannot be right.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    device: Literal["auto", "kernel", "userspace"] = "auto"
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError("wireguard", "key `config`", "name a wg-quick file")
        if not self.patience > 0:
            raise ConfigError("wireguard", "key `patience`", "is not a number of seconds above 0")
        _ = self.quick

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A wg-quick file without AmneziaWG's keys."""
        return {"text": text} if is_quick(text) and not is_amnezia(text) else None

    @cached_property
    def quick(self) -> Quick:
        """The configuration, read once."""
        if self.text:
            return parse(self.text, "WireGuard configuration")
        try:
            return parse(Path(self.config).read_text(encoding="utf-8"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "a wg-quick .conf file") from None

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, in words."""
        return self.quick.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[WireguardPath]:
        """Bring it up; ready when a handshake has happened.

        Raises TunnelDown(HANDSHAKE) when none has within `patience`, TunnelDown(BINARY) when
        wireguard-go does not run, EnvironmentUnfit when there is neither kernel device nor TUN.
        """
        making = brought_up(
            "wireguard",
            underlay,
            lambda netns: wireguard_device(netns, self.device),
            self.quick,
            self.patience,
            self.exits,
        )
        async with making as path:
            yield path
