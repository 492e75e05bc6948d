"""A policy as values: what can be said at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.policy import (
    Bits,
    Confidence,
    Delay,
    Drop,
    Lose,
    Poison,
    Police,
    Policy,
    Rule,
    Scope,
    Shape,
)
from circumtest.model import Transport


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


@pytest.mark.parametrize("probability", [0.0, 1.0, 1.5, -0.1, 0.0005, 0.1234])
def test_a_probability_that_the_kernel_cannot_draw_is_refused(probability: float) -> None:
    """Steps of 0.001 between the ends; 1 is called drop."""
    with pytest.raises(ValueError):
        Lose(probability)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Delay(0.0),
        lambda: Delay(11.0),
        lambda: Poison("no address"),
        lambda: Police(99),
        lambda: Police(1000, burst=1499),
    ],
)
def test_what_cannot_be_done_is_refused(bad: "object") -> None:
    """By ValueError, which the loader turns into words with file and place."""
    with pytest.raises(ValueError):
        bad()  # type: ignore[operator]


def test_scaled_are_times_of_places_only() -> None:
    """What takes ten minutes can be tested in seconds; how long a flow is remembered stays."""
    listing = Rule("a", (), Drop(), Scope.ADDRESS, seconds=600.0, hold=3600.0)
    flow = Rule("b", (), Drop(), Scope.FLOW, seconds=22.0)
    short = Policy("p", "", (), Confidence.GUESSED, (listing, flow)).scaled(0.01)
    assert [(rule.seconds, rule.hold) for rule in short.rules] == [(6.0, 36.0), (0.22, 120.0)]
