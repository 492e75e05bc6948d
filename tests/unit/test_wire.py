"""Bytes of a network, garbage and nearly valid, against every parser and both halves of all calls.

The table is `tests/fuzz/targets.py`, and `scripts/fuzz` runs over it for longer.
"""

import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circumtest import wire
from tests.fuzz.targets import TARGETS, WIRE, Target

MODULES = {file.stem for file in Path(wire.__file__).parent.glob("*.py")} - {"__init__"}
MAX_MEMORY = 64 << 20
"""Bytes that an input of LARGE may have a target take."""
LARGE = 1 << 16
"""A datagram cannot be longer."""
MAX_SECONDS = 10.0
FEW, MANY = 12, 60


def spoilt(target: Target) -> st.SearchStrategy[bytes]:
    """Garbage, valid inputs, and valid inputs with some bytes changed, taken out or put in."""

    @st.composite
    def near(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(list(target.samples()))))
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(data)))
            match draw(st.integers(0, 2)):
                case 0:
                    data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
                case 1:
                    del data[at : at + draw(st.integers(1, 32))]
                case 2:
                    data[at:at] = draw(st.binary(max_size=8))
        return bytes(data)

    return st.one_of(near(), st.binary(max_size=400))


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_comes_in_is_more_than_a_value_error(name: str) -> None:
    """Whatever it is: no other exception, in parsers, answerers, callers, endpoints."""
    target = TARGETS[name]

    @settings(
        max_examples=FEW if target.slow else MANY,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(data=spoilt(target))
    def takes(data: bytes) -> None:
        target.run(data)

    takes()


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if not target.slow])
@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"[", b"a:\r\n", b"\x16\xfe\xfd"])
def test_a_large_input_costs_bounded_memory_and_time(name: str, filler: bytes) -> None:
    """The largest datagram of one thing over and over, also behind a valid beginning."""
    target = TARGETS[name]
    starts = [b"", *(sample[:64] for sample in list(target.samples())[:3])]
    begun = time.monotonic()
    tracemalloc.start()
    try:
        for start in starts:
            target.run((start + filler * LARGE)[:LARGE])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MAX_MEMORY
    assert time.monotonic() - begun < MAX_SECONDS * len(starts)


def test_no_parser_is_forgotten() -> None:
    """Every module of `circumtest.wire` has a target of its name."""
    assert set(WIRE) == MODULES


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_its_own_samples(name: str) -> None:
    """There are some, and they are bytes."""
    samples = list(TARGETS[name].samples())

    assert samples
    assert all(isinstance(sample, bytes) for sample in samples)
