"""VPNs as a person names them on a command line, and bringing one up in this world.

What a machine does not allow is told with what to type; userspace WireGuard stands in for a device
where there can be none.  It refuses to prove anything, and to show what a link or file says: a VPN
is called by its file's name.
"""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circumtest import registry
from circumtest.errors import EnvironmentUnfit
from circumtest.live.world import World
from circumtest.netns import Netns
from circumtest.path import Path as WayOut
from circumtest.recognise import recognise

_WHERE = "--vpn"
_INTERFACE = "interface"
_DEVICES = frozenset({"wireguard", "amneziawg", "openvpn", "openconnect", "ikev2", "chain"})
"""Kinds that make a device in the underlay: there must be one in which that is allowed."""
_STAND_INS = {"wireguard": "wireguard-userspace"}
_PATIENCE = 10.0


@dataclass(frozen=True)
class Vpn:
    """One VPN: what it is called, its kind, the tunnel made of it, and the table it is made of."""

    name: str
    kind: str
    tunnel: Any
    table: Mapping[str, Any] = dataclasses.field(repr=False)

    @property
    def patience(self) -> float:
        """Seconds that it may take to carry something, once it says that it is up."""
        return float(getattr(self.tunnel, "patience", _PATIENCE))

    @property
    def device(self) -> str:
        """Of a VPN that is on already its device, else ""."""
        return str(self.table["device"]) if self.kind == _INTERFACE else ""

    def notes(self) -> tuple[str, ...]:
        """What of its configuration is not honoured, in words."""
        notes = getattr(self.tunnel, "notes", None)
        return tuple(notes()) if callable(notes) else ()


def read(given: Sequence[str]) -> tuple[Vpn, ...]:
    """What was named, in order; two of one name are numbered.  Raises ConfigError."""
    found: list[Vpn] = []
    for number, text in enumerate(given, 1):
        place = f"number {number}"
        table = recognise(text, _WHERE, place)
        tunnel = registry.build(registry.TUNNELS, table, _WHERE, place)
        name = _free(_called(text, table), [one.name for one in found])
        found.append(Vpn(name, str(table["kind"]), tunnel, table))
    return tuple(found)


def _called(text: str, table: Mapping[str, Any]) -> str:
    """A name that tells nothing which is secret."""
    kind = str(table["kind"])
    if kind == _INTERFACE:
        return str(table["device"])
    if kind == "netns":
        return Path(str(table["netns"])).name
    if "://" in text.partition("\n")[0]:
        return f"your {kind} link"
    config = table.get("config")
    return Path(config if isinstance(config, str) else text).name or kind


def _free(name: str, taken: Sequence[str]) -> str:
    numbered = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)


def ground(vpn: Vpn, world: World) -> Netns:
    """The namespace that a VPN leaves from.

    A device that is on is where the network is, and so is a proxy on this machine's loopback.
    """
    if world.underlay is None or vpn.device or _is_on_loopback(vpn):
        return world.home
    return world.underlay


def _is_on_loopback(vpn: Vpn) -> bool:
    host = getattr(getattr(vpn.tunnel, "parts", None), "host", "")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def bring_up(stack: AsyncExitStack, vpn: Vpn, world: World) -> tuple[WayOut, str]:
    """Bring it up for as long as `stack` lasts: the path, and what stands in for what ("").

    Raises TunnelDown, and EnvironmentUnfit for what this machine does not allow or have.
    """
    if world.underlay is None and vpn.kind in _DEVICES:
        unfit = EnvironmentUnfit("it needs a device, which this machine lets nobody here make")
    else:
        try:
            path: WayOut = await stack.enter_async_context(vpn.tunnel.up(ground(vpn, world)))
        except EnvironmentUnfit as error:
            unfit = error
        except PermissionError as error:
            unfit = EnvironmentUnfit(f"this machine does not allow it ({error.strerror})")
        else:
            return path, ""
    return await _stand_in(stack, vpn, world, unfit)


async def _stand_in(
    stack: AsyncExitStack, vpn: Vpn, world: World, unfit: EnvironmentUnfit
) -> tuple[WayOut, str]:
    kind = _STAND_INS.get(vpn.kind)
    if kind is not None:
        fields = registry.known(registry.TUNNELS, kind, {**vpn.table, "kind": kind})
        tunnel = registry.build(registry.TUNNELS, {"kind": kind, **fields}, _WHERE, vpn.name)
        try:
            path = await stack.enter_async_context(tunnel.up(ground(vpn, world)))
        except EnvironmentUnfit as error:
            raise _either(unfit, error, world) from None
        return path, f"Tried by a userspace WireGuard (sing-box), since {unfit.missing}."
    raise _either(unfit, None, world)


def _either(unfit: EnvironmentUnfit, other: EnvironmentUnfit | None, world: World) -> Exception:
    """What is missing, and everything that one could type about it."""
    cures = [unfit.remedy or " ".join(world.left_out)]
    if other is not None:
        cures.append(f"or, without a device: {other.remedy or other.missing}")
    return EnvironmentUnfit(unfit.missing, "; ".join(filter(None, cures)))
