"""What a mirror owes to the Internet: never more than it got, to nobody who has not proved himself.

Every packet in and out is told to one `Guard`.  Until a source (an IPv4 address, or an IPv6 /64:
nobody has less) has proved that it is where it says, no more bytes leave for it than came from it,
counted with and without what IP and UDP put around them.  Rates are limited a source, and for all
strangers together; what is remembered is bounded, and strangers never push out who is known.  It
refuses to look into packets.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address

from circumtest.model import Address

HEAD = {4: 28, 6: 48}
"""Bytes of IP and UDP around a datagram."""


class Ruling(Enum):
    """What may be done about a packet: nothing; ask whether it is a hello; all of it."""

    DROP = 0
    GREET = 1
    TAKE = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds: packets a second and at once, sources that are remembered, seconds of a proof."""

    strangers: int = 8192
    known: int = 4096
    proof: float = 600.0
    stranger_rate: float = 100.0
    known_rate: float = 4000.0
    all_rate: float = 1000.0
    burst: float = 2.0
    """Seconds of a rate that may come at once."""


@dataclass(slots=True)
class _Source:
    """One source: bytes that it is owed, with and without heads; how loud it is; its proof."""

    stamp: float
    level: float = 0.0
    owed: int = 0
    owed_whole: int = 0
    until: float = 0.0


class Guard:
    """The books.  Times are seconds since the Unix epoch."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._strangers: OrderedDict[bytes, _Source] = OrderedDict()
        self._known: OrderedDict[bytes, _Source] = OrderedDict()
        self._all = _Source(0.0)
        self.counts: Counter[str] = Counter()
        """What happened how often: names without addresses."""

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def hear(self, remote: Address, size: int, now: float) -> Ruling:
        """Note a datagram of `size` bytes, and say what may be done about it."""
        key = source_of(remote)
        known = self._lookup(key, now)
        limits = self._limits
        if known is not None:
            self.counts["packets of known sources"] += 1
            if not self._quiet(known, limits.known_rate, now):
                return self._dropped()
            return Ruling.TAKE
        self.counts["packets of strangers"] += 1
        source = self._stranger(key, now)
        source.owed += size
        source.owed_whole += size + HEAD[remote.version]
        if not self._quiet(source, limits.stranger_rate, now):
            return self._dropped()
        return Ruling.TAKE if self._quiet(self._all, limits.all_rate, now) else Ruling.GREET

    def may_send(self, remote: Address, size: int, now: float) -> bool:
        """Whether a datagram of `size` bytes may leave for there; it is taken to have left."""
        key = source_of(remote)
        if self._lookup(key, now) is not None:
            return True
        source, whole = self._strangers.get(key), size + HEAD[remote.version]
        if source is None or source.owed < size or source.owed_whole < whole:
            self.counts["answers held back"] += 1
            return False
        source.owed -= size
        source.owed_whole -= whole
        return True

    def prove(self, remote: Address, now: float) -> None:
        """That source is where it says, for as long as a proof lasts."""
        key = source_of(remote)
        source = self._lookup(key, now) or self._strangers.pop(key, None) or _Source(now)
        source.until = now + self._limits.proof
        if key not in self._known and len(self._known) >= self._limits.known:
            self._known.popitem(last=False)
        self._known[key] = source
        self._known.move_to_end(key)

    def knows(self, remote: Address, now: float) -> bool:
        """Whether that source has proved itself, not too long ago."""
        return self._lookup(source_of(remote), now) is not None

    def _lookup(self, key: bytes, now: float) -> _Source | None:
        source = self._known.get(key)
        if source is not None and source.until <= now:
            # What it was owed before is long gone: it begins anew, with nothing.
            del self._known[key]
            return None
        return source

    def _stranger(self, key: bytes, now: float) -> _Source:
        """Its entry, the last to be forgotten.  Who is forgotten loses what he was owed."""
        source = self._strangers.get(key)
        if source is None:
            if len(self._strangers) >= self._limits.strangers:
                self._strangers.popitem(last=False)
            source = self._strangers[key] = _Source(now)
        else:
            self._strangers.move_to_end(key)
        return source

    def _quiet(self, source: _Source, rate: float, now: float) -> bool:
        """A leaky bucket: whether one more packet fits."""
        gone = max(now - source.stamp, 0.0) * rate
        source.level, source.stamp = max(source.level - gone, 0.0), now
        if source.level + 1 > rate * self._limits.burst:
            return False
        source.level += 1
        return True

    def _dropped(self) -> Ruling:
        self.counts["packets too many"] += 1
        return Ruling.DROP


def source_of(remote: Address) -> bytes:
    """What counts as one source: the IPv4 address, or the first 64 bits of the IPv6 address."""
    packed = remote.packed
    if len(packed) == 4:
        return packed
    mapped = IPv6Address(packed).ipv4_mapped
    return mapped.packed if mapped is not None else packed[:8]
