"""The plainest way to a peer."""

from circumtest.model import Address, Cause, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel, Send

PEER, OTHER = Address("192.0.2.1", 1), Address("192.0.2.9", 1)
CHANNEL = Channel(1, Transport.UDP, PEER)


def test_it_sends_to_its_peer() -> None:
    """Whatever the channel was opened for."""
    assert Straight(CHANNEL, OTHER).encode(b"hello") == Send(CHANNEL, b"hello", OTHER)


def test_only_what_its_peer_sent_came_through_it() -> None:
    """Not others' datagrams, not other channels', not errors."""
    pipe = Straight(CHANNEL, PEER)
    other = Channel(2, Transport.UDP, PEER)

    assert list(pipe.decode(Arrival(CHANNEL, b"hello", PEER, 0.0))) == [b"hello"]
    assert not pipe.decode(Arrival(CHANNEL, b"hello", OTHER, 0.0))
    assert not pipe.decode(Arrival(other, b"hello", PEER, 0.0))
    assert not pipe.decode(Arrival(CHANNEL, Cause.REFUSED, PEER, 0.0))
