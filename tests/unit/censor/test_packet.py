"""A packet at a censor."""

from circumtest.censor.packet import Packet, Verdict
from circumtest.model import Address, Transport


def test_a_packet_knows_its_sides_and_its_size_on_the_wire() -> None:
    """Headers counted as conntrack counts them."""
    client, server = Address("192.0.2.2", 40000), Address("203.0.113.10", 443)
    up = Packet(Transport.TCP, client, server, b"x" * 10)
    down = Packet(Transport.UDP, server, client, b"", upwards=False)
    assert (up.client, up.server, up.size) == (client, server, 50)
    assert (down.client, down.server, down.size) == (client, server, 28)
    six = Packet(Transport.UDP, Address("2001:db8::1", 1), Address("2001:db8::2", 2), b"x")
    assert six.size == 49


def test_whose_doing_a_verdict_is_makes_no_difference_to_it() -> None:
    """Nor whether it is for good."""
    assert Verdict(passes=False, rule="a", settled=True) == Verdict.DROP != Verdict.PASS
