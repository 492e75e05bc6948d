"""Marks and the kernel's text: which packets visit, what becomes of them, that nobody slips by."""

from dataclasses import replace
from ipaddress import ip_network
from itertools import product

import pytest

from circumtest.censor import nft
from circumtest.censor.middlebox import handover
from circumtest.censor.middlebox.handover import VISIT, Marks
from circumtest.censor.packet import Verdict
from circumtest.censor.policy import Confidence, Drop, Policy, Reset, Rule, Scope
from circumtest.censor.signatures import ALL

RULE = Rule("reset", (ALL["stun-tcp"],), Reset(), Scope.FLOW)
OTHER = replace(RULE, id="other", match=(ALL["any"],))


def visits(rule: Rule) -> list[str]:
    """The conditions under which a packet visits the middlebox."""
    text = handover.ruleset([rule], queue=False)
    end = f" meta mark set {VISIT:#x} return"
    return [line.strip().removesuffix(end) for line in text.splitlines() if line.endswith(end)]


def test_every_verdict_has_a_mark_of_its_own() -> None:
    """What becomes of it, by which rule, whether for good; and none of them visits again."""
    marks = Marks([RULE, OTHER])
    verdicts = [
        Verdict(passes=passes, rule=rule, settled=settled)
        for passes, rule, settled in product((True, False), ("", "reset", "other"), (True, False))
        if passes or rule
    ]
    numbers = [marks.of(verdict) for verdict in verdicts]

    assert len(set(numbers)) == len(numbers)
    assert all(number < VISIT for number in numbers)
    assert marks.of(Verdict.PASS) == 0


def test_a_drop_without_a_rule_is_a_mistake() -> None:
    """Nobody could tell whose doing it was, nor count it."""
    with pytest.raises(KeyError):
        Marks([RULE]).of(Verdict.DROP)


def test_every_mark_of_a_rule_is_carried_out_and_counted() -> None:
    """Dropped or passed, for once or for good, at one counter."""
    marks, text = Marks([RULE, OTHER]), handover.ruleset([RULE, OTHER], queue=True)

    for passes, word in ((True, "accept"), (False, "drop")):
        for settled in (True, False):
            mark = marks.of(Verdict(passes=passes, rule="other", settled=settled))
            assert f"meta mark {mark:#x} counter name hits-other {word}\n" in text


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            RULE,
            ['iifname "client" meta l4proto { tcp }', 'iifname "backbone" meta l4proto { tcp }'],
        ),
        (
            replace(OTHER, ports=((53, 53), (1000, 1400))),
            [
                'iifname "client" meta l4proto { tcp, udp } th dport 53-53',
                'iifname "client" meta l4proto { tcp, udp } th dport 1000-1400',
                'iifname "backbone" meta l4proto { tcp, udp } th sport 53-53',
                'iifname "backbone" meta l4proto { tcp, udp } th sport 1000-1400',
            ],
        ),
        (
            replace(
                RULE,
                to=tuple(map(ip_network, ("192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32"))),
                scope=Scope.ADDRESS,
                ports=((443, 443),),
            ),
            [
                'iifname "client" meta l4proto { tcp, udp } ip daddr { 192.0.2.0/24 }',
                'iifname "client" meta l4proto { tcp, udp } ip6 daddr { 2001:db8::/32 }',
                'iifname "backbone" meta l4proto { tcp, udp } ip saddr { 192.0.2.0/24 }',
                'iifname "backbone" meta l4proto { tcp, udp } ip6 saddr { 2001:db8::/32 }',
            ],
        ),
    ],
)
def test_only_what_a_rule_could_be_about_visits(rule: Rule, expected: list[str]) -> None:
    """By transport, the server's port and address; an address that is listed, with all it has."""
    assert visits(rule) == expected


def test_what_more_than_one_packet_tells_may_be_in_either_transport() -> None:
    """A signature that sees says nothing of what it sees in."""
    seeing = replace(ALL["stun"], sees=lambda _packet, _seen: False)

    assert "meta l4proto { tcp, udp }" in visits(replace(RULE, match=(seeing,)))[0]


def test_the_queue_stands_behind_the_kernel_s_own_rules_and_never_lets_pass_by_itself() -> None:
    """In either form; where nft has a queue there is no other."""
    text = handover.ruleset([RULE], queue=True)

    assert "priority -150; policy accept;\n    meta mark 0x80000000 queue num 1\n" in text
    assert nft.PRIORITY < -155 < -150 < 10
    assert "queue num" not in handover.ruleset([RULE], queue=False)
    assert "-j NFQUEUE --queue-num 1\n" in handover.legacy("-A")
    for form in (text, handover.legacy("-A"), handover.attempt()):
        assert "bypass" not in form


def test_without_such_rules_there_is_nothing_to_say() -> None:
    """A policy that the kernel carries out alone has no queue."""
    simple = replace(RULE, action=Drop())
    policy = Policy("made", "", (), Confidence.GUESSED, (simple, RULE))

    assert handover.ruleset((), queue=True) == ""
    assert handover.others(policy) == (RULE,)
