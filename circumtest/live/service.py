"""A service on the Internet as values: its endpoints, its control, and whose turn it is.

Which endpoint a block uses follows from seed and block alone, so that all arms of a block use the
same one, a run that was stopped goes on as it would have, and all get their turn.  It refuses to
know addresses of names: those are asked for freshly (`circumtest.live.locate`).
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address
from random import Random

from circumtest.model import Address, Role, Stage, Transport
from circumtest.script import Handshake, Script

Reach = Callable[[Sequence[Address], Random], Script[None]]
"""The caller's half of what is exchanged with an endpoint, anew for each time it is played."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to call: a name or an address, a port, and what is exchanged with it.

    `date` and `source` say since when and from where it is known; `reported` that nobody checked it
    (a third party says so).  `right` are the addresses that a name is known to have, empty where
    that changes.  `stages` are those that `reach` enters.
    """

    host: str
    port: int
    kind: str
    transport: Transport
    stages: tuple[Stage, ...]
    date: date
    source: str
    reach: Reach = field(repr=False)
    reported: bool = False
    right: tuple[str, ...] = ()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.transport}"

    @property
    def address(self) -> Address | None:
        """Where it is, None for a name."""
        try:
            return Address(str(ip_address(self.host)), self.port)
        except ValueError:
            return None


@dataclass(frozen=True)
class Service:
    """A service and its control: at least three endpoints each.

    `handshake` is what it is called by, for its role, its application and its messaging;
    `spacing` is in seconds, between two trials at one endpoint.  `shows` and `does_not_show` are a
    sentence each, which reports print.
    """

    name: str
    summary: str
    kind: str
    handshake: Handshake
    shows: str
    does_not_show: str
    endpoints: tuple[Endpoint, ...]
    control: tuple[Endpoint, ...]
    spacing: float

    @property
    def role(self) -> Role:
        return self.handshake.role

    @property
    def app(self) -> str:
        return self.handshake.app

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that a stranger can reach."""
        return self.endpoints[0].stages

    @property
    def transport(self) -> Transport:
        """That of its first endpoint; others may differ."""
        return self.endpoints[0].transport

    @property
    def hosts(self) -> frozenset[str]:
        """Names and addresses of all that is called, its control's too."""
        return frozenset(one.host for one in (*self.endpoints, *self.control))

    def endpoint(self, seed: int, block: int) -> Endpoint:
        """Whose turn it is in a block, counted from 0."""
        return turn(self.endpoints, f"{seed}/{self.name}", block)

    def neutral(self, seed: int, block: int) -> Endpoint:
        """The control's endpoint in a block: of the transport of that block's, if there is one."""
        transport = self.endpoint(seed, block).transport
        same = tuple(one for one in self.control if one.transport is transport)
        return turn(same or self.control, f"{seed}/{self.name}/control", block)


def fresh() -> Random:
    """Chance for one exchange on a real network: no two say the same.

    What was said before, from another address, is told apart by some and taken for a replay.
    """
    return Random(os.urandom(32))


def in_turn(
    endpoints: Sequence[Endpoint], at: Callable[[Endpoint], Address]
) -> Callable[[], Script[None]]:
    """An exchange with another of `endpoints` each time: one that is down decides nothing.

    `at` says where one is.
    """
    count = itertools.count()

    def exchange() -> Script[None]:
        endpoint = endpoints[next(count) % len(endpoints)]
        return endpoint.reach((at(endpoint),), fresh())

    return exchange


def turn(endpoints: Sequence[Endpoint], what: str, block: int) -> Endpoint:
    """One of `endpoints`: they take turns, in an order drawn by `what`."""
    drawn = Random(int.from_bytes(hashlib.sha256(what.encode()).digest()))
    order = drawn.sample(endpoints, len(endpoints))
    return order[block % len(order)]
