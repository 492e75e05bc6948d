"""What a first byte leaves over holds every rule that matches; the rest may be anything."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.packet import Packet
from circumtest.censor.policy import Bits, Confidence, Drop, Rule, Scope, Shape, Signature
from circumtest.censor.sieve import first_bytes, shapes_of, sieve
from circumtest.censor.signatures import ALL
from circumtest.model import Address, Transport

HERE, THERE = Address("192.0.2.2", 40000), Address("203.0.113.10", 3478)


@st.composite
def bits(draw: st.DrawFn) -> Bits:
    """Any test near the first byte."""
    width = draw(st.integers(1, 20))
    low, high = sorted(draw(st.tuples(*[st.integers(0, (1 << width) - 1)] * 2)))
    return Bits(draw(st.integers(0, 12)), width, low, high)


SHAPES = st.builds(Shape, st.sampled_from(Transport), st.lists(bits(), max_size=3).map(tuple))


def rules_of(shapes: list[Shape]) -> list[Rule]:
    """A rule about each shape."""
    signatures = [Signature("s", (shape,), "this test", Confidence.GUESSED) for shape in shapes]
    return [Rule(f"r{n}", (one,), Drop(), Scope.PACKET) for n, one in enumerate(signatures)]


@given(st.lists(SHAPES, max_size=6), st.sampled_from(Transport), st.binary(max_size=6))
def test_no_rule_that_matches_is_left_out(
    shapes: list[Shape], transport: Transport, payload: bytes
) -> None:
    """For any shapes and any payload, the empty one too; in the policy's order."""
    by_byte, otherwise = sieve(rules_of(shapes), transport)
    chosen = by_byte.get(payload[0], otherwise) if payload else otherwise
    packet = Packet(transport, HERE, THERE, payload)
    matching = {n for n, shape in enumerate(shapes) if shape.matches(packet)}
    assert matching <= set(chosen)
    assert list(chosen) == sorted(chosen)
    assert all(set(otherwise) < set(more) for more in by_byte.values())


def test_a_first_byte_of_stun_has_two_zeros_before_it() -> None:
    """A range of values, a single one, and all."""
    (stun,) = ALL["stun"].shapes
    (wireguard,) = ALL["wireguard-initiation"].shapes
    assert first_bytes(stun) == frozenset(range(64))
    assert first_bytes(wireguard) == frozenset({1})
    assert first_bytes(Shape(Transport.UDP)) == frozenset(range(256))


def test_shapes_are_asked_for_by_transport() -> None:
    """SIP has both."""
    rule = Rule("r", (ALL["sip"],), Drop(), Scope.PACKET)
    assert {len(list(shapes_of(rule, transport))) for transport in Transport} == {3}
