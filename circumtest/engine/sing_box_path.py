"""What a running sing-box carries, and what it means when it does not.

It answers SOCKS once its server has let it in, before the target is asked: whatever it refuses is
then the server's doing, and never the target's refusal.  Why, it says in its log only, right after
it has refused.  It refuses to start anything: that is `sing_box`'s.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from circumtest.errors import TunnelDown
from circumtest.inside import binary
from circumtest.localproxy import LocalPath
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.path import Conn, Sink
from circumtest.process import Daemon
from circumtest.scrub import scrub

OUT = "out"
"""The tag of the outbound, or endpoint, that everything goes through."""
LAST_WORDS = 0.3
"""Seconds that its log may come after its refusal (it takes well under one millisecond)."""

Reading = Callable[[str], Exception | None]
"""From why it refused, "" when it did not say, to whose doing that is: a TunnelDown, an OSError
of the target, or None for what SOCKS itself says."""

_POLL = 0.005
_ASKED = re.compile(r"\[(\d+) [^\]]*\] inbound/\S+ (?:\[\w+\] )?inbound (?:packet )?connection to ")
_REASONS = re.compile(
    r"^\w+\[\d+\] \[(\d+) [^\]]*\] connection: (?:"
    rf"(?:open connection to \S+|listen packet connection using \S*) using \S+\[{OUT}\]: (.*)"
    r"|packet (?:up|down)load closed: (.*)"
    # Of a stream only these: other ends of it may be the target's.
    r"|connection (?:up|down)load closed: ((?!remote).*no recent network activity.*)"
    r"|connection (?:up|down)load closed: (sendmsg: .*))\n",
    re.MULTILINE,
)
_CHATTER = re.compile(
    r"^(?:INFO|DEBUG|TRACE).*(?:inbound (?:packet )?connection|outbound (?:UoT )?(?:packet )?conn"
    r"|connection closed: EOF|load (?:closed|finished)\n|routine:|router: match).*\n?",
    re.MULTILINE,
)
_CHANGED = re.compile(r"network: updated (?:default interface|network environment)")
_MEANS = (
    (
        ("authentication failed",),
        TunnelFault.AUTH,
        "the server does not let us in: it does not know the password, or is no such server",
    ),
    (
        ("hmac mismatch",),
        TunnelFault.AUTH,
        "the server answers like the site that it hides behind: it does not know the password, or"
        " is no such server",
    ),
    (
        ("certificate", "x509"),
        TunnelFault.HANDSHAKE,
        "the server's certificate is not accepted",
    ),
    (("connection refused",), TunnelFault.HANDSHAKE, "nothing listens at the server's port"),
    (
        ("timeout", "timed out", "deadline exceeded", "no recent network activity"),
        TunnelFault.HANDSHAKE,
        "the server does not answer: it is down, unreachable or blocked",
    ),
    (
        ("reset by peer", "EOF", "closed"),
        TunnelFault.HANDSHAKE,
        "the server hangs up: it does not know us, or what is in between cuts the connection",
    ),
)
_LOST = (
    "sing-box has no server to carry it: it is down, unreachable or blocked, or does not know us"
)


def reason(words: str) -> str:
    """Why it last refused one of the channels that are asked for in `words`, or ended its
    association; "" when it has done nothing of the kind."""
    asked = set(_ASKED.findall(words))
    found = ["".join(why) for number, *why in _REASONS.findall(words) if number in asked]
    return found[-1] if found else ""


def of_server(why: str) -> TunnelDown:
    """A refusal as the doing of a server that had to let us in first."""
    for signs, fault, detail in _MEANS:
        if any(sign in why for sign in signs):
            said = why.rpartition("x509: ")[2] if "x509: " in why else ""
            return TunnelDown(fault, f"{detail}: {said}" if said else detail)
    return TunnelDown(
        TunnelFault.HANDSHAKE, f"sing-box does not reach its server: {why}" if why else _LOST
    )


class SingBoxPath:
    """Channels through it.  `dns` are the resolvers that its configuration names.

    What is remembered for `fault` lasts until the next `open` that finds no channel open.
    """

    mtu = None
    silence = TunnelFault.HANDSHAKE

    def __init__(
        self, local: LocalPath, hidden: Iterable[str], reading: Reading, dns: tuple[str, ...] = ()
    ) -> None:
        self._local, self._hidden, self._reading = local, tuple(hidden), reading
        self.name, self.transports, self.dns = local.name, local.transports, dns
        self._heard = 0
        self._channels: set[_Channel] = set()

    @property
    def process(self) -> Daemon:
        return self._local.process

    @property
    def exits(self) -> frozenset[str]:
        return self._local.exits

    @property
    def words(self) -> str:
        return scrub(_CHATTER.sub("", self.process.log), self._hidden)

    async def open(self, transport: Transport, remote: Address, sink: Sink, timeout: float) -> Conn:
        """A channel through its server.

        Raises TunnelDown for what the server or sing-box did, OSError only where `reading` knows it
        to be the target's word.
        """
        if not self._channels:
            self._heard = self.process.written
        channel = _Channel(sink, self._last_words, self._channels.discard)
        through = channel if transport is Transport.UDP else sink
        try:
            channel.conn = await self._local.open(transport, remote, through, timeout)
        except (OSError, TunnelDown) as error:
            if not isinstance(error, TimeoutError):
                await self._last_words()
            if not self.process.alive:
                raise binary(self.process.post_mortem(), self._hidden) from None
            read = self._reading(self._reason()) or error
            raise self._finished(read) if isinstance(read, TunnelDown) else read from None
        self._channels.add(channel)
        return channel

    def fault(self) -> TunnelDown | None:
        """BINARY when it ended, else what it said, or did, since the first channel was opened."""
        if not self.process.alive:
            return binary(self.process.post_mortem(), self._hidden)
        known = self._local.fault()
        ended = known is not None and known.fault is TunnelFault.NO_DATA
        why = self._reason()
        if self._changed():  # whatever else it says then, follows from that
            detail = "sing-box saw the network around it change, and dropped its connections"
            known = TunnelDown(TunnelFault.NO_DATA, detail)
        elif why or ended:  # its associations end only when what they lead to has
            read = self._reading(why)
            known = read if isinstance(read, TunnelDown) else known
        return self._finished(known) if known is not None else None

    def _finished(self, down: TunnelDown) -> TunnelDown:
        detail = scrub(down.detail, self._hidden)
        return TunnelDown(down.fault, detail, down.evidence or self.words)

    def _reason(self) -> str:
        return reason(self.process.since(self._heard))

    def _changed(self) -> bool:
        return bool(_CHANGED.search(self.process.since(self._heard)))

    def _told(self) -> bool:
        return not self.process.alive or bool(self._reason()) or self._changed()

    async def _last_words(self) -> None:
        """Wait until it has said why, not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                while not self._told():  # noqa: ASYNC110  # a log has no event
                    await asyncio.sleep(_POLL)


class _Channel:
    """A channel; where it is an association, its end is passed on when sing-box has said why."""

    def __init__(
        self,
        sink: Sink,
        last_words: Callable[[], Awaitable[None]],
        closed: Callable[["_Channel"], None],
    ) -> None:
        self.conn: Conn | None = None
        self._sink, self._last_words, self._closed = sink, last_words, closed
        self._ending: asyncio.Task[None] | None = None

    def __call__(self, data: bytes | Cause, source: Address) -> None:
        if data is Cause.EOF:
            self._ending = asyncio.get_running_loop().create_task(self._end(source))
        else:
            self._sink(data, source)

    def send(self, data: bytes, remote: Address) -> None:
        if self.conn is not None:
            self.conn.send(data, remote)

    def close(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self.conn is not None:
            self.conn.close()
        self._closed(self)

    async def _end(self, source: Address) -> None:
        await self._last_words()
        self._sink(Cause.EOF, source)
