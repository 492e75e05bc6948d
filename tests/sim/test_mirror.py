"""Every handshake at a mirror in virtual time: who knows its token, and who does not."""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from circumtest.mirror import rooms
from circumtest.mirror.fitted import fitted
from circumtest.mirror.front import Front
from circumtest.mirror.guard import Guard
from circumtest.mirror.hello import Greeter, hello
from circumtest.mirror.inventory import VERSION, Inventory
from circumtest.model import Address, Success, Transport
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import simulate

SECRET, OTHER = "a" * 32, "b" * 32
HOST = "203.0.113.7"
PARTS = rooms.parts(SECRET)


class Door:
    """A front whose streams are accepted as they come, as a socket does it."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._known: set[Flow] = set()
        self.timer, self.tick = front.timer, front.tick

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.TCP and flow not in self._known:
            self._known.add(flow)
            assert self._front.opened(flow, now)
        if not data:
            self._known.discard(flow)
        return self._front.receive(flow, data, now)


class Mirror:
    """A mirror at one address, as `simulate` wants it."""

    def __init__(self) -> None:
        self.guard = Guard()
        ports = rooms.ports(PARTS)
        inventory = Inventory(
            VERSION,
            "0",
            rooms.offers(PARTS),
            ports[Transport.UDP],
            ports[Transport.TCP],
            (HOST,),
        )
        greeter = Greeter(SECRET, inventory, b"key", self.guard.prove)
        front = Front(self.guard, greeter, rooms.rooms(PARTS, SECRET, self.guard.knows))
        door: Answerer = Door(front)
        self.services = {
            (way, Address(HOST, port)): door for way in Transport for port in ports[way]
        }

    def hello(self, secret: str = SECRET, transport: Transport = Transport.UDP) -> Any:
        """What the mirror says of itself, None where it says nothing."""
        told: list[Inventory] = []
        port = 3478 if transport is Transport.UDP else 443
        script = hello(Address(HOST, port), transport, secret, Random(1), told.append)
        simulate(script, self.services)
        return told[0] if told else None


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind}")
def test_every_handshake_succeeds_at_a_mirror_with_one_address(part: rooms.Part) -> None:
    """With sound, to the end, as soon as its host has said hello."""
    mirror = Mirror()
    assert mirror.hello() is not None
    handshake, target = fitted(part.handshake, (HOST,), SECRET)

    record = simulate(handshake.script(target, Random(5)), mirror.services)

    assert record.outcome == Success()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind}")
def test_nobody_without_the_token_is_answered_a_byte(part: rooms.Part) -> None:
    """Neither before nor after his host said hello."""
    mirror = Mirror()
    assert mirror.hello() is not None
    before = mirror.guard.counts["packets sent"]
    for secret in ("", OTHER):
        handshake, target = fitted(part.handshake, (HOST,), secret or "circumtest lab")
        record = simulate(handshake.script(target, Random(5)), mirror.services)
        if part.kind != "signal-message" and "tls" not in repr(part.handshake):
            assert record.outcome != Success()
            assert mirror.guard.counts["packets sent"] == before


@pytest.mark.parametrize("transport", list(Transport))
def test_hello_tells_what_there_is_to_who_knows_the_token(transport: Transport) -> None:
    """Over UDP and over TCP; others hear nothing."""
    told = Mirror().hello(transport=transport)

    assert told.plays("whatsapp-call", Transport.UDP, 3478)
    assert told.exit.host
    assert Mirror().hello(OTHER, transport) is None
