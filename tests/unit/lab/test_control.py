"""Asking a lab in the background: words, sockets, its end."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from circumtest.lab import control
from circumtest.lab.control import Answer, answering, ask, connected, listen


async def reply(question: str) -> Answer:
    """A socket for who asks for one, the question again for everybody else."""
    if question != "socket":
        return Answer(question[::-1].encode())
    ours, theirs = socket.socketpair()
    with ours:
        ours.send(b"through it")
    return Answer(b"here", theirs)


@contextmanager
def lab(place: Path) -> Iterator[Callable[[], None]]:
    """Something that answers in a thread of its own; what is yielded ends it."""
    loop = asyncio.new_event_loop()
    listener = listen(place)
    stop = asyncio.Event()

    async def live() -> None:
        with listener:
            async with answering(listener, reply):
                await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()

    def end() -> None:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    try:
        yield end
    finally:
        end()
        loop.close()


def test_questions_are_answered_one_after_another(tmp_path: Path) -> None:
    """On one connection, and on several at once."""
    with lab(tmp_path), connected(tmp_path) as one, connected(tmp_path) as other:
        assert ask(one, "abc").words == b"cba"
        assert ask(other, "de").words == b"ed"
        assert ask(one, "f" * 200).words == b"f" * 200


def test_a_socket_is_handed_over(tmp_path: Path) -> None:
    """It works in this process, wherever it was made."""
    with lab(tmp_path), connected(tmp_path) as one:
        words, handed = ask(one, "socket")
        assert words == b"here"
        assert handed is not None
        with handed:
            assert handed.recv(99) == b"through it"


def test_the_end_of_the_lab_is_heard(tmp_path: Path) -> None:
    """By whoever stays connected; a question comes to an error, and nobody new is let in."""
    with lab(tmp_path) as end, connected(tmp_path) as one:
        ask(one, "abc")
        end()
        assert one.recv(9) == b""
        with pytest.raises(ConnectionError):
            ask(one, "abc")
        with pytest.raises(ConnectionError), connected(tmp_path):
            pass


def test_who_goes_before_the_answer_harms_nobody(tmp_path: Path) -> None:
    """Others are answered all the same."""
    with lab(tmp_path):
        with connected(tmp_path) as hasty:
            hasty.send(b"abc")
        with connected(tmp_path) as one:
            assert ask(one, "abc").words == b"cba"


def test_a_directory_may_have_a_name_that_is_longer_than_a_sockets(tmp_path: Path) -> None:
    """unix(7) has 108 bytes for it; what a killed lab has left is replaced."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    for _ in range(2):
        with lab(deep), connected(deep) as one:
            assert ask(one, "abc").words == b"cba"
    assert [file.name for file in deep.iterdir()] == [control.NAME]


def test_nobody_listening_is_an_error(tmp_path: Path) -> None:
    """Of a lab that never was."""
    with pytest.raises(FileNotFoundError), connected(tmp_path):
        pass
