"""The meaning of a policy: who is recognised, for how long, and what is done about it."""

from ipaddress import ip_network
from typing import Any

import dns.message
import pytest

from circumtest.censor.judge import Censor
from circumtest.censor.packet import Answer, Packet, Resets, Unreachable, Verdict
from circumtest.censor.policy import (
    FLOW_MEMORY,
    Action,
    Confidence,
    Delay,
    Drop,
    Lose,
    Poison,
    Police,
    Policy,
    Reject,
    Reset,
    Rule,
    Scope,
    Seen,
    Shape,
    Signature,
    Way,
    octets,
)
from circumtest.model import Address, Transport

CLIENT, SERVER = Address("192.0.2.2", 40000), Address("203.0.113.10", 3478)
HELLO, DATA = b"\xaa\xbb", b"data"
SIGNATURE = Signature(
    "hello", (Shape(Transport.UDP, (octets(0, "aabb"),)),), "this test", Confidence.GUESSED
)


def censor(action: Action, scope: Scope = Scope.FLOW, after: int = 0, seed: int = 1) -> Censor:
    """A censor with one rule, about flows or packets that say hello."""
    rule = Rule("it", (SIGNATURE,), action, scope, after)
    return Censor(Policy("p", "", (), Confidence.GUESSED, (rule,)), seed)


def up(payload: bytes, port: int = CLIENT.port) -> Packet:
    """From the client to the server."""
    return Packet(Transport.UDP, Address(CLIENT.host, port), SERVER, payload)


def down(payload: bytes) -> Packet:
    """From the server to the client."""
    return Packet(Transport.UDP, SERVER, CLIENT, payload)


def test_packet_scope_drops_only_what_matches() -> None:
    """With packet scope the flow goes on around the packet that was dropped."""
    judge = censor(Drop(), Scope.PACKET)
    verdicts = [judge.judge(packet, 0.0) for packet in (up(DATA), up(HELLO), up(DATA), down(HELLO))]
    assert verdicts == [Verdict.PASS, Verdict.DROP, Verdict.PASS, Verdict.DROP]
    assert judge.hits == {"it": 2}


def test_flow_scope_drops_everything_from_the_match_on_in_both_directions() -> None:
    """What came before the match passed; another port of the same host is another flow."""
    judge = censor(Drop())
    assert judge.judge(up(DATA), 0.0) == Verdict.PASS
    assert judge.judge(up(HELLO), 0.1) == Verdict.DROP
    assert judge.judge(up(DATA), 0.2) == Verdict.DROP
    assert judge.judge(down(DATA), 0.3) == Verdict.DROP
    assert judge.judge(up(DATA, port=40001), 0.4) == Verdict.PASS


def test_a_recognised_flow_is_forgotten_after_two_minutes_of_silence_only() -> None:
    """Every packet of it, dropped or not, begins the two minutes anew."""
    judge = censor(Drop())
    judge.judge(up(HELLO), 0.0)
    assert judge.judge(up(DATA), FLOW_MEMORY - 1) == Verdict.DROP
    assert judge.judge(down(DATA), 2 * FLOW_MEMORY - 2) == Verdict.DROP
    assert judge.judge(up(DATA), 3 * FLOW_MEMORY) == Verdict.PASS


def test_after_counts_the_packets_of_both_directions() -> None:
    """With after = 4 the fifth packet of the flow is the first to be dropped, whoever sends it."""
    judge = censor(Drop(), after=4)
    packets = [up(HELLO), down(DATA), up(DATA), down(DATA), down(DATA), up(DATA)]
    verdicts = [judge.judge(packet, 0.0) for packet in packets]
    assert verdicts == [Verdict.PASS] * 4 + [Verdict.DROP] * 2


def test_packets_before_the_match_count_too() -> None:
    """The count is the flow's, not the time since it was recognised."""
    judge = censor(Drop(), after=2)
    for _ in range(3):
        assert judge.judge(up(DATA), 0.0) == Verdict.PASS
    assert judge.judge(up(HELLO), 0.0) == Verdict.DROP


def test_a_flow_whose_packets_all_died_is_a_new_flow_each_time() -> None:
    """As in conntrack, where an entry is confirmed by the first packet that passes."""
    first = Rule("first", (SIGNATURE,), Drop(), Scope.PACKET)
    second = Rule("second", (SIGNATURE,), Drop(), Scope.FLOW, after=1)
    judge = Censor(Policy("p", "", (), Confidence.GUESSED, (first, second)), 1)
    for _ in range(5):
        judge.judge(up(HELLO), 0.0)
    assert judge.hits == {"first": 5, "second": 0}


