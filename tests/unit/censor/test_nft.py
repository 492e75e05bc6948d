"""The compiled ruleset, as text: what it says of a packet is what the predicate says."""

import random
import re
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.censor.load import policy
from circumtest.censor.nft import ruleset
from circumtest.censor.nftwords import expression
from circumtest.censor.packet import Packet
from circumtest.censor.policy import (
    Bits,
    Confidence,
    Drop,
    Police,
    Policy,
    Reject,
    Reset,
    Rule,
    Scope,
    Shape,
    Way,
    octets,
)
from circumtest.censor.signatures import ALL, SIGNATURES
from circumtest.model import Address, Transport

SHAPES = [shape for signature in SIGNATURES.values() for shape in signature.shapes]


def evaluate(text: str, packet: Packet) -> bool:
    """nft's reading of a match expression, from its manual page and from no code of ours."""
    words = text.split()
    bits = "".join(f"{byte:08b}" for byte in packet.payload)
    while words:
        match words:
            case ["meta", "l4proto", value, *words]:
                if value != packet.transport:
                    return False
                continue
            case ["th", "dport", value, *words]:
                number = packet.destination.port
            case ["udp", "length", value, *words]:
                number = len(packet.payload) + 8
            case [payload, value, *words] if found := re.fullmatch(r"@ih,(\d+),(\d+)", payload):
                offset, width = map(int, found.groups())
                if len(bits) < offset + width:
                    return False
                number = int(bits[offset : offset + width], 2)
            case _:
                raise AssertionError(text)
        low, _, high = value.partition("-")
        if not int(low, 0) <= number <= int(high or low, 0):
            return False
    return True


