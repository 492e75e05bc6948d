"""Waiting for a program's TCP port, and finding one that is free: for programs that do not say.

That it listens says nothing about what is behind it.
"""

import asyncio
import socket

from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.process import Daemon

START = 10.0
"""Seconds that a program may take to listen (most take about 20 ms)."""

_POLL = 0.002


async def listening(netns: Netns, at: Address, process: Daemon, timeout: float = START) -> None:
    """Return when a connection to `at` from `netns`, where the program lives, is accepted.

    Raises ProcessEnded when `process` ended instead, TimeoutError after `timeout` seconds.
    """
    family = socket.AF_INET6 if at.version == 6 else socket.AF_INET
    async with asyncio.timeout(timeout):
        while True:
            with netns.socket(family, socket.SOCK_STREAM) as sock:
                try:
                    await asyncio.get_running_loop().sock_connect(sock, at)
                    return
                except ConnectionRefusedError:
                    if not process.alive:
                        raise process.post_mortem() from None
            await asyncio.sleep(_POLL)


def free_port(netns: Netns) -> int:
    """A port of the loopback that neither TCP nor UDP has in use there just now.

    Raises OSError when there is none.
    """
    while True:
        with (
            netns.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind(("127.0.0.1", port))
            except OSError:  # taken for UDP only: the next one
                continue
            return port
