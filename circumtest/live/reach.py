"""Asking beyond a tunnel by datagrams: what others see of us, and whether a stranger answered.

Answers are authentic (an echo by its secret, STUN by its transaction), so one that comes from
another address than was asked is known for what it is.  It refuses to judge what silence means.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.ladders import exchange
from circumtest.live import nat
from circumtest.live.asking import ask
from circumtest.model import Address, Cause, Failure, Invalid, Transport
from circumtest.path import Path
from circumtest.script import Arrival, Script, Send, open_udp
from circumtest.wire import echo, stun

SENDS = (0.0, 0.5, 1.2)
PATIENCE = 3.0
"""Seconds for an answer."""
_SIZE = 64
_PORTS = 3
ASKED = "example.com"
"""A name that says nothing of who asks for it."""


@dataclass(frozen=True)
class Far:
    """Who answers beyond the tunnel.

    `echo` is a mirror's neutral echo, over UDP and TCP at one port, under `secret`, and `ports` are
    others of its host where it answers datagrams; `stun` are STUN servers, `tls` neutral servers
    with their names, `name` what a tunnel's resolver is asked for.
    """

    echo: Address | None = None
    secret: str = ""
    stun: tuple[Address, ...] = ()
    name: str = ASKED
    tls: tuple[tuple[Address, str], ...] = ()
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reach:
    """What came of asking by datagrams: the address that was seen, or that a stranger answered.

    `down` is the path's own word where it has one.
    """

    seen: Address | None = None
    stranger: bool = False
    down: TunnelDown | None = None
    cause: str = ""


async def datagram(path: Path, far: Far, rng: Random) -> Reach:
    """Ask the echo, or else all STUN servers; a stranger's answer only where no other came."""
    if Transport.UDP not in path.transports:
        return Reach(cause="it cannot carry datagrams at all")
    told = await ask(path, _anyone(far, rng))
    if isinstance(told, Invalid):
        fault = told.fault or path.silence
        return Reach(down=TunnelDown(fault, told.detail, told.evidence))
    if isinstance(told, Failure):
        return Reach(down=path.fault(), cause=told.detail or str(told.cause))
    return told


def _anyone(far: Far, rng: Random) -> Script[Reach]:
    """Ask everybody by datagrams; the first answer of one who was asked, whoever it comes from."""
    places = [far.echo] if far.echo else list(far.stun)
    if not places:
        raise HandshakeFailed(Cause.TIMEOUT, "nobody to ask by datagrams was named")
    channel = yield from open_udp(places[0])
    alike = [one for one in places if one.version == places[0].version]
    asked = [_Asked(one, far, rng, is_echo=one == far.echo) for one in alike]
    strangers: list[Address] = []

    def heard(arrival: Arrival) -> Reach | None:
        for one in asked:
            seen = None if isinstance(arrival.data, Cause) else one.seen(arrival.data)
            if seen is not None and arrival.source == one.place:
                return Reach(seen)
            strangers.extend(() if seen is None else (seen,))
        return None

    def say() -> Iterable[Send]:
        return (Send(channel, one.request, one.place) for one in asked)

    try:
        return (yield from exchange(say, heard, SENDS, PATIENCE))
    except HandshakeFailed:
        if strangers:
            return Reach(strangers[0], stranger=True)
        raise


class _Asked:
    """One who is asked for the address that he sees: an echo by its secret, or a STUN server."""

    def __init__(self, place: Address, far: Far, rng: Random, *, is_echo: bool) -> None:
        self.place, self._secret = place, far.secret.encode()
        self._is_echo, self._tid = is_echo, rng.randbytes(12)
        binding = stun.pack(stun.Message(stun.BINDING, self._tid))
        sealed = echo.request(rng.randbytes(8), _SIZE, self._secret)
        self.request = sealed if self._is_echo else binding

    def seen(self, data: bytes) -> Address | None:
        """The address in an answer to us, None for anything else, whatever the bytes."""
        if not self._is_echo:
            return None if (answer := nat.parse(data, self._tid)) is None else answer.mapped
        try:
            told = echo.parse_answer(data, self.request, self._secret)
        except ValueError:
            return None
        return None if told is None else Address(*told)


def mapped_by_port(far: Far, rng: Random) -> Script[dict[Address, Address]]:
    """By port of the mirror that was asked from one socket, the address that it saw.

    Raises HandshakeFailed when not all of those that were asked (three at most) have answered.
    """
    assert far.echo is not None
    ports = list(dict.fromkeys((far.echo.port, *far.ports)))[:_PORTS]
    channel = yield from open_udp(far.echo)
    asked = [_Asked(far.echo._replace(port=port), far, rng, is_echo=True) for port in ports]
    seen: dict[Address, Address] = {}

    def say() -> Iterable[Send]:
        return (Send(channel, one.request, one.place) for one in asked if one.place not in seen)

    def heard(arrival: Arrival) -> dict[Address, Address] | None:
        for one in asked:
            found = None if isinstance(arrival.data, Cause) else one.seen(arrival.data)
            if found is not None and arrival.source == one.place:
                seen[one.place] = found
        return seen if len(seen) == len(asked) else None

    return (yield from exchange(say, heard, SENDS, PATIENCE))
