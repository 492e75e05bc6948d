"""As much waits at a socket as this process may have, and not less for being an ordinary user's."""

import socket
from pathlib import Path

from circumtest.room import make_room

MOST = int(Path("/proc/sys/net/core/rmem_max").read_text(encoding="ascii"))


def test_as_much_may_wait_as_was_asked_for_or_the_system_allows() -> None:
    """The kernel doubles what is asked for: its own books need room, too (socket(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        make_room(sock, 1 << 20)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 2 * min(1 << 20, MOST)
