"""The largest packet that passes, found by datagrams that may not be fragmented.

A ladder of sizes is sent at once, and the gap between the largest that came back and the smallest
that did not is divided again (RFC 8899's search, in fewer trips).  The far end answers as long as
it was asked, or briefly: so both ways are told apart.  It refuses to call a lossy path a small one:
what passes below and not above must do so consistently.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from circumtest.model import Address, Cause, Transport
from circumtest.path import Conn, Path, Unfragmented
from circumtest.wire import echo

SENDS = (0.0, 0.25, 0.6)
"""Seconds at which a size is sent again while it is not answered."""
WAIT = 1.2
"""Seconds that one ladder takes at most."""
_STEPS = 12
"""Sizes in a ladder: some 12 packets, as many bytes as a fifth of a second of a video call."""
HEADERS = {4: 28, 6: 48}
"""Octets of IP and UDP around a datagram."""
LEAST = {4: 576, 6: 1280}
"""Octets that every network carries (RFC 791, RFC 8200)."""
MOST = 1500
OPENING = 5.0
_USUAL = (1492, 1472, 1450, 1440, 1420, 1412, 1400, 1380, 1360, 1340, 1320, 1300, 1280)
"""Octets that devices usually take, where this host's own takes less than was thought."""


@dataclass(frozen=True)
class Mtu:
    """Octets of the largest IP packet that passes: `up` on the way there, `both` there and back.

    `asked` is the largest that was tried.
    """

    up: int
    both: int
    asked: int

    @property
    def small(self) -> bool:
        """Whether something that ought to pass does not."""
        return self.both < self.asked

    @property
    def where(self) -> str:
        """On which way large packets are lost, in words."""
        return "on the way to the server" if self.up < self.asked else "on the way back"


async def largest(path: Path, far: Address, secret: str, rng: Random) -> Mtu | None:
    """Search beneath the path's own MTU, by the echo at `far` whose secret is given.

    None where that cannot be told: datagrams cannot be kept whole on this path, nothing small
    passes, or what passes is no matter of size.  Raises OSError and TunnelDown as opening does.
    """
    prober = await _Prober.at(path, far, secret.encode(), rng)
    if prober is None:
        return None
    try:
        asked = prober.taken(max(min(path.mtu or MOST, MOST), LEAST[far.version]))
        both = await _search(prober, LEAST[far.version], asked, short=False)
        if both is None or both == asked:
            return None if both is None else Mtu(asked, asked, asked)
        up = await _search(prober, both, asked, short=True)
        return None if up is None else Mtu(up, both, asked)
    finally:
        prober.close()


async def _search(prober: "_Prober", low: int, high: int, *, short: bool) -> int | None:
    """The largest size between two that passes; `low` has to, or it is None."""
    for attempt in range(2):
        found = await _climb(prober, low, high, short=short)
        if found is None or await _holds(prober, found, high, short=short):
            return found
        del attempt
    return None


async def _climb(prober: "_Prober", low: int, high: int, *, short: bool) -> int | None:
    passing, lost = low - 1, high + 1
    sizes: Iterable[int] = (low, *_between(low, high), high)
    while True:
        came = await prober.ladder(sizes, short=short)
        passing = max((size for size in came), default=passing)
        if passing < low:
            return None
        lost = min((size for size in sizes if size > passing), default=lost)
        if lost - passing <= 1:
            return passing
        sizes = _between(passing, lost)


def _between(low: int, high: int) -> tuple[int, ...]:
    """Sizes strictly between two, as evenly as whole octets are."""
    gap = high - low
    steps = min(_STEPS, gap - 1)
    return tuple(sorted({low + gap * step // (steps + 1) for step in range(1, steps + 1)} - {low}))


async def _holds(prober: "_Prober", found: int, high: int, *, short: bool) -> bool:
    """Whether it is a matter of size: all of some sizes below pass, and none of those above."""
    if found >= high:
        return True
    below = tuple(found - step for step in range(4))
    above = tuple(dict.fromkeys((found + 1, min(found + 20, high), high)))
    came = await prober.ladder((*below, *above), short=short)
    return not set(above) & came and set(below) <= came


class _Prober:
    """One channel to the echo, and which sizes came back."""

    _conn: Conn

    def __init__(self, far: Address, secret: bytes, rng: Random) -> None:
        self._far, self._secret, self._rng = far, secret, rng
        self._asked: dict[bytes, tuple[int, bytes, int]] = {}
        self._came: set[int] = set()
        self._changed = asyncio.Event()

    @classmethod
    async def at(cls, path: Path, far: Address, secret: bytes, rng: Random) -> "_Prober | None":
        """None where the path's datagrams cannot be kept whole."""
        prober = cls(far, secret, rng)
        prober._conn = await path.open(Transport.UDP, far, prober._heard, OPENING)
        if not isinstance(prober._conn, Unfragmented):
            prober._conn.close()
            return None
        prober._conn.whole()
        return prober

    def close(self) -> None:
        self._conn.close()

    def taken(self, most: int) -> int:
        """The largest size, of the usual ones, that this host's own device takes."""
        for size in (most, *(one for one in _USUAL if one < most)):
            self._send(size, short=False)
            if not (isinstance(self._conn, Unfragmented) and self._conn.refused):
                return size
        return LEAST[self._far.version]

    async def ladder(self, sizes: Iterable[int], *, short: bool) -> set[int]:
        """Send each size up to three times; which of them came back in WAIT seconds."""
        wanted = set(sizes)
        self._asked.clear()
        self._came.clear()
        loop = asyncio.get_running_loop()
        start = loop.time()
        for at in (*SENDS, WAIT):
            while wanted - self._came and (left := start + at - loop.time()) > 0:
                self._changed.clear()
                try:
                    async with asyncio.timeout(left):
                        await self._changed.wait()
                except TimeoutError:
                    break
            if not wanted - self._came or at == WAIT:
                break
            for size in sorted(wanted - self._came):
                self._send(size, short=short)
        return set(self._came)

    def _send(self, size: int, *, short: bool) -> None:
        length = size - HEADERS[self._far.version]
        back = echo.ADDRESS_SIZE if short else length
        request = echo.request(self._rng.randbytes(8), length, self._secret, back)
        self._asked[request[:8]] = size, request, back
        self._conn.send(request, self._far)

    def _heard(self, data: bytes | Cause, source: Address) -> None:  # noqa: ARG002  # the seal tells
        if isinstance(data, Cause) or (known := self._asked.get(data[:8])) is None:
            return
        size, request, back = known
        try:
            echo.parse_answer(data, request, self._secret, back)
        except ValueError:
            return
        self._came.add(size)
        self._changed.set()