def test_loss_is_as_probable_as_it_says_and_comes_from_the_seed() -> None:
    """Of 5000 packets 70 % are lost, within 4 standard deviations; the same seed, the same ones."""
    runs = [
        [judge.judge(up(HELLO), 0.0) for _ in range(5000)]
        for judge in (censor(Lose(0.7)), censor(Lose(0.7)), censor(Lose(0.7), seed=2))
    ]
    assert abs(runs[0].count(Verdict.DROP) - 3500) < 4 * (5000 * 0.7 * 0.3) ** 0.5
    assert runs[0] == runs[1] != runs[2]


def towards_the_client(payload: bytes) -> Packet:
    """From the server, on its way to the client's side."""
    return Packet(Transport.UDP, SERVER, CLIENT, payload, upwards=False)


def judge_of(**fields: Any) -> Censor:
    """A censor that drops flows that say hello, with a rule's other fields."""
    rule = Rule("it", (SIGNATURE,), Drop(), Scope.FLOW, **fields)
    return Censor(Policy("p", "", (), Confidence.GUESSED, (rule,)), 1)


def test_a_direction_is_acted_on_and_the_other_one_passes() -> None:
    """Recognised by a hello of either direction."""
    for first in (up(HELLO), towards_the_client(HELLO)):
        for way, drops in ((Way.UP, (True, False)), (Way.DOWN, (False, True))):
            judge = judge_of(direction=way)
            judge.judge(first, 0.0)
            verdicts = [judge.judge(p, 0.1) for p in (up(DATA), towards_the_client(DATA))]
            assert tuple(v == Verdict.DROP for v in verdicts) == drops


def test_packets_of_the_direction_that_passes_are_counted_all_the_same() -> None:
    """With after = 2 the third packet is the first to be dropped, and only if it goes down."""
    judge = judge_of(direction=Way.DOWN, after=2)
    packets = [up(HELLO), up(DATA), up(DATA), towards_the_client(DATA)]
    verdicts = [judge.judge(packet, 0.0) for packet in packets]
    assert verdicts == [Verdict.PASS] * 3 + [Verdict.DROP]


def test_an_action_may_begin_so_many_seconds_after_the_flow_s_first_packet() -> None:
    """Whatever was said first, and however busy it was meanwhile."""
    judge = judge_of(seconds=22.0)
    assert judge.judge(up(DATA), 0.0) == Verdict.PASS
    for at in range(1, 22):
        assert judge.judge(up(HELLO), float(at)) == Verdict.PASS
    assert judge.judge(down(DATA), 22.0) == Verdict.DROP
    assert judge.judge(up(DATA, port=40001), 22.5) == Verdict.PASS


def test_a_flow_that_was_silent_for_two_minutes_is_young_again() -> None:
    """As in the kernel, which has forgotten it."""
    judge = judge_of(seconds=5.0)
    judge.judge(up(HELLO), 0.0)
    assert judge.judge(up(HELLO), 6.0) == Verdict.DROP
    assert judge.judge(up(HELLO), 6.0 + FLOW_MEMORY) == Verdict.PASS


# ------------------------------------------------------------------ narrowed rules

ANY = Signature("any", tuple(Shape(t) for t in Transport), "this test", Confidence.GUESSED)
SECOND = Signature(
    "second",
    (),
    "this test",
    Confidence.GUESSED,
    sees=lambda _packet, seen: seen.payloads >= 2 and seen.up.startswith(b"one"),
)


def ruled(*rules: Rule) -> Censor:
    """A censor with these rules."""
    return Censor(Policy("p", "", (), Confidence.GUESSED, rules), 1)


def segment(
    payload: bytes, offset: int = 0, *, upwards: bool = True, port: int = 40000, last: bool = False
) -> Packet:
    """A piece of a stream between the client and port 443 of the server."""
    ends = Address(CLIENT.host, port), Address(SERVER.host, 443)
    source, destination = ends if upwards else ends[::-1]
    return Packet(Transport.TCP, source, destination, payload, upwards, offset, last)


def test_prefixes_and_ports_are_the_servers() -> None:
    """Whichever way the packet goes."""
    for fields, hit in (
        ({"to": (ip_network("203.0.113.0/24"),)}, True),
        ({"to": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))}, False),
        ({"ports": ((443, 443),)}, True),
        ({"ports": ((1, 442), (444, 65535))}, False),
    ):
        judge = ruled(Rule("it", (ANY,), Drop(), Scope.PACKET, **fields))
        for upwards in (True, False):
            assert judge.judge(segment(b"x", upwards=upwards), 0.0).passes is not hit


