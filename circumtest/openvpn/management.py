"""Talking to a running OpenVPN over its management socket (its management-notes.txt).

The daemon connects to us, waits until it is told to go on, asks for the login instead of reading it
from a file, and tells its states and its log.  It refuses to decide whose fault something is: it
remembers what was said.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

from circumtest.openvpn.routing import Option, pushed

_PUSH = "PUSH: Received control message: '"
_KEPT = 60
"""Lines of its log that are kept."""
_ALERT = re.compile(
    r"alert (unknown ca|bad certificate|certificate expired|certificate revoked|certificate unknown"
    r"|certificate required|unsupported certificate|access denied)"
)
"""The alerts of TLS by which a server refuses a certificate (RFC 8446, 6.2)."""
_VERIFY = re.compile(r"VERIFY (?:\w+ )*ERROR|certificate verify failed")


class Refusal(StrEnum):
    """Who refuses whom: what more patience does not mend."""

    LOGIN = "login"
    BROWSER = "browser"
    OURS = "our certificate"
    THEIRS = "the server's certificate"


class Management(asyncio.Protocol):
    """What the daemon told.  `state` is "" before the first; `reason` goes with it.

    `furthest` is how far it came since it was last connected, `options` what the server pushed
    last, `connections` how often it was connected, `alert` the server's word with `Refusal.OURS`.
    """

    def __init__(self, login: tuple[str, str] | None) -> None:
        self.state = self.reason = self.furthest = self.alert = ""
        self.refusal: Refusal | None = None
        self.options: list[Option] = []
        self.connections = 0
        self._login, self._waiting, self._lines = login, b"", deque[str](maxlen=_KEPT)
        self._whole = True
        self._changed = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None

    @property
    def log(self) -> str:
        """What it logged last."""
        return "\n".join(self._lines)

    async def decided(self, servers: int) -> None:
        """Wait until it is connected, or refused in a way that the next server will not mend."""
        final = {Refusal.LOGIN, Refusal.BROWSER}
        while not self.connections and self.refusal not in final:
            if self.refusal and servers == 1:
                return
            await self.changed()

    async def changed(self) -> None:
        """Wait until something new is told."""
        self._changed.clear()
        await self._changed.wait()

    async def connected(self, seen: int) -> int:
        """Wait until it has been connected more than `seen` times; how often by now."""
        while self.connections <= seen:
            await self.changed()
        return self.connections

    def restart(self) -> None:
        """Let it begin anew: another socket, another session."""
        self._say("signal SIGUSR1")

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in lines:
            self.hear(line.decode(errors="replace").rstrip("\r"))

    def hear(self, line: str) -> None:
        """One line of the daemon's."""
        kind, _, rest = line.partition(":")
        if kind == ">HOLD":
            self._say("state on", "log on", "hold off", "hold release")
        elif kind == ">STATE":
            self._new_state(rest.split(","))
        elif kind == ">LOG":
            self._said(rest.split(",", 2)[-1])
        elif kind == ">PASSWORD":
            self._asked(rest)
        elif kind == ">INFOMSG" and rest.startswith(("WEB_AUTH", "OPEN_URL")):
            self.refusal = Refusal.BROWSER
        self._changed.set()

    def _new_state(self, fields: list[str]) -> None:
        # time, state, description, addresses
        self.state, self.reason = [*fields[1:3], "", ""][:2]
        if self.state == "CONNECTED":
            self.refusal, self.furthest, self._whole = None, "", True
            self.connections += 1
        elif self.reason == "auth-failure":
            self.refusal = Refusal.LOGIN
        elif self.state in ("AUTH", "GET_CONFIG"):
            self.furthest = self.state

    def _said(self, text: str) -> None:
        if not text.startswith("MANAGEMENT: "):
            self._lines.append(text)
        if text.startswith(_PUSH):
            # A long one comes in parts: the first after a connection begins anew.
            if self._whole:
                self.options, self._whole = [], False
            self.options += pushed(text.removeprefix(_PUSH).rpartition("'")[0])
        elif text.startswith("VERIFY OK: depth=0"):
            self.furthest = "VERIFIED"
        elif "AUTH_FAILED" in text:
            self.refusal = Refusal.LOGIN
        elif found := _ALERT.search(text):
            self.refusal, self.alert = Refusal.OURS, found[1]
        elif _VERIFY.search(text):
            self.refusal = Refusal.THEIRS

    def _asked(self, rest: str) -> None:
        if rest.startswith("Need 'Auth'") and self._login:
            user, password = map(_escaped, self._login)
            self._say(f'username "Auth" "{user}"', f'password "Auth" "{password}"')
        elif rest.startswith("Verification Failed"):
            self.refusal = Refusal.LOGIN

    def _say(self, *lines: str) -> None:
        if self._transport is not None:
            self._transport.write("".join(f"{line}\n" for line in lines).encode())


@asynccontextmanager
async def managing(socket: Path, login: tuple[str, str] | None) -> AsyncIterator[Management]:
    """Be there, at `socket`, for one daemon that is started meanwhile; `login` is what it may ask.

    The socket's directory must be private: who connects is believed.
    """
    management = Management(login)
    server = await asyncio.get_running_loop().create_unix_server(lambda: management, socket)
    try:
        yield management
    finally:
        server.close()
        management.close()


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace('"', r"\"")
