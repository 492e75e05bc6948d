"""What a relay gave to whom: allocations, permissions, channels, and until when.

All of it is bounded, and what has run out is as if it were not there.  It refuses to send anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from circumtest.model import Address
from circumtest.relay.guard import Refusal
from circumtest.script import Flow

MAX_ALLOCATIONS = 256
MAX_PEERS = 16
"""Permissions, and channels, of one allocation."""
PERMISSION = 300.0
CHANNEL = 600.0
"""Seconds (RFC 8656 9, 12)."""
# Even ones only, so that who asks for one (RFC 8656 18.7) gets it.
_FIRST_PORT, _PORTS = 49152, 8192


@dataclass(slots=True)
class Allocation:
    """One 5-tuple's: who has it, where peers reach it, until when (seconds since the epoch)."""

    flow: Flow
    user: str
    key: bytes
    tid: bytes
    relayed: Address
    until: float
    permissions: dict[str, float] = field(default_factory=dict)
    channels: dict[int, Address] = field(default_factory=dict)

    def permit(self, host: str, now: float) -> None:
        """Let `host` send for five minutes more.  Raises Refusal 508 when there are too many."""
        if host not in self.permissions and len(self.permissions) >= MAX_PEERS:
            raise Refusal(508, "Insufficient Capacity", self.key)
        self.permissions[host] = now + PERMISSION

    def permits(self, host: str, now: float) -> bool:
        return self.permissions.get(host, 0.0) > now

    def bind(self, number: int, peer: Address, now: float) -> None:
        """Bind a channel, for as long as its permission lasts here.  Raises Refusal 400 or 508."""
        if self.channels.get(number, peer) != peer or self.number(peer) not in (None, number):
            raise Refusal(400, "Bad Request", self.key)
        if number not in self.channels and len(self.channels) >= MAX_PEERS:
            raise Refusal(508, "Insufficient Capacity", self.key)
        self.permit(peer.host, now)
        self.channels[number] = peer

    def number(self, peer: Address) -> int | None:
        """The channel of a peer."""
        return next((one for one, other in self.channels.items() if other == peer), None)


class Book:
    """The allocations of one relay; `quota` is how many one user may have, 0 for any number."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._by_flow: dict[Flow, Allocation] = {}
        self._by_relayed: dict[Address, Allocation] = {}
        self._numbers = count()

    def get(self, flow: Flow, now: float) -> Allocation | None:
        """The live allocation of a 5-tuple."""
        found = self._by_flow.get(flow)
        if found is not None and found.until <= now:
            self.drop(flow)
            return None
        return found

    def at(self, relayed: Address, now: float) -> Allocation | None:
        """The live allocation that peers reach at `relayed`."""
        found = self._by_relayed.get(relayed)
        return self.get(found.flow, now) if found is not None else None

    def add(
        self, flow: Flow, user: str, key: bytes, tid: bytes, until: float, now: float
    ) -> Allocation:
        """Give one out.  Raises Refusal 486 beyond the quota, 508 where all are taken."""
        for other in tuple(self._by_flow):
            self.get(other, now)
        if self._quota and self._count(user) >= self._quota:
            raise Refusal(486, "Allocation Quota Reached", key)
        if len(self._by_flow) >= MAX_ALLOCATIONS:
            raise Refusal(508, "Insufficient Capacity", key)
        relayed = Address(flow.local.host, _FIRST_PORT + 2 * (next(self._numbers) % _PORTS))
        made = Allocation(flow, user, key, tid, relayed, until)
        self._by_flow[flow] = self._by_relayed[relayed] = made
        return made

    def drop(self, flow: Flow) -> None:
        """Forget the allocation of a 5-tuple, if there is one."""
        if (gone := self._by_flow.pop(flow, None)) is not None:
            self._by_relayed.pop(gone.relayed, None)

    def _count(self, user: str) -> int:
        return sum(one.user == user for one in self._everything())

    def _everything(self) -> Iterable[Allocation]:
        return self._by_flow.values()