def near(shape: Shape, seed: int) -> Packet:
    """A packet made to match, then perhaps spoilt by a bit, a byte more or less, or a port."""
    rng = random.Random(seed)
    ends = [(bits.offset + bits.width + 7) // 8 for bits in shape.bits]
    least, most = shape.length or (max(ends), 400)
    length = max(least, min(most, least + rng.choice([0, 0, 1, 100])))
    number = rng.getrandbits(length * 8)
    for bits in shape.bits:
        shift = length * 8 - bits.offset - bits.width
        number &= ~(((1 << bits.width) - 1) << shift)
        number |= rng.randint(bits.low, bits.high) << shift
    payload = bytearray(number.to_bytes(length, "big"))
    match rng.randrange(4):
        case 0:
            payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        case 1:
            del payload[-1]
        case 2:
            payload.append(0)
    port = rng.choice([shape.port or 3478, 1400, 1401])
    transport = rng.choice([shape.transport, shape.transport, Transport.TCP])
    there = Address("203.0.113.1", port)
    return Packet(transport, Address("192.0.2.2", 40000), there, bytes(payload))


@settings(max_examples=300)
@given(st.sampled_from(SHAPES), st.sampled_from(SHAPES), st.integers(0, 2**32))
def test_the_kernels_expression_and_the_predicate_agree(
    made: Shape, asked: Shape, seed: int
) -> None:
    """On packets of, and beside, every signature, both say the same of every other signature."""
    packet = near(made, seed)
    assert evaluate(expression(asked), packet) == asked.matches(packet)


@given(
    st.integers(0, 100), st.integers(1, 64), st.integers(0), st.integers(0), st.binary(max_size=24)
)
def test_any_bit_test_means_the_same_in_both(
    offset: int, width: int, one: int, other: int, payload: bytes
) -> None:
    """Random offsets, widths and ranges on random bytes."""
    low, high = sorted((one % (1 << width), other % (1 << width)))
    shape = Shape(Transport.UDP, (Bits(offset, width, low, high),))
    packet = Packet(Transport.UDP, Address("192.0.2.2", 1), Address("192.0.2.3", 2), payload)
    assert evaluate(expression(shape), packet) == shape.matches(packet)


def test_the_near_packets_are_neither_all_hits_nor_all_misses() -> None:
    """The property above is asked of packets on both sides of the line."""
    verdicts = [shape.matches(near(shape, seed)) for shape in SHAPES for seed in range(50)]
    assert 0.2 < sum(verdicts) / len(verdicts) < 0.8


def test_an_expression_reads_as_a_person_would_write_it() -> None:
    """Transport, port, length with the UDP header, then bytes as one number."""
    shape = Shape(Transport.UDP, (octets(4, "2112a442"), Bits(0, 16, 1, 3)), (20, 40), port=1400)
    assert expression(shape) == (
        "meta l4proto udp th dport 1400 udp length 28-48 @ih,32,32 0x2112a442 @ih,0,16 0x1-0x3"
    )


def test_each_policy_compiles_to_a_counter_and_a_jump_for_each_rule() -> None:
    """And to nothing else for `open`, whose table only replaces an earlier one."""
    text = ruleset(policy("calls-and-wireguard"))
    for rule in policy("calls-and-wireguard").rules:
        assert f"counter hits-{rule.id} {{ }}" in text
        assert f"jump match-{rule.id}" in text
    assert "hits-" not in ruleset(policy("open"))
    assert ruleset(policy("open")).startswith("add table inet circumtest\ndelete table")


def test_loss_and_the_packets_before_it_are_written_into_the_action() -> None:
    """The numbers of ru-calls-2025-08 are those of its file."""
    text = ruleset(policy("ru-calls-2025-08"))
    line = "ct packets > 25 numgen random mod 1000 < 600 counter name hits-whatsapp-call-loss drop"
    assert line in text


ANYTHING = (ALL["any"],)


def made(**fields: Any) -> str:
    """The ruleset of one rule about everything."""
    rule = Rule("it", ANYTHING, **{"action": Drop(), "scope": Scope.FLOW, **fields})
    return ruleset(Policy("p", "", (), Confidence.GUESSED, (rule,)))


def test_a_direction_is_the_link_that_a_packet_came_in_by() -> None:
    """The client's, or the backbone's, as the lab has them."""
    assert 'iifname "client" counter name hits-it drop' in made(direction=Way.UP)
    assert 'iifname "backbone" ct packets > 3 counter' in made(direction=Way.DOWN, after=3)
    assert "    counter name hits-it drop" in made()


def test_a_server_is_where_packets_go_to_upwards_and_come_from_downwards() -> None:
    """Prefixes and ports, without overlaps, which nft refuses; a family without any is free."""
    to = tuple(map(ip_network, ("203.0.113.0/24", "203.0.113.128/25")))
    text = made(to=to, ports=((9, 10), (1, 5), (4, 8), (443, 443)))
    assert 'iifname "client" th dport { 1-10, 443 } ip daddr @to-it-4 goto shape-it' in text
    assert 'iifname "backbone" th sport { 1-10, 443 } ip saddr @to-it-4 goto shape-it' in text
    assert "elements = { 203.0.113.0/24 }" in text
    assert "to-it-6" not in text
    assert "to-it" not in made(ports=((1, 5),))


def test_seconds_are_the_life_of_an_element_that_nobody_renews() -> None:
    """A flow is young while it is in that set; when it began is remembered for all rules."""
    text = made(seconds=2.5)
    key = "{ ip saddr . th sport . ip daddr . th dport . meta l4proto }"
    assert f"update @begun4 {key} update @young2500-4 {key}" in text
    assert "timeout 2500ms" in text
    assert text.count("update @young2500-4") == text.count("set young2500-4") * 2 == 2
    assert "young" not in made()
    assert "begun" not in made(scope=Scope.ADDRESS, seconds=2.5)


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (Scope.FLOW, "flows-it-4 { type ipv4_addr . inet_service . ipv4_addr . inet_service"),
        (Scope.TRIPLE, "triples-it-4 { type ipv4_addr . ipv4_addr . inet_service . inet_proto;"),
        (Scope.ADDRESS, "hosts-it-4 { type ipv4_addr;"),
    ],
)
def test_what_a_match_is_remembered_of_is_the_scope_and_how_long_the_hold(
    scope: Scope, key: str
) -> None:
    """A flow by both ends, a triple without the client's port, a server by its address."""
    text = made(scope=scope, hold=7.5)
    (line,) = (line for line in text.splitlines() if f"set {key}" in line)
    assert "timeout 7500ms" in line
    renewed = [line for line in text.splitlines() if "goto act-it" in line and "update" in line]
    assert bool(renewed) is (scope is Scope.FLOW)


