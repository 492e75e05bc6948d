"""Reading policies: the shipped ones load, and a bad one is refused by file, rule and key."""

from pathlib import Path

import pytest

from circumtest import configs
from circumtest.censor.load import policy
from circumtest.censor.policy import Conditions, Drop, Lose, Reject, Scope, Way
from circumtest.errors import ConfigError

HEAD = 'summary = "s"\nconfidence = "guessed"\nevidence = []\n'
RULE = '[[rule]]\nid = "r"\nmatch = ["stun"]\nscope = "packet"\naction = { do = "drop" }\n'


@pytest.mark.parametrize("name", configs.names("policies"))
def test_every_shipped_policy_loads_and_says_what_it_models(name: str) -> None:
    """Each has a summary and, unless it does nothing, evidence; and a section in docs."""
    it = policy(name)
    assert it.name == name
    assert it.summary
    assert it.evidence or not it.rules
    assert f"## {name}\n" in (Path(__file__).parents[3] / "docs/policies.md").read_text()


def test_the_policies_are_those_that_are_documented() -> None:
    """The issue's four, with their rules in order; an included policy's rules come first."""
    assert [rule.id for rule in policy("calls-and-wireguard").rules] == [
        "whatsapp-call",
        "telegram-turn",
        "telegram-reflector",
        "wireguard-initiation",
    ]
    assert policy("open").rules == ()
    assert {rule.action for rule in policy("ru-calls-2025-08").rules} == {Lose(0.6)}
    assert {rule.after for rule in policy("ru-calls-2025-08").rules} == {25}
    assert {rule.action for rule in policy("ru-calls-2025-09").rules} == {Drop()}


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    """A path is a policy too, called by the file's name."""
    own = tmp_path / "mine.toml"
    own.write_text(HEAD + 'include = ["ru-calls-2025-09"]\n' + RULE)
    it = policy(str(own))
    assert it.name == "mine"
    assert it.rules[-1].scope is Scope.PACKET
    assert len(it.rules) == 4


def test_a_rule_may_name_everything_one_way_and_a_time(tmp_path: Path) -> None:
    """What tests of bad networks are made of is written like any other rule."""
    own = tmp_path / "mine.toml"
    own.write_text(HEAD + RULE.replace("stun", "any") + 'seconds = 22\ndirection = "down"\n')
    (rule,) = policy(str(own)).rules
    assert (rule.match[0].name, rule.seconds, rule.direction) == ("any", 22.0, Way.DOWN)


def test_a_rule_may_be_narrowed_and_its_memory_made_longer(tmp_path: Path) -> None:
    """By places and names, by what spares a flow, by how many there are."""
    own = tmp_path / "mine.toml"
    own.write_text(
        HEAD
        + """
network = [{ delay = 0.04, loss = 0.025 }]
[[rule]]
id = "r"
match = ["any"]
scope = "triple"
hold = 600
action = { do = "reject", admin = true }
to = ["exit", "192.0.2.0/24"]
ports = [443, "596-599"]
names = ["*.example"]
ja4 = ["t13d*"]
unless = ["stun"]
first = 1
concurrent = 8
chance = 0.26
after_bytes = 16384
"""
    )
    it = policy(str(own))
    (rule,) = it.rules
    assert it.network == (Conditions(delay=0.04, loss=0.025),)
    assert [str(prefix) for prefix in rule.to][-1] == "192.0.2.0/24"
    assert len(rule.to) == 3
    assert rule.ports == ((443, 443), (596, 599))
    assert (rule.names, rule.ja4, rule.unless[0].name) == (("*.example",), ("t13d*",), "stun")
    assert (rule.first, rule.concurrent, rule.chance) == (1, 8, 0.26)
    assert (rule.after_bytes, rule.hold, rule.action) == (16384, 600.0, Reject(admin=True))
    assert not rule.simple


