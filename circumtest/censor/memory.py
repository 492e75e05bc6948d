"""What a censor remembers: things with a value each, bounded in number and forgotten in time.

It refuses to forget a live one to make room: a full memory takes no more.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from circumtest.censor.policy import MAX_FLOWS

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key, forgotten `hold` seconds after they were last put."""

    def __init__(self, hold: float, size: int = MAX_FLOWS) -> None:
        self._hold, self._size = hold, size
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K, now: float) -> V | None:
        self._expire(now)
        return self._kept[key][1] if key in self._kept else None

    def put(self, key: K, value: V, now: float) -> bool:
        """Remember, and begin the time anew; False when there is no room for another."""
        self._expire(now)
        if key not in self._kept and len(self._kept) >= self._size:
            return False
        self._kept[key] = (now, value)
        self._kept.move_to_end(key)
        return True

    def discard(self, key: K) -> None:
        self._kept.pop(key, None)

    def _expire(self, now: float) -> None:
        while self._kept:
            key, (touched, _) = next(iter(self._kept.items()))
            if now - touched < self._hold:
                return
            del self._kept[key]