def test_a_signature_may_need_more_than_one_packet() -> None:
    """What was seen of the flow before decides."""
    judge = ruled(Rule("it", (SECOND,), Drop(), Scope.FLOW))
    assert judge.judge(segment(b"one"), 0.0).passes
    assert not judge.judge(segment(b"two", 3), 0.1).passes
    assert not judge.judge(segment(b"", upwards=False), 0.2).passes
    assert judge.judge(segment(b"one", port=2), 0.3).passes


def test_who_is_spared_is_spared_for_good_and_an_empty_segment_shows_nothing() -> None:
    """Allow-list mode: what the first payload does not show to be allowed is dropped."""
    judge = ruled(Rule("it", (ANY,), Drop(), Scope.FLOW, unless=(SIGNATURE, HELLO_TCP), first=1))
    assert judge.judge(segment(b""), 0.0) == Verdict.PASS
    good = judge.judge(segment(HELLO), 0.1)
    assert good.passes
    assert good.settled
    assert judge.judge(segment(DATA, 2), 0.2).passes
    assert judge.judge(segment(b"", port=2), 0.3).passes
    assert not judge.judge(segment(DATA, port=2), 0.4).passes
    assert not judge.judge(segment(b"", upwards=False, port=2), 0.5).passes


HELLO_TCP = Signature(
    "hello-tcp", (Shape(Transport.TCP, (octets(0, "aabb"),)),), "this test", Confidence.GUESSED
)


def test_only_the_first_packets_are_looked_at() -> None:
    """A hello behind them is not seen, and the flow needs no more looking."""
    judge = ruled(Rule("it", (SIGNATURE,), Drop(), Scope.FLOW, first=2))
    verdicts = [judge.judge(up(what), 0.0) for what in (DATA, DATA, HELLO, DATA)]
    assert all(verdict.passes for verdict in verdicts)
    assert [verdict.settled for verdict in verdicts] == [False, True, True, True]


def test_a_flow_that_is_dropped_for_good_is_settled() -> None:
    """In one direction only, or for a shorter time, it is not."""
    for fields, settled in (({}, True), ({"direction": Way.UP}, False), ({"hold": 5.0}, False)):
        judge = judge_of(**fields)
        verdict = judge.judge(up(HELLO), 0.0)
        assert (verdict.passes, verdict.settled, verdict.rule) == (False, settled, "it")


def test_a_triple_stays_blocked_for_new_flows_until_its_time_is_over() -> None:
    """Traffic does not prolong it, another match does; other ports and hosts are free."""
    judge = ruled(Rule("it", (SIGNATURE,), Drop(), Scope.TRIPLE, hold=10.0))
    assert not judge.judge(up(HELLO), 0.0).passes
    assert not judge.judge(up(DATA, port=2), 5.0).passes
    elsewhere = Address(SERVER.host, SERVER.port + 1)
    assert judge.judge(Packet(Transport.UDP, CLIENT, elsewhere, DATA), 6.0).passes
    assert judge.judge(up(DATA, port=3), 10.0).passes
    assert not judge.judge(up(HELLO, port=3), 11.0).passes
    assert not judge.judge(up(HELLO, port=3), 20.0).passes
    assert not judge.judge(up(DATA, port=4), 29.0).passes


def test_a_listed_address_is_dropped_from_its_minute_on() -> None:
    """The flow that betrayed it, and all others, other clients' too; not before."""
    judge = ruled(Rule("it", (SIGNATURE,), Drop(), Scope.ADDRESS, seconds=600.0, hold=3600.0))
    assert judge.judge(up(HELLO), 0.0).passes
    assert judge.judge(up(DATA), 599.0).passes
    assert not judge.judge(up(DATA), 600.0).passes
    other = Packet(Transport.TCP, Address("192.0.2.99", 1), Address(SERVER.host, 80), b"")
    assert not judge.judge(other, 601.0).passes
    assert judge.judge(other, 3601.0).passes


def test_one_flow_too_many_is_blocked_and_one_that_ended_does_not_count() -> None:
    """Counted are a client's flows to the server's network."""
    judge = ruled(Rule("it", (HELLO_TCP,), Drop(), Scope.FLOW, concurrent=2))
    assert judge.judge(segment(HELLO, port=1), 0.0).passes
    assert judge.judge(segment(HELLO, port=2), 0.0).passes
    assert not judge.judge(segment(HELLO, port=3), 0.0).passes
    judge.judge(segment(b"", 2, port=1, last=True), 1.0)
    judge.judge(segment(b"", 2, port=3, last=True), 1.0)
    assert judge.judge(segment(HELLO, port=4), 2.0).passes
    assert not judge.judge(segment(HELLO, port=5), 2.0).passes


