"""What tor says of itself on its control socket: how far it has come, what became of streams.

The honest signal: a SOCKS port that is open says nothing, and tor's SOCKS has one code for most of
what goes wrong.  It refuses to give orders.  Source: the control-spec, sections 3.1, 3.5, 3.9,
3.21, 4.1.2, 4.1.10.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PHASE = re.compile(r'BOOTSTRAP PROGRESS=(\d{1,3}) TAG=(\w+) SUMMARY="([^"]*)"')
_WARNING = re.compile(r'WARNING="([^"]*)"')
_STREAM = re.compile(r"650 STREAM \d+ (?:DETACHED|FAILED) \d+ (\S+) REASON=END REMOTE_REASON=(\w+)")
DONE = 100


@dataclass(frozen=True)
class Phase:
    """How far tor has come: `progress` in per cent; `warning` is what stands in its way, or ""."""

    progress: int
    tag: str
    summary: str
    warning: str = ""

    def __str__(self) -> str:
        why = f"; {self.warning.lower()}" if self.warning else ""
        return f"{self.progress} % ({self.tag}: {self.summary.lower()}{why})"


def phase_of(line: str) -> Phase | None:
    """The phase in an answer or an event, None when it tells none."""
    found = _PHASE.search(line)
    if not found:
        return None
    warning = _WARNING.search(line)
    return Phase(int(found[1]), found[2], found[3], warning[1] if warning else "")


def reason_of(line: str) -> tuple[str, str] | None:
    """From an event: the target of a stream that an exit did not open, and the exit's word."""
    found = _STREAM.match(line)
    return (found[1], found[2]) if found else None


class Control:
    """A connection to a control socket.  Made by `control`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.phase = Phase(0, "starting", "Starting")
        self.cut_off = False
        """Tor says that it can build no circuit just now."""
        self.reasons: dict[str, str] = {}
        """Why exits did not open a stream, by target."""
        self._reader, self._writer = reader, writer
        self._over = False
        self._changed = asyncio.Event()
        self._replies: asyncio.Queue[str] = asyncio.Queue()

    async def bootstrapped(self) -> None:
        """Return when tor can be used.  Raises ConnectionError when it ends instead."""
        while self.phase.progress < DONE:
            if self._over:
                raise ConnectionError("tor has ended")
            self._changed.clear()
            await self._changed.wait()

    async def ask(self, command: str) -> list[str]:
        """The lines of the answer.  Raises ConnectionError for a refusal, or when tor has ended."""
        self._writer.write(f"{command}\r\n".encode())
        lines = []
        while True:
            line = await self._replies.get()
            lines.append(line)
            if line[3:4] != "-":
                break
        if not line.startswith("250"):
            raise ConnectionError(f"tor refuses {command.partition(' ')[0]}: {line}")
        return lines

    async def listen(self) -> None:
        """Take in what tor says, until it says no more."""
        with suppress(OSError, ValueError):  # a reset is an end; so is a line without one
            while line := (await self._reader.readline()).decode(errors="replace").rstrip():
                self._heard(line)
                if not line.startswith("650"):
                    self._replies.put_nowait(line)
        self._over = True
        self._replies.put_nowait("000 tor has ended")
        self._changed.set()

    def _heard(self, line: str) -> None:
        if (phase := phase_of(line)) is not None:
            self.phase = phase
            self._changed.set()
        elif (reason := reason_of(line)) is not None:
            self.reasons[reason[0]] = reason[1]
        elif "CIRCUIT_NOT_ESTABLISHED" in line:
            self.cut_off = True
        elif "CIRCUIT_ESTABLISHED" in line:
            self.cut_off = False


@asynccontextmanager
async def control(socket: Path, cookie: Path) -> AsyncIterator[Control]:
    """Log in with the cookie and listen to events.  Raises OSError when tor does not let us.

    The socket must be there already.
    """
    reader, writer = await asyncio.open_unix_connection(socket)
    talk = Control(reader, writer)
    listening = asyncio.create_task(talk.listen())
    try:
        # Answered only once tor has read its configuration to the end, and written its cookie.
        await talk.ask("PROTOCOLINFO 1")
        await talk.ask(f"AUTHENTICATE {_hex(cookie)}")
        await talk.ask("SETEVENTS STATUS_CLIENT STREAM")
        await talk.ask("GETINFO status/bootstrap-phase")
        yield talk
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _hex(file: Path) -> str:
    return file.read_bytes().hex()
