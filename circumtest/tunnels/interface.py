"""A VPN that is on already: `iface:wg0`, a device of the namespace that we are in.

Sockets are bound to it, whatever the routes say.  It refuses to bring a device up, to change it,
and to believe that one which exists carries anything: an exchange with a far end shows that.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from circumtest.errors import ConfigError, TunnelDown
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Device, Netns
from circumtest.path import Conn, Sink
from circumtest.path import Path as WayOut
from circumtest.path.direct import DirectPath

_PREFIX = "interface:"


@dataclass(frozen=True)
class Interface:
    """The name of a `device` of the underlay.

    `patience` is for whoever proves the path: a device that is on is on.  `exits` are the addresses
    that the far end may see, empty when nobody knows.  Raises ConfigError for what no device can be
    called.
    """

    device: str
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # As the kernel has it (dev_valid_name): up to 15 characters, none of them / : or blank.
        if not re.fullmatch(r"[^\s/:\0]{1,15}", self.device) or self.device in (".", ".."):
            problem = f"{self.device!r} is no name of a device"
            raise ConfigError("interface", "key `device`", problem, "like wg0; see `ip link`")
        if not self.patience > 0:
            raise ConfigError("interface", "key `patience`", "is not a number of seconds above 0")

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """`interface:wg0`."""
        one = text.startswith(_PREFIX) and "\n" not in text
        return {"device": text.removeprefix(_PREFIX).strip()} if one else None

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["InterfacePath"]:
        """Look whether it is there, up and has an address.  Raises TunnelDown(BINARY)."""
        device = underlay.device(self.device)
        if (wrong := _wrong(self.device, device)) is not None:
            there = ", ".join(await underlay.links())
            raise TunnelDown(TunnelFault.BINARY, f"{wrong}; there are: {there}")
        assert device is not None
        yield InterfacePath(underlay, device, frozenset(self.exits))


class InterfacePath:
    """Sockets bound to the device, which is looked at before each, and after a failed trial."""

    name = "interface"
    transports = frozenset(Transport)
    dns: ClassVar[tuple[str, ...]] = ()
    silence: ClassVar[TunnelFault] = TunnelFault.NO_DATA
    words: ClassVar[str] = ""

    def __init__(self, underlay: Netns, device: Device, exits: frozenset[str]) -> None:
        self._underlay, self._device = underlay, device.name
        self.mtu: int | None = device.mtu
        self._direct: WayOut = DirectPath(underlay, self.name, exits, device=device.name)

    @property
    def exits(self) -> frozenset[str]:
        return self._direct.exits

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A socket bound to the device.

        Raises OSError for what the network said, TunnelDown(BINARY) when the device is gone or off.
        """
        if (down := self.fault()) is not None:
            raise down
        return await self._direct.open(transport, remote, sink, timeout)

    def fault(self) -> TunnelDown | None:
        """BINARY when the device is gone, down or without an address: whoever made it ended."""
        wrong = _wrong(self._device, self._underlay.device(self._device))
        return TunnelDown(TunnelFault.BINARY, wrong) if wrong else None


def _wrong(name: str, device: Device | None) -> str | None:
    """Why a device carries nothing, None when it may."""
    if device is None:
        return f"there is no device {name}"
    if not device.up:
        return f"the device {name} is down"
    if not device.addresses:
        return f"the device {name} has no address"
    return None
