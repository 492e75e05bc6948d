"""How a lab in the background is asked: a socket in the user's own directory, a line a question.

Whoever can reach the socket may ask: the directory is private.  An answer is bytes, and perhaps a
socket of one of the lab's namespaces.  The caller may stay connected to learn of the lab's end.  It
refuses to know what is asked and answered.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

NAME = "lab.sock"
LARGEST = 1 << 20
"""Bytes that an answer may have."""
PATIENCE = 20.0
"""Seconds that an answer may take: machines are busy."""

_LONGEST = 256


class Answer(NamedTuple):
    """What is told, and a socket that is handed over (the holder's own copy is closed)."""

    words: bytes
    sock: socket.socket | None = None


Reply = Callable[[str], Awaitable[Answer]]


# ------------------------------------------------------------------ the lab's side


def listen(place: Path) -> socket.socket:
    """The socket in the directory `place`, in place of one that a killed lab has left."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _short(place) as name:
        (place / NAME).unlink(missing_ok=True)
        listener.bind(name)
    listener.listen()
    listener.setblocking(False)
    return listener


@asynccontextmanager
async def answering(listener: socket.socket, reply: Reply) -> AsyncIterator[None]:
    """Answer each question by `reply` until the end of the block."""
    accepting = asyncio.create_task(_accept(listener, reply))
    try:
        yield
    finally:
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting


async def _accept(listener: socket.socket, reply: Reply) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            sock, _ = await loop.sock_accept(listener)
            group.create_task(_serve(sock, reply))


async def _serve(sock: socket.socket, reply: Reply) -> None:
    """Answer whoever has come until they go."""
    loop = asyncio.get_running_loop()
    with sock, contextlib.suppress(OSError):  # who goes before the answer does not want it
        while question := await loop.sock_recv(sock, _LONGEST):
            words, handed = await reply(question.decode(errors="replace"))
            if handed is None:
                sock.send(words)
                continue
            with handed:
                socket.send_fds(sock, [words], [handed.fileno()])


# ------------------------------------------------------------------ the asking side


@contextmanager
def connected(place: Path) -> Iterator[socket.socket]:
    """A connection to the lab of the directory `place`.  Raises OSError when nobody listens.

    It can be read from (and gives b"") once the lab is gone.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGEST)
        sock.settimeout(PATIENCE)
        with _short(place) as name:
            sock.connect(name)
        yield sock


def ask(sock: socket.socket, question: str) -> Answer:
    """Ask on a connection.  Raises OSError: TimeoutError for silence, ConnectionError for its end.

    A socket that is handed over is the caller's to close.
    """
    sock.send(question.encode())
    words, descriptors, _, _ = socket.recv_fds(sock, LARGEST, 1)
    if not words:
        raise ConnectionResetError("the lab is gone")
    handed = socket.socket(fileno=descriptors[0]) if descriptors else None
    return Answer(words, handed)


@contextmanager
def _short(place: Path) -> Iterator[str]:
    """A name for the socket that fits unix(7)'s 108 bytes, however long the directory's is."""
    descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
