"""What the event loop promises: what is due waits for few, and nobody starves."""

import asyncio
import socket
from itertools import groupby

from circumtest import punctual

SOCKETS = 40
TURNS = 30


def test_what_is_due_waits_for_few_of_those_that_are_ready() -> None:
    """All forty are heard all the same, and again and again."""
    seen: list[int | None] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(SOCKETS)]
        for number, (near, far) in enumerate(pairs):
            far.send(b"never read: ready for ever")
            loop.add_reader(near, seen.append, number)
        for _ in range(TURNS):
            await asyncio.sleep(0)
            seen.append(None)
        for near, far in pairs:
            loop.remove_reader(near)
            near.close()
            far.close()

    punctual.run(main())
    runs = [len(list(run)) for due, run in groupby(seen, key=lambda who: who is None) if not due]
    assert max(runs) <= punctual.FEW
    assert set(range(SOCKETS)) <= set(seen)


def test_a_timer_is_not_early_and_both_directions_of_a_socket_are_told() -> None:
    """As asyncio's own loop does it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(0.0031)
        assert loop.time() - begun >= 0.0031
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        with near, far:
            big = bytes(1 << 20)
            sending = asyncio.create_task(loop.sock_sendall(near, big))
            heard = 0
            while heard < len(big):
                heard += len(await loop.sock_recv(far, 1 << 16))
            await sending

    punctual.run(main())
