"""A handshake whose target is a name: it is resolved first, over the same path, then called.

It refuses to know what it calls: the stages that follow are the handshake's own, with the addresses
that the name was said to have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from circumtest.errors import HandshakeFailed
from circumtest.ladders import PACES
from circumtest.model import Address, Cause, Level, Role, Stage
from circumtest.names import Mood
from circumtest.resolve import Over, Resolver, resolve
from circumtest.script import Answerer, Handshake, Listen, Script, enter
from circumtest.wire import dns


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a plan wants the name of a handshake's service resolved.

    `outside` is the mood of the provider's resolver, which is asked outside and wherever a tunnel
    names none.
    """

    over: Over
    outside: Mood = Mood.HONEST


@dataclass(frozen=True)
class Named:
    """`handshake` called by `name`, for whose addresses `resolver` is asked.

    It is a handshake itself.  Its target is where the service really is: what else the name is said
    to have is forged.
    """

    handshake: Handshake
    name: str
    resolver: Resolver
    level: Level = Level.QUICK

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (Stage.RESOLVE, *self.handshake.stages)

    @property
    def role(self) -> Role:
        return self.handshake.role

    @property
    def messaging(self) -> str:
        return self.handshake.messaging

    @property
    def app(self) -> str:
        return self.handshake.app

    @property
    def far(self) -> str:
        return self.handshake.far

    @property
    def listen(self) -> Listen:
        return self.handshake.listen

    @property
    def also(self) -> tuple[Listen, ...]:
        return self.handshake.also

    @property
    def opening(self) -> int:
        return self.handshake.opening

    def script(self, target: Sequence[Address], rng: Random) -> Script[None]:
        """Resolve, then call the addresses that were given, in the order in which they were.

        The callee of a relayed call has no name: his address stays.  Raises HandshakeFailed like
        `resolve`, DNS_EMPTY where the name has fewer addresses than the handshake calls.
        """
        yield from enter(Stage.RESOLVE)
        service = target[: self.listen.hosts]
        found = yield from resolve(
            self.resolver,
            self.name,
            service[0].version,
            rng,
            patience=PACES[self.level].patience,
            right=frozenset(address.host for address in service),
        )
        if len(found) < len(service):
            short = f"{len(found)} of {len(service)} addresses"
            raise HandshakeFailed(Cause.DNS_EMPTY, short)
        called = [Address(host, one.port) for host, one in zip(found, service, strict=False)]
        yield from self.handshake.script((*called, *target[len(service) :]), rng)

    def answerer(self) -> Answerer:
        return self.handshake.answerer()


def host_name(handshake: str, version: int) -> str:
    """What the lab calls the service of a handshake, by its name in a plan.

    Under `test.`, which nobody on the Internet has (RFC 6761).  Raises ValueError when the name of
    the handshake cannot be a part of it.
    """
    name = f"{handshake.lower()}.{version}.call.test"
    dns.query(0, name, version)
    return name
