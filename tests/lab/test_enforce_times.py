"""How long a match is remembered and when an action begins, in the kernel's time."""

import time

import pytest

from circumtest.censor.enforce import apply, hits
from circumtest.censor.judge import Censor
from circumtest.censor.policy import Scope
from tests.lab.wire import NEIGHBOURS, SAMPLES, Wire, down, on_a_wire, one_rule, rule, up

HELLO = SAMPLES["stun"]


@pytest.mark.parametrize("scope", [Scope.FLOW, Scope.TRIPLE, Scope.ADDRESS])
def test_a_place_is_forgotten_by_silence_about_it_a_flow_by_its_own(scope: Scope) -> None:
    """What is no match keeps a flow remembered, not a place; both end some time."""
    hold = 0.6

    async def test(it: Wire) -> None:
        await apply(it.censor, one_rule(rule(scope=scope, hold=hold)))
        begun, sent = time.monotonic(), 0
        it.send(up(HELLO, 4))
        while it.arrived.total() == 0 and time.monotonic() < begun + 3 * hold:
            it.send(up(b"data", 4))
            sent += 1
            await it.settle(1, wait=0.02)
        passed = time.monotonic() - begun
        if scope is Scope.FLOW:
            assert it.arrived.total() == 0
            await it.settle(1, wait=2 * hold)
            it.send(up(b"data", 4))
            await it.settle(1)
        else:
            assert 0.9 * hold < passed < 3 * hold
        assert (await hits(it.censor))["it"] == sent + 1 - (scope is not Scope.FLOW)
        assert it.arrived.total() == 1

    on_a_wire(test)


def test_an_address_is_listed_so_long_after_its_first_match() -> None:
    """Two stages: other flows pass until then, none does from then on, and matches do not delay."""
    seconds = 0.5

    async def test(it: Wire) -> None:
        await apply(it.censor, one_rule(rule(scope=Scope.ADDRESS, seconds=seconds, hold=60)))
        begun, sent = time.monotonic(), 0
        while not (await hits(it.censor))["it"]:
            it.send(up(HELLO if sent % 3 == 0 else b"data", 4, 30000 + sent % 50))
            sent += 1
        assert time.monotonic() - begun >= seconds
        dropped = (await hits(it.censor))["it"]
        await it.settle(sent - dropped)
        assert it.arrived.total() == sent - dropped > 1
        it.send(down(b"data", 4, 39999, 1400))
        it.send(up(b"data", 4, host=NEIGHBOURS[4]))
        await it.settle(sent - dropped + 1)
        assert (await hits(it.censor))["it"] == dropped + 1

    on_a_wire(test)


@pytest.mark.parametrize(
    ("seconds", "hold", "times"),
    [
        (0.3, 0.5, (0.0, 0.1, 0.4, 1.1, 1.2, 1.45)),
        (0.6, 0.3, (0.0, 0.4, 0.55, 0.75, 0.9, 1.1)),
    ],
)
def test_a_listing_that_was_forgotten_begins_anew(
    seconds: float, hold: float, times: tuple[float, ...]
) -> None:
    """A first match after the memory's end starts the time again, though the listing was old."""
    it_is = one_rule(rule(scope=Scope.ADDRESS, seconds=seconds, hold=hold))

    async def test(it: Wire) -> None:
        await apply(it.censor, it_is)
        judge, begun, expected = Censor(it_is, 1), time.monotonic(), 0
        for at in times:
            await it.settle(1000, wait=max(0.0, begun + at - time.monotonic()))
            expected += judge.judge(up(HELLO, 4), time.monotonic()).passes
            it.send(up(HELLO, 4))
        await it.settle(expected)
        assert (it.arrived.total(), await hits(it.censor)) == (expected, judge.hits)
        assert 0 < expected < len(times)

    on_a_wire(test)
