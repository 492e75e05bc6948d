"""A rule in a few words says what narrows it and what it does."""

from ipaddress import ip_network

import pytest

from circumtest import configs
from circumtest.censor.load import policy
from circumtest.censor.policy import (
    Action,
    Conditions,
    Delay,
    Drop,
    Lose,
    Poison,
    Police,
    Reject,
    Reset,
    Rule,
    Scope,
    Way,
)
from circumtest.censor.signatures import ALL
from circumtest.censor.words import done, matched, of_action, of_conditions

STUN = (ALL["stun"],)


def test_a_plain_rule_is_told_in_two_words() -> None:
    """Nothing that it does not say."""
    rule = Rule("a", STUN, Drop(), Scope.PACKET)
    assert (matched(rule), done(rule)) == ("stun", "drop")


def test_everything_that_narrows_a_rule_is_told() -> None:
    """Of long lists the first items, and how many more there are."""
    rule = Rule(
        "a",
        (ALL["stun"], ALL["sip"]),
        Drop(),
        Scope.FLOW,
        to=(ip_network("192.0.2.0/24"),),
        ports=((443, 443), (596, 599)),
        names=("a.example", "b.example", "c.example", "d.example", "e.example"),
        ja4=("t13d*",),
        unless=STUN,
        unless_names=("good.example",),
        first=3,
        concurrent=2,
        chance=0.25,
    )
    assert matched(rule) == (
        "stun or sip for a.example, b.example, c.example, 2 more JA4 t13d* to 192.0.2.0/24"
        " port 443, 596-599 in the first 3 packets more than 2 at once 25% of flows"
        " unless stun, good.example"
    )


def test_when_and_what_a_rule_acts_on_is_told() -> None:
    """Counts, seconds, direction, and how long a place is remembered."""
    rule = Rule("a", STUN, Drop(), Scope.FLOW, after=25, seconds=2.5, direction=Way.DOWN)
    assert done(rule) == "drop, towards the client, the whole flow, after 25 packets and 2.5 s"
    rule = Rule("a", STUN, Drop(), Scope.ADDRESS, after_bytes=9, direction=Way.UP, hold=600.0)
    assert done(rule) == "drop, from the client, the server's address (600 s), after 9 bytes"
    rule = Rule("a", STUN, Drop(), Scope.TRIPLE)
    assert done(rule) == "drop, client, server and port (120 s)"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Lose(0.6), "lose 60.0% of packets"),
        (Reset(), "reset"),
        (Reject(), "reject"),
        (Reject(admin=True), "reject (prohibited)"),
        (Police(16250), "at most 16250 bytes/s"),
        (Delay(0.2), "delay by 0.2 s"),
        (Poison(), "poison (no such name)"),
        (Poison("192.0.2.1"), "poison with 192.0.2.1"),
    ],
)
def test_every_action_has_words(action: Action, words: str) -> None:
    """With what it needs to be understood."""
    assert of_action(action) == words


def test_a_link_is_told_by_what_it_does() -> None:
    """And one that does nothing says so."""
    asked = Conditions(delay=0.08, jitter=0.005, loss=0.05, reorder=0.01, rate=9000, mtu=1280)
    assert of_conditions(asked) == (
        "client link: 80 ms, ± 5 ms, 5.0% lost, 1.0% overtaking, 9000 bytes/s, MTU 1280"
    )
    assert of_conditions(Conditions("exit")) == "exit link: as it is"


@pytest.mark.parametrize("name", configs.names("policies"))
def test_every_shipped_rule_has_words(name: str) -> None:
    """Short enough for a table."""
    for rule in policy(name).rules:
        assert 0 < len(matched(rule)) < 300
        assert 0 < len(done(rule)) < 200
