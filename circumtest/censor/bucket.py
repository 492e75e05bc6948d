"""A token bucket with the meaning of the kernel's `limit rate over R bytes/second burst B bytes`.

Source: Linux net/netfilter/nft_limit.c.  It refuses to know packets and clocks of its own.
"""


class Bucket:
    """Bytes that may pass: `rate` of them come in a second, no more than `rate + burst` are kept.

    The second's worth beside the burst is the kernel's (`tokens_max`): a bucket begins full, so the
    first `rate + burst` bytes pass at whatever speed they come.  What does not fit takes nothing,
    so that a smaller packet behind a large one may pass.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._most = rate, rate + burst
        self._level, self._at = self._most, 0.0

    def take(self, size: int, now: float) -> bool:
        """Whether `size` bytes may pass at `now` (seconds, never less than before); takes them."""
        if self._level < self._most:
            self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        if size > self._level:
            return False
        self._level -= size
        return True
