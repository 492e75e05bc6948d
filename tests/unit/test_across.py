"""ICE across a TURN server: what it costs, what it sends, and what keeps it alive meanwhile."""

from collections.abc import Iterable
from random import Random

import pytest

from circumtest import across, ice, srtp, turn
from circumtest.callee import Callee
from circumtest.model import Address, Carrier, Cause, Failure, Record, Stage, Success
from circumtest.relay import Relay, Terms
from circumtest.script import Emit, Flow, Script, enter
from circumtest.simulate import START, simulate
from circumtest.turn import LIBWEBRTC, PLAIN, Caller, Credentials, Dialect
from circumtest.wire import turn as wire

SECRET, REALM = "secret", "example.org"
SERVER, PEER = Address("203.0.113.10", 3478), Address("203.0.113.11", 40100)


class Watched(Relay):
    """A server that writes down the types of what it is asked."""

    def __init__(self, terms: Terms | None = None, secret: str = SECRET) -> None:
        super().__init__(SECRET, REALM, Callee(secret, dtls=False), terms)
        self.asked: list[int] = []

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for message in [data] if data[:1] < b"\x40" and data else []:
            self.asked.append(int.from_bytes(message[:2]))
        return super().receive(flow, data, now)


def call(
    server: Relay,
    dialect: Dialect = LIBWEBRTC,
    carrier: Carrier = Carrier.UDP,
    seconds: float = 1.0,
) -> Record:
    """Allocate, reach the callee, talk."""

    def script() -> Script[None]:
        yield from enter(Stage.ALLOCATE)
        rng = Random(3)
        who = Credentials.given(SECRET, f"{int(START) + 600}:x")
        caller = Caller(who, dialect, rng, carrier, REALM, SECRET)
        allocation = yield from turn.allocate(caller, SERVER, 3.0)
        yield from enter(Stage.CONNECTIVITY)
        name = ice.draw(rng)
        ends = ice.ends(SECRET, name)
        reached = yield from across.reach(allocation, PEER, ends, dialect, rng, 3.0)
        leg = srtp.Leg(reached.session, srtp.signalled(SECRET, name), rng)
        yield from reached.converse(leg, seconds)

    return simulate(script(), {(carrier.transport, SERVER): server})


@pytest.mark.parametrize("carrier", [Carrier.UDP, Carrier.TCP])
@pytest.mark.parametrize("dialect", [LIBWEBRTC, PLAIN])
def test_a_callee_is_reached_and_heard(carrier: Carrier, dialect: Dialect) -> None:
    """Nothing is lost on the way, whatever came while requests were made."""
    record = call(Watched(), dialect, carrier)

    assert record.outcome == Success()
    assert record.media[0].up.lost == record.media[0].down.lost == 0


def test_a_permission_comes_first_and_the_channel_behind_the_checks() -> None:
    """As in a capture of libwebrtc's."""
    server = Watched()
    call(server)
    asked = [one for one in server.asked if one != wire.ALLOCATE]

    assert asked[0] == wire.CREATE_PERMISSION
    assert wire.SEND_INDICATION in asked[1 : asked.index(wire.CHANNEL_BIND)]
    assert wire.SEND_INDICATION not in asked[asked.index(wire.CHANNEL_BIND) :]


def test_consent_and_allocation_outlast_a_long_call() -> None:
    """A lifetime of 20 s is renewed, and checks go on through the channel."""
    server = Watched(Terms(lifetime=20, longest=20))

    assert call(server, seconds=45.0).outcome == Success()
    assert server.asked.count(wire.REFRESH) == 4


def test_a_callee_of_another_secret_is_nobody() -> None:
    """He is silent, and nothing else is told."""
    outcome = call(Watched(secret="another")).outcome

    assert isinstance(outcome, Failure)
    assert (outcome.stage, outcome.cause) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
