"""Where segments stand in their streams: from the SYN, over the wrap, and within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.middlebox.datagram import ACK, SYN, Datagram, Segment
from circumtest.censor.middlebox.streams import Streams
from circumtest.model import Address, Transport

A, B = Address("192.0.2.2", 40000), Address("203.0.113.10", 443)


def segment(seq: int, flags: int = ACK, *, back: bool = False, port: int = 40000) -> Datagram:
    """One of a flow, either direction."""
    near = A._replace(port=port)
    ends = (B, near) if back else (near, B)
    return Datagram(Transport.TCP, *ends, b"", Segment(seq % (1 << 32), 0, flags), b"")


def test_a_stream_begins_behind_its_syn_each_direction_by_itself() -> None:
    """Retransmissions stand where they stood; what comes early stands where it will."""
    streams = Streams()

    assert streams.offset(segment(99, SYN)) == 0
    assert streams.offset(segment(999, SYN | ACK, back=True)) == 0
    assert [streams.offset(segment(100 + at)) for at in (0, 1400, 500, 1400)] == [
        0,
        1400,
        500,
        1400,
    ]
    assert streams.offset(segment(1007, back=True)) == 7


def test_a_stream_that_was_there_before_begins_where_it_is_seen_first() -> None:
    """What is older than that stands at its beginning, as a keep-alive's byte does."""
    streams = Streams()

    assert [streams.offset(segment(at)) for at in (5000, 5010, 4999)] == [0, 10, 0]


def test_a_new_connection_of_the_same_addresses_begins_anew() -> None:
    """Its SYN has another number."""
    streams = Streams()
    for at in (99, 500):
        streams.offset(segment(at, SYN))
        assert streams.offset(segment(at + 1)) == 0


@given(st.lists(st.integers(0, 1 << 30), max_size=30), st.integers(0, (1 << 32) - 1))
def test_positions_do_not_wrap_with_their_numbers(steps: list[int], first: int) -> None:
    """However far a stream goes, its position is the sum of its steps."""
    streams, position = Streams(), 0
    streams.offset(segment(first - 1, SYN))
    for step in steps:
        position += step
        assert streams.offset(segment(first + position)) == position


def test_only_so_many_streams_are_kept_the_last_used_ones() -> None:
    """A crowd of connections costs no more memory than that."""
    streams = Streams(most=3)
    for port in (1, 2, 3):
        streams.offset(segment(99, SYN, port=port))
    streams.offset(segment(150, port=1))
    streams.offset(segment(99, SYN, port=4))

    assert len(streams) == 3
    assert streams.offset(segment(170, port=1)) == 70
    assert streams.offset(segment(170, port=2)) == 0


def test_a_datagram_has_no_place() -> None:
    """UDP has no streams, and none is kept."""
    streams = Streams()

    assert streams.offset(Datagram(Transport.UDP, A, B, b"x", None, b"")) == 0
    assert len(streams) == 0
