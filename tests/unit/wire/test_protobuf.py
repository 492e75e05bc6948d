"""The few protobuf forms, to the byte, and garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import protobuf


def test_fields_are_written_as_the_format_says() -> None:
    """The documentation's own examples: 150 in field 1, "testing" in field 2."""
    assert protobuf.pack({1: 150}).hex() == "089601"
    assert protobuf.pack({2: b"testing"}).hex() == "120774657374696e67"


@given(st.dictionaries(st.integers(1, 2**20), st.integers(0, 2**64 - 1) | st.binary(max_size=40)))
def test_what_is_written_is_read(fields: dict[int, int | bytes]) -> None:
    """Any numbers and byte strings."""
    assert protobuf.unpack(protobuf.pack(fields)) == fields


def test_a_field_of_the_wrong_kind_is_as_bad_as_a_missing_one() -> None:
    """Missing numbers are 0, as the format has it; missing byte strings are errors."""
    fields = protobuf.unpack(protobuf.pack({1: 5, 2: b"x"}))

    assert (protobuf.integer(fields, 1), protobuf.integer(fields, 3)) == (5, 0)
    assert protobuf.data(fields, 2) == b"x"
    for read, number in ((protobuf.integer, 2), (protobuf.data, 1), (protobuf.data, 3)):
        with pytest.raises(ValueError):
            read(fields, number)


@pytest.mark.parametrize("text", ["08", "0a05", "80", "ffffffffffffffffffffff01", "0d00000000"])
def test_what_is_cut_short_or_of_another_wire_type_is_refused(text: str) -> None:
    """A number, a string, a key, a number without end, a fixed 32-bit number."""
    with pytest.raises(ValueError):
        protobuf.unpack(bytes.fromhex(text))


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_value_errors(data: bytes) -> None:
    """Whatever it is read as."""
    try:
        protobuf.unpack(data)
    except ValueError:
        return
