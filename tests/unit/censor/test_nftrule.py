"""One rule in nft's words: who is asked, and that a question has one answer."""

from ipaddress import ip_network
from typing import Any

import pytest

from circumtest.censor.nftrule import asked, chains
from circumtest.censor.policy import Drop, Rule, Scope, Way
from circumtest.censor.signatures import ALL
from circumtest.model import Transport


def rule(name: str, scope: Scope, **fields: Any) -> Rule:
    """A rule about a protocol."""
    return Rule("it", (ALL[name],), Drop(), scope, **fields)


def test_a_rule_about_one_family_is_not_asked_about_the_other() -> None:
    """Nor is it about the other transport's shapes."""
    near = rule("sip", Scope.PACKET, to=(ip_network("203.0.113.0/24"),))
    assert list(asked(near, Transport.UDP, Way.UP, 6)) == []
    assert list(asked(near, Transport.UDP, Way.UP, 4)) == ["ip daddr @to-it-4 jump shape-it"]
    assert list(asked(near, Transport.UDP, Way.DOWN, 4)) == ["ip saddr @to-it-4 jump shape-it"]


@pytest.mark.parametrize(("scope", "found"), [(Scope.PACKET, "act"), (Scope.FLOW, "learn")])
def test_a_single_shape_is_asked_for_at_once(scope: Scope, found: str) -> None:
    """Behind the port, which is cheaper."""
    (line,) = asked(rule("stun-tcp", scope, ports=((1, 9),)), Transport.TCP, Way.UP, 4)
    assert line.startswith("th dport { 1-9 } @ih,0,2 0x0")
    assert line.endswith(f" jump {found}-it")


@pytest.mark.parametrize("scope", [Scope.TRIPLE, Scope.ADDRESS])
def test_a_place_is_asked_about_as_a_whole(scope: Scope) -> None:
    """A match is noted first, what is noted is acted on: once, however many shapes match."""
    assert list(asked(rule("sip", scope), Transport.TCP, Way.UP, 4)) == ["jump match-it"]
    text = "\n".join(chains(rule("sip", scope)))
    assert text.count("goto learn-it") == 6
    assert "jump note-it" in text


def test_a_flow_that_is_remembered_is_acted_on_before_it_is_looked_at() -> None:
    """Its packets keep it; only a new one is asked what it is."""
    text = "\n".join(chains(rule("sip", Scope.FLOW)))
    match = text[text.index("chain match-it") :]
    assert match.index("@flows-it-4 update @flows-it-4") < match.index("goto shape-it")