BAD = {
    HEAD + RULE + "hold = 121": ("key `hold`", "up to 120"),
    HEAD + RULE + "seconds = 119.5": ("key `seconds`", "0 to 119"),
    HEAD + RULE + "ports = [0]": ("key `ports`", "596-599"),
    HEAD + RULE + 'ports = ["9-1"]': ("key `ports`", "596-599"),
    HEAD + RULE + 'to = ["here"]': ("key `to`", "services, exit"),
    HEAD + RULE + "chance = 0": ("[[rule]] 1", "chance"),
    HEAD + RULE + "first = 33": ("[[rule]] 1", "first"),
    HEAD + RULE + 'unless = ["stn"]': ("key `unless`", "did you mean 'stun'"),
    HEAD + RULE.replace('"drop"', '"reset"'): ("key `action`", "by ICMP"),
    "sumary = 1": ("key `sumary`", "did you mean 'summary'"),
    HEAD + RULE.replace("stun", "stn"): ("[[rule]] 1, key `match`", "did you mean 'stun'"),
    HEAD + RULE + "probability = 1\n": ("[[rule]] 1, key `probability`", "known: action"),
    HEAD + RULE + RULE: ("", "two rules called 'r'"),
    HEAD + RULE.replace("drop", "dorp"): ("[[rule]] 1, key `action.do`", "dorp"),
    HEAD + RULE.replace('"drop"', '"lose"'): ("[[rule]] 1, key `action`", "probability"),
    HEAD + RULE.replace('"drop"', '"lose", probability = 2'): ("key `action`", "0.001 to 0.999"),
    HEAD + RULE.replace('"drop"', '"drop", p = 2'): ("[[rule]] 1, key `action`", "`p`"),
    HEAD + RULE.replace("packet", "host"): ("[[rule]] 1, key `scope`", "host"),
    HEAD + RULE + "after = -1\n": ("[[rule]] 1, key `after`", "less than 0"),
    HEAD + RULE + "seconds = 120\n": ("[[rule]] 1, key `seconds`", "0 to 119"),
    HEAD + RULE + "seconds = 0.00001\n": ("[[rule]] 1, key `seconds`", "steps of 0.001"),
    HEAD + RULE + 'direction = "left"\n': ("[[rule]] 1, key `direction`", "left"),
    HEAD + RULE + 'after = "x"\n': ("[[rule]] 1, key `after`", "int"),
    HEAD + RULE.replace('"r"', '"Bad id"'): ("[[rule]] 1, key `id`", "Bad id"),
    HEAD + RULE.replace('["stun"]', "[]"): ("[[rule]] 1, key `match`", "known: "),
    HEAD + 'include = ["opne"]': ("key `include`", "did you mean 'open'"),
    HEAD.replace("guessed", "sure"): ("key `confidence`", "sure"),
    HEAD + "rule = 3": ("key `rule`", "array"),
    HEAD + "network = [{ loss = 1.5 }]": ("key `network", "0 to 1"),
    HEAD + "network = [{ delay = -1 }]": ("key `network", "0 to 10 seconds"),
    HEAD + "network = [{ rate = 10 }]": ("key `network", "1000 bytes"),
    HEAD + "network = [{ lag = 1 }]": ("key `network", "lag"),
    HEAD + 'network = [{ link = "moon" }]': ("[[network]]", "known: client, services, exit"),
    HEAD + "network = [{ loss = 0.1 }, { delay = 1 }]": ("[[network]]", "twice"),
    HEAD + "network = [{ mtu = 576 }]": ("[[network]]", "1280 to 1500"),
    "confidence": ("", "is not TOML"),
    'confidence = "guessed"\nevidence = []': ("", "summary"),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_policy_is_refused_by_file_rule_and_key(text: str, tmp_path: Path) -> None:
    """One message with where to look and what would be right."""
    own = tmp_path / "bad.toml"
    own.write_text(text)
    with pytest.raises(ConfigError) as refused:
        policy(str(own))
    place, words = BAD[text]
    assert refused.value.where == str(own)
    assert place in refused.value.place
    assert words in str(refused.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are a ConfigError, not a traceback."""
    own = tmp_path / "bad.toml"
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        policy(str(own))
