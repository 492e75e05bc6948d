"""Room for what waits at a socket: as much as this process may have.

It refuses to fail for want of it: who has less loses more when there is too much at once.
"""

import contextlib
import socket

_SO_RCVBUFFORCE = 33


def make_room(sock: socket.socket, size: int) -> None:
    """Have `size` bytes wait at `sock`; as many as net.core.rmem_max allows where one is not root.

    socket(7), SO_RCVBUF and SO_RCVBUFFORCE.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    with contextlib.suppress(PermissionError):  # beyond the limit only root may go
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
