"""What a censor has seen of a flow."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.packet import Packet
from circumtest.censor.sight import KEPT, SIZES, Sight
from circumtest.model import Address, Transport

CLIENT, SERVER = Address("192.0.2.2", 40000), Address("203.0.113.10", 443)


def segment(payload: bytes, offset: int, *, upwards: bool = True) -> Packet:
    """A piece of a stream."""
    ends = (CLIENT, SERVER) if upwards else (SERVER, CLIENT)
    return Packet(Transport.TCP, *ends, payload, upwards, offset)


@given(st.binary(min_size=1, max_size=3 * KEPT), st.data())
def test_a_stream_is_put_together_however_it_is_cut_and_repeated(
    data: bytes, draw: st.DataObject
) -> None:
    """Up to what is kept; a segment that comes again adds nothing."""
    sight, at = Sight(0.0), 0
    pieces = 0
    while at < len(data):
        end = draw.draw(st.integers(at + 1, len(data)))
        again = draw.draw(st.integers(1, 2))
        for _ in range(again):
            sight.add(segment(data[at:end], at))
        at, pieces = end, pieces + 1
    assert sight.up == data[:KEPT]
    assert sight.payloads == pieces
    assert len(sight.sizes) == min(pieces, SIZES)


@given(st.lists(st.tuples(st.binary(max_size=50), st.integers(0, 2**32), st.booleans())))
def test_nothing_that_comes_makes_it_raise_or_grow(packets: list[tuple[bytes, int, bool]]) -> None:
    """Holes and overlaps are what streams are made of."""
    sight = Sight(0.0)
    for payload, offset, upwards in packets * 3:
        sight.add(segment(payload, offset, upwards=upwards))
    assert len(sight.up) <= KEPT
    assert len(sight.down) <= KEPT
    assert len(sight.sizes) <= SIZES


@given(st.permutations(range(5)), st.lists(st.integers(0, 4)))
def test_segments_may_come_in_any_order_and_again(order: list[int], again: list[int]) -> None:
    """What overtook another is kept until its turn."""
    pieces = [bytes([number]) * 10 for number in range(5)]
    sight = Sight(0.0)
    for number in [*order, *again]:
        sight.add(segment(pieces[number], number * 10))
    assert sight.up == b"".join(pieces)
    assert sight.payloads == 5


def test_of_datagrams_the_first_of_each_direction_is_kept_and_all_sizes_count() -> None:
    """Sizes towards the client are negative."""
    sight = Sight(0.0)
    for payload, upwards in ((b"one", True), (b"answer", False), (b"one", True), (b"", True)):
        ends = (CLIENT, SERVER) if upwards else (SERVER, CLIENT)
        sight.add(Packet(Transport.UDP, *ends, payload, upwards))
    assert (sight.up, sight.down) == (b"one", b"answer")
    assert list(sight.sizes) == [3, -6, 3]
    assert sight.payloads == 3
    assert sight.hello is None
