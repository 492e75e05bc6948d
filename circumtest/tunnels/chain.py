"""Tunnels one through another: the second is brought up from where the first one leads to.

A hop that has a namespace inside is the next one's underlay; for any other a gateway is made, a
namespace whose only way out is that hop's path.  What is wrong with a hop is told with its number.
It refuses to know any tunnel by name.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from circumtest import registry
from circumtest.errors import ConfigError, EnvironmentUnfit, TunnelDown
from circumtest.gateway import Gateway, gateway
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Conn, Sink
from circumtest.path import Path as WayOut
from circumtest.recognise import recognise

_EXAMPLE = 'like ["wireguard:a.conf", "socks5://127.0.0.1:1080"]'


class _Hop(NamedTuple):
    """One of them; `number` counts from 1."""

    number: int
    kind: str
    tunnel: Any

    @property
    def name(self) -> str:
        return f"hop {self.number} ({self.kind})"


@dataclass(frozen=True)
class Chain:
    """`hops` in the order in which packets pass them: each a file, a link, or a table.

    `patience` is each hop's own where it does not say, and the proof's.  `exits` are the addresses
    that the far end may see, empty when nobody knows.  Raises ConfigError for fewer than two hops
    and for each that is no tunnel, with its number.
    """

    hops: tuple[str | dict[str, Any], ...] = field(repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.hops) < 2:
            raise ConfigError("chain", "key `hops`", "has fewer than two hops", _EXAMPLE)
        if not self.patience > 0:
            raise ConfigError("chain", "key `patience`", "is not a number of seconds above 0")
        _ = self.tunnels

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A list of hops in JSON, which is TOML's way of writing one too."""
        if not text.startswith("["):
            return None
        try:
            hops = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(hops, list) or not all(isinstance(hop, str | dict) for hop in hops):
            return None
        return {"hops": tuple(hops)}

    @cached_property
    def tunnels(self) -> tuple[_Hop, ...]:
        """The hops, each as the tunnel that it is."""
        return tuple(self._built(number, hop) for number, hop in enumerate(self.hops, 1))

    def notes(self) -> tuple[str, ...]:
        """What each hop was taken for, and what of it is not honoured."""
        said = []
        for hop in self.tunnels:
            said.append(f"hop {hop.number}: taken for {hop.kind}")
            said += [f"{hop.name}: {note}" for note in getattr(hop.tunnel, "notes", tuple)()]
        return tuple(said)

    def _built(self, number: int, hop: str | Mapping[str, Any]) -> _Hop:
        place = f"key `hops`, {number}"
        table = recognise(hop, "chain", place)
        kind = str(table.get("kind"))
        if kind == "chain":
            raise ConfigError("chain", place, "is a chain itself", "write its hops into this one")
        more: dict[str, Any] = {"patience": self.patience}
        if number == len(self.hops):
            more["exits"] = self.exits
        if kind in registry.kinds(registry.TUNNELS):
            table = {**registry.known(registry.TUNNELS, kind, more), **table}
        return _Hop(number, kind, registry.build(registry.TUNNELS, table, "chain", place))

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator["ChainPath"]:
        """Bring up one hop after another.  Raises what a hop raises, with its number in it."""
        async with AsyncExitStack() as stack:
            passed: list[_Passed] = []
            for hop in self.tunnels:
                if passed:
                    underlay = await passed[-1].beyond(stack)
                try:
                    path = await stack.enter_async_context(hop.tunnel.up(underlay))
                except TunnelDown as down:
                    raise _blamed(passed, hop, down) from None
                except EnvironmentUnfit as unfit:
                    missing = f"{hop.name}: {unfit.missing}"
                    raise EnvironmentUnfit(missing, unfit.remedy) from None
                passed.append(_Passed(hop, path))
            yield ChainPath(passed)


class _Passed:
    """A hop that is up."""

    def __init__(self, hop: _Hop, path: WayOut) -> None:
        self.hop, self.path = hop, path
        self._gateway: Gateway | None = None

    async def beyond(self, stack: AsyncExitStack) -> Netns:
        """The namespace from which everything leaves through the hop."""
        inside: Netns | None = getattr(self.path, "inside", None)
        if inside is not None:
            return inside
        making = gateway(self.path, f"gateway behind {self.hop.name}")
        self._gateway = await stack.enter_async_context(making)
        return self._gateway.netns

    def forget(self) -> None:
        if self._gateway:
            self._gateway.forget()

    def fault(self) -> TunnelDown | None:
        down = self.path.fault() or (self._gateway and self._gateway.fault())
        return _named(self.hop, down) if down else None


class ChainPath:
    """The last hop's path, and the faults of all of them."""

    name = "chain"

    def __init__(self, passed: Sequence[_Passed]) -> None:
        self._passed = passed
        self._last = passed[-1].path

    @property
    def inside(self) -> Netns | None:
        """The namespace that the last hop leads to, where it has one."""
        return getattr(self._last, "inside", None)

    @property
    def transports(self) -> frozenset[Transport]:
        return self._last.transports

    @property
    def exits(self) -> frozenset[str]:
        return self._last.exits

    @property
    def mtu(self) -> int | None:
        return self._last.mtu

    @property
    def dns(self) -> tuple[str, ...]:
        return self._last.dns

    @property
    def silence(self) -> TunnelFault:
        return self._last.silence

    @property
    def words(self) -> str:
        """What each hop's daemon has said, the last hop's last."""
        said = [(one.hop.name, one.path.words) for one in self._passed]
        return "\n".join(f"{name}: {words}" for name, words in said if words)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """Through the last hop.  Raises what it does, and a fault of any hop before it."""
        for one in self._passed:
            one.forget()
        try:
            return await self._last.open(transport, remote, sink, timeout)
        except TunnelDown as down:
            raise _blamed(self._passed[:-1], self._passed[-1].hop, down) from None

    def fault(self) -> TunnelDown | None:
        """The first hop's that is at fault: the others follow from it."""
        return next(filter(None, (one.fault() for one in self._passed)), None)


def _blamed(before: Sequence[_Passed], hop: _Hop, down: TunnelDown) -> TunnelDown:
    """A hop's fault, unless one before it knows a fault of its own."""
    for one in before:
        if (known := one.fault()) is not None:
            return known
    if before and Transport.UDP not in before[-1].path.transports:
        detail = f"{down.detail} ({before[-1].hop.name} carries no UDP to it)"
        down = TunnelDown(down.fault, detail, down.evidence)
    return _named(hop, down)


def _named(hop: _Hop, down: TunnelDown) -> TunnelDown:
    return TunnelDown(down.fault, f"{hop.name}: {down.detail}", down.evidence)
