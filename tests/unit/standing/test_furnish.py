"""Which web sites a lab has."""

from circumtest.censor.policy import Confidence, Drop, Policy, Rule, Scope
from circumtest.censor.signatures import ALL
from circumtest.standing.furnish import NAMES, names


def test_the_names_that_a_policy_speaks_of_are_served() -> None:
    """A pattern of subdomains stands for one of them; what can be anything, for none."""
    rule = Rule(
        "a",
        (ALL["stun"],),
        Drop(),
        Scope.FLOW,
        names=("t.example", "*.t.example", "a?.example"),
        unless_names=("good.example", "blocked.example", "*"),
    )
    policy = Policy("p", "", (), Confidence.GUESSED, (rule,))
    assert names(policy) == (*NAMES, "t.example", "www.t.example", "good.example")
