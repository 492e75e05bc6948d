"""One's own mirror as services to try: whole calls with sound, each beside the mirror's own echo.

Before every exchange the mirror is greeted over the same path, since it sends more than it got only
to who has shown where he is.  It refuses to show anything of a real service: what a mirror answers
says what is done to such packets, not to that place.
"""

import asyncio
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from circumtest import registry
from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.live.attempts import Attempts, Places, once
from circumtest.live.checked import Tried
from circumtest.live.service import Endpoint, Service, fresh
from circumtest.mirror.client import hello
from circumtest.mirror.fitted import fitted
from circumtest.mirror.inventory import NEUTRAL, Inventory
from circumtest.mirror.token import Token
from circumtest.model import Address, Cause, Failure, Outcome, Stage, Transport
from circumtest.path import Path
from circumtest.play import invalid

PATIENCE = 20.0
"""Seconds that a whole call of level quick may take."""
GREETING = 6.0
"""Seconds for being greeted: a mirror that is there answers at once."""
CALLS = (
    *("whatsapp-call", "telegram-call-udp", "signal-call", "webrtc", "messenger-call"),
    *("telegram-call-turn", "telegram-call-tcp", "discord-voice", "zoom-call", "meet-call", "sip"),
)
"""What is played, the most asked for first: calls to one mirror go one after another."""

_ECHO = "echo"


@dataclass(frozen=True)
class Mirror:
    """A mirror that was asked what it has: its token, its address, and its inventory."""

    token: Token
    host: str
    inventory: Inventory

    @property
    def echo(self) -> Address | None:
        """Where its echo answers over UDP and TCP, None where no port has both."""
        both = [port for port in self.inventory.udp if port in self.inventory.tcp]
        return Address(self.host, both[0]) if both else None

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """The calls that can be played there, in the order in which they ought to be."""
        made = [self._service(kind) for kind in CALLS]
        return tuple(one for one in made if one is not None)

    def places(self) -> Places:
        """Where all of that is."""
        return {
            endpoint: Address(self.host, endpoint.port)
            for service in self.services
            for endpoint in (*service.endpoints, *service.control)
        }

    def _service(self, kind: str) -> Service | None:
        table = {"kind": kind, "level": "quick"}
        built = registry.build(registry.HANDSHAKES, table, "mirror", kind)
        handshake, target = fitted(built, [self.host], self.token.secret)
        listen = handshake.listen
        if not self.inventory.plays(kind, listen.transport, listen.port):
            return None
        call = Endpoint(
            host=self.host,
            port=listen.port,
            kind=kind,
            transport=listen.transport,
            stages=tuple(handshake.stages),
            date=_SINCE,
            source="your own mirror",
            reach=lambda _, rng: handshake.script(target, rng),
        )
        return Service(
            name=kind,
            summary="",
            kind=kind,
            handshake=handshake,
            shows="",
            does_not_show="",
            endpoints=(call,),
            control=(self._neutral(listen.transport, listen.port),),
            spacing=0.0,
        )

    def _neutral(self, transport: Transport, port: int) -> Endpoint:
        """The echo at a port that no call has, where the mirror has one: else at the call's own."""
        there = self.inventory.ports(transport)
        port = next((one for one in NEUTRAL[transport] if one in there), port)
        echo = Echo(transport, port, secret=self.token.secret)
        return Endpoint(
            host=self.host,
            port=port,
            kind=_ECHO,
            transport=transport,
            stages=tuple(echo.stages),
            date=_SINCE,
            source="your own mirror",
            reach=echo.script,
        )


_SINCE = datetime.date(2026, 1, 1)
"""Endpoints have a date; one's own needs none."""


class Calls(Attempts):
    """Calls to one mirror over one path, one after another, each behind a greeting."""

    def __init__(
        self,
        mirror: Mirror,
        path: Path,
        tell: Callable[[Tried], None],
        carried: frozenset[Transport] = frozenset(Transport),
    ) -> None:
        super().__init__(path, mirror.places(), _with_sound(tell), carried)
        self._mirror = mirror

    async def all(self) -> None:
        """Every call that the mirror plays."""
        await self.services(self._mirror.services)

    async def _exchange(self, endpoint: Endpoint, place: Address) -> Outcome:
        carried = [one for one in Transport if one in self._carried]
        try:
            async with asyncio.timeout(GREETING):
                await hello(
                    self._path,
                    self._mirror.token,
                    endpoint.transport if endpoint.transport in carried else carried[0],
                    endpoint.port,
                    host=place.host,
                )
        except HandshakeFailed as failed:
            return Failure(Stage.CONNECTIVITY, failed.cause, failed.detail)
        except TunnelDown as down:
            return invalid(down)
        except TimeoutError:
            return Failure(Stage.CONNECTIVITY, Cause.TIMEOUT, "the mirror did not greet")
        return await once(
            self._path, endpoint.reach((place,), fresh()), endpoint.stages[0], PATIENCE
        )


def _with_sound(tell: Callable[[Tried], None]) -> Callable[[Tried], None]:
    return lambda tried: tell(replace(tried, sound=True))


async def greeted(path: Path, token: Token, host: str) -> Mirror:
    """Ask a mirror what it has, over UDP, or TCP where that fails.

    Raises HandshakeFailed for what the network did, TunnelDown where the path is at fault.
    """
    trouble: HandshakeFailed | None = None
    for transport in (one for one in Transport if one in path.transports):
        try:
            async with asyncio.timeout(GREETING):
                return Mirror(token, host, await hello(path, token, transport, host=host))
        except HandshakeFailed as failed:
            trouble = trouble or failed
        except TimeoutError:
            trouble = trouble or HandshakeFailed(Cause.TIMEOUT, "the mirror did not greet")
    raise trouble or HandshakeFailed(Cause.TIMEOUT, "the path carries nothing")
