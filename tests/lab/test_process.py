"""Daemons and tools in namespaces."""

import asyncio
import contextlib
import os
import signal
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.process import GRACE, LOG_LIMIT, ProcessEnded, daemon, private_dir, program, run


def in_namespace(test: Callable[[Netns], Awaitable[None]]) -> None:
    """Play a test in a namespace of its own."""

    async def main() -> None:
        async with Netns.new("process") as netns:
            await test(netns)

    asyncio.run(main())


def session(leader: int) -> list[str]:
    """The command names of the processes in a session."""
    names = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, tail = file.read_text().rpartition(")")
            if int(tail.split()[3]) == leader and tail.split()[0] != "Z":
                names.append(head.partition("(")[2])
    return names


def lives_in(pid: int, netns: Netns) -> bool:
    """Is the process in the namespace?"""
    return os.path.samestat(Path(f"/proc/{pid}/ns/net").stat(), os.fstat(netns.fd))


def test_a_daemon_lives_in_its_namespace_and_dies_with_its_session() -> None:
    """Children in the same session, whatever their process group, end with it."""

    async def test(netns: Netns) -> None:
        script = "sleep 1000 & set -m; sleep 1001 & echo born; wait"
        async with daemon(netns, ["sh", "-c", script]) as running:
            await running.line("born", 2)
            assert lives_in(running.pid, netns)
            assert len(session(running.pid)) == 3
        assert not running.alive
        end = time.monotonic() + 2
        while session(running.pid) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert session(running.pid) == []

    in_namespace(test)


def test_a_line_is_found_whether_it_came_or_comes() -> None:
    """The log is kept: asking late is no mistake, asking early waits."""

    async def test(netns: Netns) -> None:
        script = "echo one >&2; echo two; exec sleep 1000"
        async with daemon(netns, ["sh", "-c", script]) as running:
            assert await running.line("tw", 2) == "two"
            assert await running.line("^one$", 2) == "one"
            with pytest.raises(TimeoutError):
                await running.line("three", 0.05)

    in_namespace(test)


def test_a_daemon_that_ends_says_why() -> None:
    """Whoever waits for a line gets ProcessEnded with the code and the last words."""

    async def test(netns: Netns) -> None:
        async with daemon(netns, ["sh", "-c", "echo no such key; exit 3"], name="tool") as running:
            with pytest.raises(ProcessEnded, match="tool ended with 3:\nno such key") as raised:
                await running.line("ready", 2)
            assert raised.value.code == await running.ended() == 3
        async with daemon(netns, ["sh", "-c", "kill -ABRT $$"]) as running:
            assert await running.ended() == -signal.SIGABRT

    in_namespace(test)


def test_a_stubborn_daemon_is_killed() -> None:
    """One that ignores SIGTERM is gone after GRACE seconds."""

    async def test(netns: Netns) -> None:
        script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
        async with daemon(netns, ["sh", "-c", script]) as running:
            await running.line("up", 2)
            begun = time.monotonic()
        assert GRACE <= time.monotonic() - begun < GRACE + 1
        with pytest.raises(ProcessLookupError):
            os.kill(running.pid, 0)

    in_namespace(test)


def test_the_log_is_bounded() -> None:
    """The last words are kept, the first go."""

    async def test(netns: Netns) -> None:
        script = "echo first; yes | head -c 200000; echo last; exec sleep 1000"
        async with daemon(netns, ["sh", "-c", script]) as running:
            await running.line("last", 5)
            assert len(running.log) <= LOG_LIMIT
            assert "first" not in running.log

    in_namespace(test)


def test_a_tool_is_fed_and_heard() -> None:
    """Its input goes in, its output comes back; it runs in the namespace."""

    async def test(netns: Netns) -> None:
        assert await run(netns, ["cat"], input=b"words") == "words"
        await run(netns, ["nft", "-f", "-"], input=b"table inet mine {}")
        assert "mine" in await run(netns, ["nft", "list", "tables"])

    in_namespace(test)


def test_a_tool_that_fails_fails_in_its_own_words() -> None:
    """ProcessEnded says what the tool said; a slow one is a TimeoutError, and is ended."""

    async def test(netns: Netns) -> None:
        with pytest.raises(ProcessEnded, match="syntax error"):
            await run(netns, ["nft", "-f", "-"], input=b"table table table")
        with pytest.raises(TimeoutError, match="sleep took longer"):
            await run(netns, ["sleep", "1000"], timeout=0.05)

    in_namespace(test)


def test_a_missing_program_names_its_package() -> None:
    """The remedy is what to type."""

    async def test(netns: Netns) -> None:
        with pytest.raises(EnvironmentUnfit, match="apt-get install nosuchthing"):
            async with daemon(netns, ["nosuchthing"]):
                pass

    in_namespace(test)
    assert program("nft").endswith("/nft")  # sbin is looked into as well


def test_a_private_directory_is_private_and_gone_afterwards() -> None:
    """Mode 0700, in memory."""
    with private_dir() as place:
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert place.is_relative_to("/run")
        (place / "key").write_text("secret")
    assert not place.exists()