def test_chance_is_drawn_once_a_flow() -> None:
    """About a quarter of them, each all or nothing."""
    judge = ruled(Rule("it", (SIGNATURE,), Drop(), Scope.PACKET, chance=0.26))
    fates = [
        {judge.judge(up(HELLO, port=port), 0.0).passes for _ in range(5)} for port in range(1, 2001)
    ]
    assert all(len(fate) == 1 for fate in fates)
    assert abs(fates.count({False}) - 520) < 4 * (2000 * 0.26 * 0.74) ** 0.5


def test_bytes_are_counted_with_their_headers_in_both_directions() -> None:
    """As conntrack counts: the packet that exceeds them is the first to be dropped."""
    judge = ruled(Rule("it", (ANY,), Drop(), Scope.FLOW, after_bytes=200))
    assert judge.judge(up(bytes(72)), 0.0).passes
    assert judge.judge(up(bytes(72)), 0.0).passes
    assert not judge.judge(up(b""), 0.0).passes


# ------------------------------------------------------------------ what is done


def verdict_of(action: Action, packet: Packet) -> Verdict:
    """What a rule about everything does to a packet."""
    return ruled(Rule("it", (ANY,), action, Scope.PACKET)).judge(packet, 0.0)


def test_streams_are_reset_and_datagrams_dropped() -> None:
    """A datagram has nothing that could be reset."""
    assert verdict_of(Reset(), segment(b"x")) == Verdict(passes=False, forged=Resets())
    assert verdict_of(Reset(), up(b"x")) == Verdict.DROP


def test_rejected_is_told_and_delayed_is_late() -> None:
    """By ICMP, of either kind."""
    for admin in (True, False):
        rejected = verdict_of(Reject(admin), up(b"x"))
        assert rejected == Verdict(passes=False, forged=Unreachable(admin))
    assert verdict_of(Delay(0.25), up(b"x")) == Verdict(passes=True, delay=0.25)


@pytest.mark.parametrize(("address", "told"), [("192.0.2.66", ["192.0.2.66"]), ("", [])])
def test_a_dns_question_is_answered_first_and_passes(address: str, told: list[str]) -> None:
    """What is no question is left alone."""
    question = dns.message.make_query("call.example", "A")
    verdict = verdict_of(Poison(address), up(question.to_wire()))
    assert verdict.passes
    assert isinstance(verdict.forged, Answer)
    answer = dns.message.from_wire(verdict.forged.payload)
    assert question.is_response(answer)
    assert [str(item) for one in answer.answer for item in one] == told
    assert verdict_of(Poison(address), up(b"no question")) == Verdict.PASS
    assert verdict_of(Poison(address), towards_the_client(question.to_wire())) == Verdict.PASS


def test_policed_is_each_direction_of_each_flow_by_itself() -> None:
    """A second's worth and the burst pass at once, then the rate."""
    judge = ruled(Rule("it", (ANY,), Police(1000, burst=1500), Scope.PACKET))
    assert judge.judge(up(bytes(1472)), 0.0).passes
    assert judge.judge(up(bytes(972)), 0.0).passes
    assert not judge.judge(up(bytes(472)), 0.1).passes
    assert judge.judge(towards_the_client(bytes(1472)), 0.1).passes
    assert judge.judge(up(bytes(1472), port=2), 0.1).passes
    assert judge.judge(up(bytes(972)), 1.1).passes


def test_a_flow_that_got_so_far_betrays_its_place() -> None:
    """From then on new flows of the place are dropped from their first packet on."""
    judge = ruled(Rule("it", (ANY,), Drop(), Scope.TRIPLE, after=2, hold=600.0))
    assert [judge.judge(up(DATA), 0.0).passes for _ in range(4)] == [True, True, False, False]
    assert not judge.judge(up(DATA, port=2), 1.0).passes


def test_names_that_spare_are_waited_for() -> None:
    """A ClientHello that is not whole yet is left alone; what is no TLS is not."""
    judge = ruled(Rule("it", (ANY,), Drop(), Scope.FLOW, unless_names=("*.good.example",)))
    assert judge.judge(segment(b"\x16\x03\x01"), 0.0).passes
    assert not judge.judge(segment(b"GET /", port=2), 0.0).passes


def test_the_kernels_rules_come_first() -> None:
    """Wherever they are written: the middlebox sees only what passed them."""
    seen: list[bytes] = []

    def sees(packet: Packet, _seen: Seen) -> bool:
        seen.append(packet.payload)
        return False

    watching = Signature("w", (), "this test", Confidence.GUESSED, sees)
    judge = ruled(
        Rule("slow", (watching,), Drop(), Scope.PACKET),
        Rule("quick", (SIGNATURE,), Drop(), Scope.PACKET),
    )
    judge.judge(up(HELLO), 0.0)
    judge.judge(up(DATA), 0.0)
    assert seen == [DATA]
