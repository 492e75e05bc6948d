"""The event loop in which what is due goes before what came.

asyncio's own loop hands on everything that has come before it looks at the clock again: with sound
in hundreds of calls, packets would be sent as late as all those of a turn take to be heard.  Here a
turn takes a few of them; what waits in the kernel meanwhile is not lost.

It is for a process that only calls, as live runs do.  Where far halves live on the same loop and
the core is fully used, as in the labs of a run, hearing is put off for as long as there is
something to say, and trials become void: there asyncio's own loop is the fair one.  It refuses to
be anything else than asyncio's.
"""

import asyncio
import math
import select
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

FEW = 4
"""Sockets that one turn looks at: what they bring takes a fraction of a millisecond."""

T = TypeVar("T")


class _Few(selectors.EpollSelector):
    """Epoll tells of those first that have waited longest, so that nobody starves."""

    _selector: select.epoll  # both as the base class keeps them
    _key_from_fd: Callable[[int], selectors.SelectorKey | None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """At most FEW of those that are ready, within `timeout` seconds."""
        # Rounded up: waking before a timer is due would be turning idly until it is.
        wait = -1.0 if timeout is None else math.ceil(max(timeout, 0.0) * 1000) / 1000
        ready = []
        for fd, mask in self._selector.poll(wait, FEW):
            events = selectors.EVENT_READ if mask & ~select.EPOLLOUT else 0
            events |= selectors.EVENT_WRITE if mask & ~select.EPOLLIN else 0
            if key := self._key_from_fd(fd):
                ready.append((key, events & key.events))
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, like asyncio.run.  It needs Linux, as everything here does."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Few())) as runner:
        return runner.run(main)
