"""Messages of the kernel's queue as values: packets, errors, garbage; the queue's own counters.

That verdicts are understood is shown in `tests/lab/test_middlebox.py`, where a kernel reads them.
"""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.middlebox.netlink import Counters, Queued, parse, tally


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, filled up to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    """One netlink message, filled up to four bytes."""
    return struct.pack("=LHHLL", 16 + len(body), kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def queued(number: int, payload: bytes, link: int | None = 4) -> bytes:
    """A packet in queue 1, with an attribute that nobody asked for."""
    attributes = attribute(1, struct.pack(">LHB", number, 0x0800, 2))
    if link is not None:
        attributes += attribute(5, struct.pack(">L", link))
    return message(3 << 8, b"\2\0\0\1" + attributes + attribute(9, b"?") + attribute(10, payload))


def refusal(code: int) -> bytes:
    """The kernel's answer to a verdict that it did not like."""
    return message(2, struct.pack("=l", -code) + bytes(16))


def test_packets_are_read_in_order_several_from_one_message() -> None:
    """With the link they came by; a packet without one came by none."""
    data = queued(1, b"one") + queued(2, b"second", None) + refusal(0)

    assert parse(data) == [Queued(1, 1, 4, b"one"), Queued(1, 2, 0, b"second")]


def test_a_packet_that_is_gone_is_no_error_and_anything_else_is() -> None:
    """A link that goes down takes its packets with it, before their verdicts."""
    assert parse(refusal(errno.ENOENT)) == []
    with pytest.raises(OSError, match="not permitted"):
        parse(refusal(errno.EPERM))


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("=LHHLL", 99, 0, 0, 0, 0),
        message(2, b""),
        message(3 << 8, b"\2"),
        message(3 << 8, b"\2\0\0\1"),
        message(3 << 8, b"\2\0\0\1" + struct.pack("=HH", 99, 1)),
        message(3 << 8, b"\2\0\0\1" + attribute(1, b"")),
    ],
)
def test_what_no_kernel_says_is_refused(data: bytes) -> None:
    """Impossible lengths, and a packet without a number."""
    with pytest.raises(ValueError, match=r"."):
        parse(data)


@given(st.binary(max_size=80), st.booleans())
def test_garbage_raises_value_error_or_what_it_says(garbage: bytes, whole: bool) -> None:
    """Whatever comes, and whatever is in a packet's message."""
    data = message(3 << 8, garbage) if whole else garbage
    try:
        parse(data)
    except (OSError, ValueError):
        return


def test_a_queue_s_counters_are_those_of_its_number() -> None:
    """Packets that met a full queue have no number, those that met a full socket have one."""
    lines = [
        "    1   4021    12 2 65531     3     4       100  1",
        "   17   4022     0 2 65531     0     0         0  1",
    ]

    assert tally(lines, 1) == Counters(seen=103, waiting=12, lost=7)
    assert tally(lines, 17) == Counters()
    assert tally(lines, 2) is None
