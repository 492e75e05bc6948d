"""Waiting for a server's TCP port: for programs that do not say when they are ready."""

import asyncio
import socket

from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.process import Daemon

START = 10.0
"""Seconds that a server may take to listen (they take about 20 ms)."""

_POLL = 0.01


async def listening(netns: Netns, at: Address, process: Daemon) -> None:
    """Return when a connection to `at` from the server's own namespace is accepted.

    Raises ProcessEnded when `process` ended instead, TimeoutError after START seconds.
    """
    family = socket.AF_INET6 if at.version == 6 else socket.AF_INET
    async with asyncio.timeout(START):
        while True:
            with netns.socket(family, socket.SOCK_STREAM) as sock:
                try:
                    await asyncio.get_running_loop().sock_connect(sock, at)
                    return
                except ConnectionRefusedError:
                    if not process.alive:
                        raise process.post_mortem() from None
            await asyncio.sleep(_POLL)
