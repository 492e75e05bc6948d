"""The caller's half of TURN (RFC 8656): an allocation at a server, and ways through it to peers.

`allocate` goes through the 401 round over UDP, TCP or TLS; what it gives makes a `Pipe` for every
peer.  How an application's client speaks is a value, a `Dialect`.  It refuses to be a server
(`circumtest.relay`), and to know what goes through.
"""

from circumtest.turn.allocation import Allocation, allocate, stranger
from circumtest.turn.binding import binding
from circumtest.turn.dialect import (
    LIBWEBRTC,
    PLAIN,
    Caller,
    Channels,
    Credentials,
    Dialect,
    Service,
)
from circumtest.turn.session import Refused, left
from circumtest.turn.through import through
from circumtest.turn.together import together

__all__ = [
    "LIBWEBRTC",
    "PLAIN",
    "Allocation",
    "Caller",
    "Channels",
    "Credentials",
    "Dialect",
    "Refused",
    "Service",
    "allocate",
    "binding",
    "left",
    "stranger",
    "through",
    "together",
]
