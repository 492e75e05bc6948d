"""A control socket that says what tor seldom does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from circumtest.tor.control import Control, Phase, control

ANSWER = b'250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="Connecting"\r\n'
COOKIE = b"\x01\xff"


@asynccontextmanager
async def talk(place: Path, cookie: bytes) -> AsyncIterator[tuple[Control, asyncio.StreamWriter]]:
    """A connection to a tor whose events the test writes."""
    ends: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        while line := await reader.readline():
            if line.startswith(b"GETINFO"):
                writer.write(ANSWER)
            bad = line.startswith(b"AUTHENTICATE") and line.split()[1] != COOKIE.hex().encode()
            writer.write(b"515 Authentication failed\r\n" if bad else b"250 OK\r\n")
        writer.close()

    (place / "cookie").write_bytes(cookie)
    server = await asyncio.start_unix_server(serve, place / "control")
    try:
        async with asyncio.timeout(10), control(place / "control", place / "cookie") as told:
            yield told, ends[0]
    finally:
        server.close()


def test_events_are_heard_between_answers(tmp_path: Path) -> None:
    """Whether tor has a circuit, and what exits said, last word first."""

    async def scene() -> None:
        async with talk(tmp_path, COOKIE) as (told, tor):
            assert told.phase == Phase(5, "conn", "Connecting")
            tor.write(b"650 STATUS_CLIENT NOTICE CIRCUIT_NOT_ESTABLISHED REASON=CLOCK_JUMPED\r\n")
            tor.write(b"650 STREAM 1 DETACHED 2 192.0.2.1:9 REASON=END REMOTE_REASON=MISC\r\n")
            await told.ask("GETINFO status/bootstrap-phase")
            assert told.cut_off
            assert told.reasons == {"192.0.2.1:9": "MISC"}
            tor.write(b"650 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED\r\n")
            tor.write(
                b'650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"\r\n'
            )
            await told.bootstrapped()
            assert not told.cut_off

    asyncio.run(scene())


def test_the_end_of_tor_is_told_to_who_waits(tmp_path: Path) -> None:
    """For its bootstrapping, or for an answer."""

    async def scene() -> None:
        async with talk(tmp_path, COOKIE) as (told, tor):
            waiting = asyncio.create_task(told.bootstrapped())
            tor.close()
            with pytest.raises(ConnectionError, match="tor has ended"):
                await waiting
            with pytest.raises(ConnectionError, match="tor refuses GETINFO"):
                await told.ask("GETINFO version")

    asyncio.run(scene())


def test_a_cookie_that_tor_does_not_take_is_told(tmp_path: Path) -> None:
    """With tor's own word."""

    async def scene() -> None:
        async with talk(tmp_path, b"other"):
            pass

    with pytest.raises(ConnectionError, match="refuses AUTHENTICATE: 515"):
        asyncio.run(scene())
