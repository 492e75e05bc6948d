"""Tunnels as the contract meets them: each with its real server, and with what can go wrong.

One family of tunnels a file; every file has `SPECIMENS`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from circumtest.lab.servers import Server
from circumtest.lab.topology import EXIT
from circumtest.model import Transport, TunnelFault
from circumtest.tunnels import Tunnel

BOTH = frozenset(Transport)
TCP = frozenset({Transport.TCP})
NOBODY = {EXIT[4]: "198.51.100.1", EXIT[6]: "2001:db8:100::1"}
"""The backbone's own addresses: nothing listens there, and it says so."""

Fields = Mapping[str, Any]


def elsewhere(fields: Fields) -> Fields:
    """The same configuration with a server where there is none."""

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            for old, new in NOBODY.items():
                value = value.replace(old, new)
        elif isinstance(value, Mapping):
            value = {key: moved(one) for key, one in value.items()}
        elif isinstance(value, list | tuple):
            value = type(value)(moved(one) for one in value)
        return value

    return {key: moved(value) for key, value in fields.items()}


@dataclass(frozen=True)
class Specimen:
    """A tunnel, its server, and what the contract expects.

    `tunnel` makes it from the fields that the server gave.  `wrong_key` turns those into ones with
    another key or password, `wrong_host` into ones that lead nowhere; `without_udp` is a server
    that carries no datagrams.  The faults say what the tunnel has to be down for then.
    `recovers` is in how many seconds it must carry again once a block is lifted or its server is
    back, unless it says that it is at fault.  `cannot` says of a case why it makes no sense here.
    """

    name: str
    server: Callable[[], Server]
    tunnel: Callable[[Fields], Tunnel]
    carries: frozenset[Transport] = BOTH
    versions: frozenset[int] = frozenset({4, 6})
    wrong_key: Callable[[Fields], Fields] | None = None
    wrong_host: Callable[[Fields], Fields] = elsewhere
    without_udp: Callable[[], Server] | None = None
    when_wrong_key: TunnelFault = TunnelFault.AUTH
    when_wrong_host: TunnelFault = TunnelFault.HANDSHAKE
    when_blocked: TunnelFault = TunnelFault.HANDSHAKE
    recovers: float = 20.0
    rounds: int = 50
    cannot: Mapping[str, str] = field(default_factory=dict)


def every() -> tuple[Specimen, ...]:
    """The specimens of every file beside this one."""
    found: list[Specimen] = []
    for module in pkgutil.iter_modules(__path__):
        found += importlib.import_module(f"{__name__}.{module.name}").SPECIMENS
    return tuple(found)
