"""Where a TCP segment stands in its stream: how many bytes of its direction went before.

A direction's zero is what follows its SYN, or, of a connection that was there before, the first
segment that was seen.  It refuses to keep bytes: what was seen is `circumtest.censor.sight`'s.
"""

from collections import OrderedDict

from circumtest.censor.middlebox.datagram import SYN, Datagram
from circumtest.censor.policy import MAX_FLOWS
from circumtest.model import Address

_WRAP, _HALF = 1 << 32, 1 << 31


class Streams:
    """Positions by flow and direction, of the `most` that were used last."""

    def __init__(self, most: int = 2 * MAX_FLOWS) -> None:
        self._most = most
        # The newest segment's number and position: numbers wrap after 4 GiB, positions do not.
        self._at: OrderedDict[tuple[Address, Address], tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def offset(self, datagram: Datagram) -> int:
        """Bytes of this direction before the packet's payload; 0 for a datagram of UDP."""
        segment = datagram.segment
        if segment is None:
            return 0
        key = (datagram.source, datagram.destination)
        if segment.flags & SYN:
            self._keep(key, (segment.seq + 1) % _WRAP, 0)
            return 0
        if key not in self._at:
            self._keep(key, segment.seq, 0)
            return 0
        number, position = self._at[key]
        # RFC 9293 3.4: what is less than half of the numbers ahead is newer, the rest older.
        ahead = (segment.seq - number + _HALF) % _WRAP - _HALF
        if ahead > 0:
            self._keep(key, segment.seq, position + ahead)
        else:
            self._at.move_to_end(key)
        return max(position + ahead, 0)

    def _keep(self, key: tuple[Address, Address], number: int, position: int) -> None:
        self._at[key] = number, position
        self._at.move_to_end(key)
        if len(self._at) > self._most:
            self._at.popitem(last=False)
