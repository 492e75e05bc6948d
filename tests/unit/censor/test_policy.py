"""The meaning of a policy: who is recognised, for how long, and what is dropped."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.policy import (
    FLOW_MEMORY,
    Action,
    Bits,
    Censor,
    Confidence,
    Drop,
    Lose,
    Memory,
    Packet,
    Policy,
    Rule,
    Scope,
    Shape,
    Signature,
    Verdict,
    Way,
    flow_of,
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


@given(st.binary(max_size=40), st.integers(0, 200), st.integers(1, 128))
def test_bits_are_those_of_the_binary_text(payload: bytes, offset: int, width: int) -> None:
    """A bit test reads what one would read in the payload written out in binary."""
    text = "".join(f"{byte:08b}" for byte in payload)[offset : offset + width]
    if len(text) < width:
        assert not Bits(offset, width, 0, (1 << width) - 1).matches(payload)
    else:
        value = int(text, 2)
        assert Bits(offset, width, value, value).matches(payload)
        assert not Bits(offset, width, value ^ 1, value ^ 1).matches(payload)


@pytest.mark.parametrize(
    "bad", [(-1, 8, 0, 0), (0, 0, 0, 0), (0, 129, 0, 0), (0, 8, 0, 256), (0, 8, 2, 1)]
)
def test_a_bit_test_that_nft_could_not_say_is_refused(bad: tuple[int, int, int, int]) -> None:
    """Negative offsets, widths beyond 128 and values that do not fit raise ValueError."""
    with pytest.raises(ValueError):
        Bits(*bad)


def test_a_stream_has_no_datagram_length() -> None:
    """A length on TCP could not be tested in the kernel, so it cannot be said."""
    with pytest.raises(ValueError):
        Shape(Transport.TCP, length=(1, 2))


def test_packet_scope_drops_only_what_matches() -> None:
    """With packet scope the flow goes on around the packet that was dropped."""
    judge = censor(Drop(), Scope.PACKET)
    verdicts = [judge.judge(packet, 0.0) for packet in (up(DATA), up(HELLO), up(DATA), down(HELLO))]
    assert verdicts == [Verdict.PASS, Verdict.DROP, Verdict.PASS, Verdict.DROP]
    assert judge.hits == {"it": 2}


def test_flow_scope_drops_everything_from_the_match_on_in_both_directions() -> None:
    """What came before the match passed; another port of the same host is another flow."""
    judge = censor(Drop())
    assert judge.judge(up(DATA), 0.0) is Verdict.PASS
    assert judge.judge(up(HELLO), 0.1) is Verdict.DROP
    assert judge.judge(up(DATA), 0.2) is Verdict.DROP
    assert judge.judge(down(DATA), 0.3) is Verdict.DROP
    assert judge.judge(up(DATA, port=40001), 0.4) is Verdict.PASS


def test_a_recognised_flow_is_forgotten_after_two_minutes_of_silence_only() -> None:
    """Every packet of it, dropped or not, begins the two minutes anew."""
    judge = censor(Drop())
    judge.judge(up(HELLO), 0.0)
    assert judge.judge(up(DATA), FLOW_MEMORY - 1) is Verdict.DROP
    assert judge.judge(down(DATA), 2 * FLOW_MEMORY - 2) is Verdict.DROP
    assert judge.judge(up(DATA), 3 * FLOW_MEMORY) is Verdict.PASS


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
        assert judge.judge(up(DATA), 0.0) is Verdict.PASS
    assert judge.judge(up(HELLO), 0.0) is Verdict.DROP


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
            assert tuple(v is Verdict.DROP for v in verdicts) == drops


def test_packets_of_the_direction_that_passes_are_counted_all_the_same() -> None:
    """With after = 2 the third packet is the first to be dropped, and only if it goes down."""
    judge = judge_of(direction=Way.DOWN, after=2)
    packets = [up(HELLO), up(DATA), up(DATA), towards_the_client(DATA)]
    verdicts = [judge.judge(packet, 0.0) for packet in packets]
    assert verdicts == [Verdict.PASS] * 3 + [Verdict.DROP]


def test_an_action_may_begin_so_many_seconds_after_the_flow_s_first_packet() -> None:
    """Whatever was said first, and however busy it was meanwhile."""
    judge = judge_of(seconds=22.0)
    assert judge.judge(up(DATA), 0.0) is Verdict.PASS
    for at in range(1, 22):
        assert judge.judge(up(HELLO), float(at)) is Verdict.PASS
    assert judge.judge(down(DATA), 22.0) is Verdict.DROP
    assert judge.judge(up(DATA, port=40001), 22.5) is Verdict.PASS


def test_a_flow_that_was_silent_for_two_minutes_is_young_again() -> None:
    """As in the kernel, which has forgotten it."""
    judge = judge_of(seconds=5.0)
    judge.judge(up(HELLO), 0.0)
    assert judge.judge(up(HELLO), 6.0) is Verdict.DROP
    assert judge.judge(up(HELLO), 6.0 + FLOW_MEMORY) is Verdict.PASS


@pytest.mark.parametrize("probability", [0.0, 1.0, 1.5, -0.1, 0.0005, 0.1234])
def test_a_probability_that_the_kernel_cannot_draw_is_refused(probability: float) -> None:
    """Steps of 0.001 between the ends; 1 is called drop."""
    with pytest.raises(ValueError):
        Lose(probability)


def test_a_full_memory_lets_new_flows_through_and_keeps_the_old() -> None:
    """The memory is bounded, refuses what does not fit, and has room again when something ends."""
    memory = Memory(size=2)
    keys = [flow_of(up(DATA, port=port)) for port in (1, 2, 3)]
    assert memory.put(keys[0], 0, 0.0)
    assert memory.put(keys[1], 0, 1.0)
    assert not memory.put(keys[2], 0, 2.0)
    assert memory.put(keys[0], 0, 3.0)
    assert memory.put(keys[2], 0, 1.0 + FLOW_MEMORY)
    assert memory.get(keys[1], 1.0 + FLOW_MEMORY) is None
    assert len(memory) == 2
