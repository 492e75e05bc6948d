"""AmneziaWG: WireGuard with junk before it and with other headers, from the file that people have.

By the kernel module or amneziawg-go, neither of which Debian has.  Where both are missing it is
said so; what the client would send first is known all the same.  It refuses to play plain
WireGuard instead, and to run commands (PostUp and its kind).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Literal

from circumtest.censor.packet import Packet
from circumtest.censor.signatures import SIGNATURES
from circumtest.errors import ConfigError
from circumtest.model import Address, Transport
from circumtest.netns import Netns
from circumtest.wireguard.amnezia import Amnezia, parse
from circumtest.wireguard.amnezia_device import amnezia_device
from circumtest.wireguard.quick import Quick, is_amnezia, is_quick
from circumtest.wireguard.tunnel import WireguardPath, brought_up

_HERE, _THERE = Address("192.0.2.1", 1), Address("192.0.2.2", 1)
"""Where a packet that is only looked at is said to go: documentation addresses (RFC 5737)."""


@dataclass(frozen=True)
class Amneziawg:
    """A client from a file, or from its `text`; one of the two is given.

    `patience` is how many seconds the first handshake may take.  `exits` are the addresses that the
    far end may see, empty when nobody knows.
    Raises ConfigError when made from a configuration that cannot be right.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    device: Literal["auto", "kernel", "userspace"] = "auto"
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.config) == bool(self.text):
            raise ConfigError("amneziawg", "key `config`", "name a .conf file of AmneziaWG's")
        if not self.patience > 0:
            raise ConfigError("amneziawg", "key `patience`", "is not a number of seconds above 0")
        _ = self._read

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A wg-quick file with at least one of AmneziaWG's keys."""
        return {"text": text} if is_quick(text) and is_amnezia(text) else None

    @cached_property
    def _read(self) -> tuple[Quick, Amnezia, tuple[str, ...]]:
        if self.text:
            return parse(self.text, "AmneziaWG configuration")
        try:
            return parse(Path(self.config).read_text(encoding="utf-8"), self.config)
        except OSError as error:
            raise ConfigError(self.config, "", f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "AmneziaWG's .conf file") from None

    @property
    def quick(self) -> Quick:
        """WireGuard's part of the configuration."""
        return self._read[0]

    @property
    def amnezia(self) -> Amnezia:
        """AmneziaWG's."""
        return self._read[1]

    def notes(self) -> tuple[str, ...]:
        """What is not honoured, what it begins with, and what that looks like to a censor."""
        begins = f"begins with {self.amnezia.words()}"
        return (*self._read[2], begins, *self._mistaken())

    def _mistaken(self) -> tuple[str, ...]:
        """A custom packet that is made like a call's can walk the tunnel into a call's block."""
        said = []
        for number, one in enumerate(self.amnezia.specials, 1):
            if one is not None:
                packet = Packet(Transport.UDP, _HERE, _THERE, one.make(Random(0), 0, 0))
                names = [name for name, sign in SIGNATURES.items() if sign.matches(packet)]
                if names:
                    said.append(f"I{number} looks like {' and '.join(names)} to a censor")
        return tuple(said)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[WireguardPath]:
        """Bring it up; ready when a handshake has happened.

        Raises TunnelDown(HANDSHAKE) when none has within `patience`, TunnelDown(BINARY) when
        amneziawg-go does not run or the module does not take the configuration, EnvironmentUnfit
        when there is neither.
        """
        making = brought_up(
            "amneziawg",
            underlay,
            lambda netns: amnezia_device(netns, self.device, self.amnezia),
            self.quick,
            self.patience,
            self.exits,
        )
        async with making as path:
            yield path
