"""A call through one or several allocations: all are tried at once, one carries it, all are ended.

It refuses to know what the callee is asked, and what is said to him.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from circumtest.errors import HandshakeFailed
from circumtest.script import Script
from circumtest.turn.allocation import Allocation
from circumtest.turn.together import together

T = TypeVar("T")


def through(
    allocations: Sequence[Allocation],
    reach: Callable[[Allocation], Script[T]],
    talk: Callable[[Allocation, T], Script[None]],
) -> Script[None]:
    """`reach` the callee through each allocation at once, and `talk` through the first that does.

    Whatever becomes of it, all allocations are given back.  Raises what `together` and `talk` do.
    """
    try:
        reached = yield from together([_reach(one, reach) for one in allocations], 0.0)
        yield from talk(*reached[0])
    except HandshakeFailed:
        yield from _release(allocations)
        raise
    yield from _release(allocations)


def _reach(
    allocation: Allocation, reach: Callable[[Allocation], Script[T]]
) -> Script[tuple[Allocation, T]]:
    return allocation, (yield from reach(allocation))


def _release(allocations: Sequence[Allocation]) -> Script[None]:
    yield from together([one.release() for one in allocations], 1.0)
