"""Whose turn it is: a pure function of seed and block, and everybody's in time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.service import Endpoint, fresh, in_turn, turn
from circumtest.live.targets import load
from circumtest.model import Address, Stage, Transport
from circumtest.script import Script, enter

SEEDS = st.integers(min_value=0, max_value=2**63)


def _nothing(_target: object, _rng: object) -> Script[None]:
    yield from enter(Stage.BINDING)


def endpoint(host: str, port: int = 3478) -> Endpoint:
    """One of many."""
    stages = (Stage.BINDING,)
    since = date(2026, 11, 25)
    return Endpoint(host, port, "stun-binding", Transport.UDP, stages, since, "a test", _nothing)


@given(SEEDS, st.integers(min_value=3, max_value=40), st.integers(min_value=0, max_value=500))
def test_all_get_their_turn_in_as_many_blocks_as_there_are(
    seed: int, count: int, first: int
) -> None:
    """Whichever block one begins with; and asked again, the answer is the same."""
    endpoints = [endpoint(f"192.0.2.{number}") for number in range(count)]
    turns = [turn(endpoints, f"{seed}", block) for block in range(first, first + count)]

    assert Counter(turns) == Counter(endpoints)
    assert turns == [turn(endpoints, f"{seed}", block) for block in range(first, first + count)]
    assert all(one != then for one, then in pairwise(turns))


@given(SEEDS)
def test_the_control_has_the_transport_of_its_block_and_a_turn_of_its_own(seed: int) -> None:
    """Of a service over UDP and TCP: every control of a transport comes in time."""
    service = load("signal-turn")
    seen = set()
    for block in range(60):
        neutral = service.neutral(seed, block)
        assert neutral.transport is service.endpoint(seed, block).transport
        seen.add(neutral)

    assert len(seen) >= 3


def test_another_seed_is_another_order() -> None:
    """So not everybody asks the same server first."""
    service = load("whatsapp")

    assert len({service.endpoint(seed, 0) for seed in range(20)}) > 5


def test_an_endpoint_knows_whether_it_is_an_address() -> None:
    """And is written as one would type it."""
    assert endpoint("192.0.2.1").address == Address("192.0.2.1", 3478)
    assert endpoint("2001:DB8::0001").address == Address("2001:db8::1", 3478)
    assert endpoint("a.example.org").address is None
    assert str(endpoint("2001:db8::1")) == "[2001:db8::1]:3478/udp"
    assert str(endpoint("a.example.org", 443)) == "a.example.org:443/udp"


def test_what_a_watch_has_to_know_is_told() -> None:
    """All hosts, the control's too."""
    service = load("stun")

    assert {"stun.l.google.com", "pool.ntp.org"} <= service.hosts
    assert service.app == "stun"
    assert service.transport is Transport.UDP


def test_an_exchange_goes_to_one_after_another_and_says_nothing_twice() -> None:
    """One that is down decides nothing; whoever repeats himself is told apart by some."""
    asked: list[tuple[Address, int]] = []

    def note(target: Sequence[Address], rng: Random) -> Script[None]:
        asked.append((target[0], rng.getrandbits(64)))
        return _nothing(target, rng)

    several = [replace(endpoint(f"192.0.2.{number}"), reach=note) for number in range(3)]
    exchange = in_turn(several, lambda one: Address(one.host, one.port))
    for _ in range(6):
        exchange()

    assert [at.host for at, _ in asked] == [one.host for one in several] * 2
    assert len({said for _, said in asked}) == 6
    assert fresh().getrandbits(64) != fresh().getrandbits(64)
