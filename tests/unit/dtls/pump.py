"""Carries datagrams between two halves in virtual time, and loses, doubles or changes some."""

import heapq
from collections.abc import Callable
from itertools import count

from circumtest.dtls import Endpoint

DELAY = 0.02
Change = Callable[[int, bytes], list[bytes]]
"""What becomes of the n-th datagram of a handshake."""


def unchanged(_: int, datagram: bytes) -> list[bytes]:
    """A network that does nothing."""
    return [datagram]


def losing(*lost: int) -> Change:
    """A network that loses the datagrams of these numbers, from 0 on."""
    return lambda number, datagram: [] if number in lost else [datagram]


def pump(near: Endpoint, far: Endpoint, change: Change = unchanged, until: float = 100.0) -> int:
    """Run a handshake until nothing is to be done, or `until`; how many datagrams were sent."""
    numbers, order = count(), count()
    sent = 0
    flying: list[tuple[float, int, Endpoint, bytes]] = []

    def fly(sender: Endpoint, datagrams: list[bytes], now: float) -> None:
        nonlocal sent
        to = far if sender is near else near
        for datagram in datagrams:
            sent += 1
            for data in change(next(numbers), datagram):
                heapq.heappush(flying, (now + DELAY, next(order), to, data))

    fly(near, near.start(0.0), 0.0)
    fly(far, far.start(0.0), 0.0)
    while True:
        due = [(at, half) for half in (near, far) if (at := half.timer()) is not None]
        at, half = min(due, key=lambda one: one[0], default=(until, None))
        if flying and flying[0][0] <= at:
            at, _, to, data = heapq.heappop(flying)
            fly(to, to.receive(data, at), at)
        elif half is None or at >= until:
            return sent
        else:
            fly(half, half.tick(at), at)
