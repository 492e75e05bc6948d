"""What a link does to packets: it loses, delays and reorders them, and has a rate.

`Impairment` is one direction of one link as values and chance: packets in, in the order in which
they come, and for each the time at which it leaves, or None.  The simulator and the lab's own
emulator ask the same class, so that the same seed loses the same packets in both.  It refuses to
know what a packet is for, and to hold one: a size and a time are all it is told.
"""

from collections.abc import Iterable
from random import Random

from circumtest.censor.policy import Conditions, Way

LINKS = ("client", "services", "exit")
"""The lab's cables with conditions of their own, by the room that they lead to.

A call passes the client's and then, behind the censor, that of the services; one in a tunnel passes
that of the exit twice in between.
"""
DIRECT = ("client", "services")
"""Those that a call without a tunnel passes: one before the censor, one behind it."""
ETHERNET, SMALLEST = 1500, 1280
"""Bytes: the MTU of a link that nothing was said of, and the least with IPv6 (RFC 8200 5)."""
QUEUE = 0.4
"""Seconds of traffic that wait at most for a link with a rate: a usual setting of tbf."""
FEWEST = 15_000
"""Bytes that may always wait: ten packets, or a slow link would carry no flight of a TCP."""


class Impairment:
    """One direction of a link, `Way.UP` or `Way.DOWN`.

    Each kind of chance has a stream of its own, one number a packet: which packets are lost depends
    on the seed, the link and the direction, and neither on when they come nor on what else the
    conditions are.  `lost` and `overrun` count the packets that chance and a full queue took.
    """

    def __init__(self, conditions: Conditions, seed: int, way: Way) -> None:
        self._conditions = conditions
        self.lost = self.overrun = 0
        stem = f"{seed}/{conditions.link}/{way}"
        # Seeded by text: that does not depend on the process, unlike hash().
        self._loss, self._jitter, self._overtakes = (
            Random(f"{stem}/{kind}") for kind in ("loss", "jitter", "reorder")
        )
        self._free = 0.0  # when the link has sent what was given to it

    def leaves(self, size: int, now: float) -> float | None:
        """When a packet of `size` bytes, headers of IP included, that comes at `now` leaves.

        None when it is lost: by chance, or since too much waits for the link's rate.  Times are
        seconds on any clock.  One that overtakes leaves as soon as the link has sent it; otherwise
        `delay` passes, and a normally distributed time of deviation `jitter`, never less than none.
        Jitter that is longer than the time between packets reorders them, as netem's does.
        """
        asked = self._conditions
        lost = bool(asked.loss) and self._loss.random() < asked.loss
        overtakes = bool(asked.reorder) and self._overtakes.random() < asked.reorder
        more = self._jitter.gauss(0.0, asked.jitter) if asked.jitter else 0.0
        if lost:
            self.lost += 1
            return None
        sent = self._sent(size, now)
        if sent is None:
            self.overrun += 1
            return None
        return sent if overtakes else sent + max(asked.delay + more, 0.0)

    def _sent(self, size: int, now: float) -> float | None:
        """When the link has put the packet on the wire, behind those before it."""
        rate = self._conditions.rate
        if not rate:
            return now
        begin = max(now, self._free)
        if (begin - now) * rate + size > max(QUEUE * rate, FEWEST):
            return None
        self._free = begin + size / rate
        return self._free


def by_link(network: Iterable[Conditions]) -> dict[str, Conditions]:
    """The conditions by link.  Raises ValueError for a link that there is not, or that comes twice.

    Two for one link would be carried out one behind the other in one world and not in the other;
    and for an MTU with which the kernel would take IPv6 away from the link.
    """
    found: dict[str, Conditions] = {}
    for asked in network:
        if asked.link not in LINKS:
            raise ValueError(f"there is no link {asked.link!r}; known: {', '.join(LINKS)}")
        if asked.link in found:
            raise ValueError(f"the link {asked.link!r} has conditions twice")
        if asked.mtu and not SMALLEST <= asked.mtu <= ETHERNET:
            raise ValueError(f"an `mtu` is {SMALLEST} to {ETHERNET}, or 0")
        found[asked.link] = asked
    return found


def steady(conditions: Conditions) -> bool:
    """Whether nothing about these conditions is chance."""
    return not (conditions.loss or conditions.jitter or conditions.reorder)


def slowest(network: Iterable[Conditions]) -> float:
    """Seconds that a round trip may take by what the conditions ask for: delays, jitter, queues.

    Links that a packet does not meet count too, for through a tunnel it may.
    """
    one_way = sum(
        asked.delay
        + 4 * asked.jitter  # beyond which one in 30 000 is
        + (max(QUEUE, FEWEST / asked.rate) if asked.rate else 0.0)
        for asked in network
    )
    return 2 * one_way


class Network:
    """The links between a client and a service, each direction with chance of its own.

    Raises ValueError for conditions that `by_link` refuses.
    """

    def __init__(self, network: Iterable[Conditions] = (), seed: int = 0) -> None:
        self._asked = by_link(network)
        self._links = {
            (link, way): Impairment(asked, seed, way)
            for link, asked in self._asked.items()
            for way in (Way.UP, Way.DOWN)
        }

    def leaves(self, link: str, way: Way, size: int, now: float) -> float | None:
        """As `Impairment.leaves`; at once on a link that nothing was said of."""
        impairment = self._links.get((link, way))
        return now if impairment is None else impairment.leaves(size, now)

    @property
    def delay(self) -> float:
        """Seconds one way by the delays alone, without a tunnel."""
        return sum(self._asked[link].delay for link in DIRECT if link in self._asked)

    @property
    def lossy(self) -> bool:
        """Whether any link loses packets, by chance or for its rate, without a tunnel."""
        return any(one.loss or one.rate for link, one in self._asked.items() if link in DIRECT)

    @property
    def mtu(self) -> int:
        """Bytes of the largest packet that every link carries, without a tunnel."""
        asked = (self._asked[link].mtu for link in DIRECT if link in self._asked)
        return min((mtu for mtu in asked if mtu), default=ETHERNET)
