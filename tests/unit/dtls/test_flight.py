"""Messages put together from fragments in any order, and flights sent until they are answered."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from circumtest.dtls.flight import (
    LONGEST_WAIT,
    MAX_MESSAGE,
    MTU,
    WINDOW,
    Assembly,
    Message,
    Piece,
    Sender,
    cut,
)
from circumtest.wire.dtls import Fragment, Record, fragments, records


def plain(kind: int, seq: int, body: bytes) -> bytes:
    """An unsealed record."""
    return Record(kind, 0, seq, body).pack()


def pieces(message: Message, mtu: int = 100) -> list[Fragment]:
    """A message in fragments."""
    return [one for piece in cut(message, mtu) for one in fragments(piece.body)]


@given(
    st.lists(st.binary(max_size=700), min_size=1, max_size=WINDOW),
    st.randoms(use_true_random=False),
    st.integers(40, 1200),
)
def test_messages_come_whole_and_in_order_however_their_fragments_come(
    bodies: list[bytes], random: Random, mtu: int
) -> None:
    """Shuffled, and every fragment twice."""
    messages = [Message(1, seq, body) for seq, body in enumerate(bodies)]
    flying = [piece for message in messages for piece in pieces(message, mtu)] * 2
    random.shuffle(flying)
    assembly, taken = Assembly(), []
    for piece in flying:
        assembly.put(piece, 0)
        while (message := assembly.take((0,))) is not None:
            taken.append(message)

    assert taken == messages


def test_a_message_of_another_epoch_is_not_taken() -> None:
    """What should have been sealed and was not is another message."""
    assembly = Assembly()
    assembly.put(Fragment(20, 2, 0, 0, b"no"), 0)

    assert assembly.take((1,)) is None
    assembly.put(Fragment(20, 3, 0, 0, b"yes"), 1)
    assert assembly.take((1,)) == Message(20, 0, b"yes", 1)


def test_a_fragment_that_fits_no_other_one_of_its_message_is_dropped() -> None:
    """Another type or length under the same number."""
    assembly = Assembly()
    assembly.put(Fragment(11, 4, 0, 0, b"ab"), 0)
    assembly.put(Fragment(12, 4, 0, 2, b"xx"), 0)
    assembly.put(Fragment(11, 5, 0, 2, b"xx"), 0)
    assert assembly.take((0,)) is None

    assembly.put(Fragment(11, 4, 0, 2, b"cd"), 0)
    assert assembly.take((0,)) == Message(11, 0, b"abcd")


def test_what_is_kept_of_strangers_bytes_is_bounded() -> None:
    """Far ahead, too long, or over: nothing is kept of it."""
    assembly = Assembly()
    for seq in range(1000):
        assembly.put(Fragment(1, MAX_MESSAGE, seq, 0, b"x"), seq % 2)
        assembly.put(Fragment(1, MAX_MESSAGE + 1, seq, 0, b"x"), 0)

    assert len(assembly._parts) <= WINDOW


def test_messages_are_hashed_as_each_version_wants_it() -> None:
    """With the header of one fragment, or with TLS's."""
    message = Message(14, 3, b"ab")

    assert message.long().hex() == "0e000002" + "0003" + "000000" + "000002" + "6162"
    assert message.short().hex() == "0e000002" + "6162"


def test_a_flight_is_sent_again_with_waits_that_double() -> None:
    """In records of numbers that were never used, up to a longest wait."""
    sender = Sender(1.0, plain)
    flight = cut(Message(1, 0, bytes(50)))
    seen, waits, now = [sender.begin(flight, 0.0)], [], 0.0
    for _ in range(9):
        assert sender.due is not None
        waits.append(sender.due - now)
        now = sender.due
        seen.append(sender.again(now))

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[LONGEST_WAIT] * 3]
    numbers = [next(records(datagrams[0])).seq for datagrams in seen]
    assert numbers == list(range(10))
    sender.rest()
    assert sender.due is None


def test_a_flight_is_packed_into_datagrams_that_fit() -> None:
    """Several records in one where there is room."""
    sender = Sender(1.0, plain)
    flight = cut(Message(11, 0, bytes(1500))) + cut(Message(16, 1, bytes(60)))
    sizes = [len(datagram) for datagram in sender.begin(flight, 0.0)]

    assert sizes == [MTU, 1500 - (MTU - 25) + 25 + 60 + 25]


def test_what_was_acknowledged_is_not_sent_again() -> None:
    """By any of the records that it was in; the flight is over when nothing is left."""
    sender = Sender(1.0, plain)
    sender.begin([Piece(0, 22, b"one"), Piece(0, 22, b"two")], 0.0)
    assert not sender.acknowledge([(0, 0)])
    (datagram,) = sender.again(1.0)

    assert [record.body for record in records(datagram)] == [b"two"]
    assert not sender.acknowledge([(7, 7)])
    assert sender.acknowledge([(0, 1)])
    assert sender.due is None