def test_a_flow_is_acted_on_and_a_place_is_learnt_after_so_much() -> None:
    """Packets and bytes are the flow's, by conntrack's count."""
    late = "ct packets > 3 ct bytes > 900"
    for scope in Scope:
        text = made(scope=scope, after=3, after_bytes=900)
        assert (f"{late} counter" in text) is (scope in (Scope.PACKET, Scope.FLOW))
        assert (f"{late} goto learn-it" in text) is (scope in (Scope.TRIPLE, Scope.ADDRESS))


def test_actions_are_the_kernel_s_own() -> None:
    """What is told by ICMP, and a limit for each direction of each flow."""
    assert "hits-it reject with icmpx port-unreachable" in made(action=Reject())
    assert "hits-it reject with icmpx admin-prohibited" in made(action=Reject(admin=True))
    limit = "limit rate over 16250 bytes/second burst 8192 bytes } counter name hits-it drop"
    assert made(action=Police(16250)).count(limit) == 2


def test_what_is_not_simple_is_left_to_others() -> None:
    """No chain, no counter: the kernel does nothing by halves."""
    assert "hits-it" not in made(first=3)
    assert "hits-it" not in made(action=Reset())


def test_a_first_byte_says_whom_to_ask() -> None:
    """A datagram that begins like none of them is put to the rules about everything only."""
    kinds = (ALL["stun"], ALL["any"], ALL["wireguard-initiation"])
    some = tuple(Rule(f"r{n}", (kind,), Drop(), Scope.PACKET) for n, kind in enumerate(kinds))
    text = ruleset(Policy("p", "", (), Confidence.GUESSED, some))
    chains = dict(re.findall(r"chain (\S+) {\n(.*?)\n  }", text, re.DOTALL))
    (by_byte,) = re.findall(r"@ih,0,8 vmap { (.*) }", chains["look-udp-up4"])
    ways = dict(part.split(" : goto ") for part in by_byte.split(", "))
    assert list(ways) == ["0x0", "0x1", "0x2-0x3f"]
    assert re.findall("jump act-(r.)", chains[ways["0x0"]]) == ["r0", "r1"]
    assert re.findall("jump act-(r.)", chains[ways["0x1"]]) == ["r0", "r1", "r2"]
    assert re.findall("jump act-(r.)", chains["look-udp-up4"]) == ["r1"]
    assert re.findall("jump act-(r.)", chains["look-tcp-down6"]) == ["r1"]


def test_what_is_remembered_is_put_to_every_rule_of_its_transport() -> None:
    """And to those that list addresses, for whichever transport a match was of."""
    some = tuple(
        Rule(f"r{n}", (ALL[name],), Drop(), scope)
        for n, (name, scope) in enumerate(
            (("stun", Scope.FLOW), ("stun", Scope.ADDRESS), ("stun-tcp", Scope.TRIPLE))
        )
    )
    text = ruleset(Policy("p", "", (), Confidence.GUESSED, some))
    chains = dict(re.findall(r"chain (\S+) {\n(.*?)\n  }", text, re.DOTALL))
    assert re.findall("match-r.", chains["every-udp"]) == ["match-r0", "match-r1"]
    assert re.findall("match-r.", chains["every-tcp"]) == ["match-r1", "match-r2"]
    assert "@flows4 update @flows4" in chains["look-udp-up4"]
    assert "@triples4" not in chains["look-udp-up4"]
    assert "@triples4 goto every-tcp" in chains["look-tcp-down4"]
    assert "ip6 saddr @hosts6 goto every-udp" in chains["look-udp-down6"]


def test_everything_is_every_datagram_and_every_segment() -> None:
    """Without a look at what is in it."""
    assert [expression(shape) for shape in ALL["any"].shapes] == [
        "meta l4proto udp",
        "meta l4proto tcp",
    ]


def test_packet_scope_remembers_no_flows() -> None:
    """The WireGuard rule has no set: a tunnel that is up lives on."""
    text = ruleset(policy("calls-and-wireguard"))
    assert "set flows-whatsapp-call-4 {" in text
    assert "wireguard-initiation-4" not in text
