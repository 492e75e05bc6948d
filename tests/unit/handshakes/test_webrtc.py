"""WebRTC's call as a handshake: what it says of itself, and where its far half listens."""

from circumtest.callee import NAME
from circumtest.handshakes.webrtc import Webrtc
from circumtest.model import Address, Transport
from circumtest.script import Flow, Listen
from circumtest.simulate import far_end
from circumtest.wire import sdp, whip


def test_it_listens_for_offers_beside_the_call() -> None:
    """On the same hosts, over TCP; the first check is its opening."""
    handshake = Webrtc(port=50000, signalling=80)

    assert handshake.listen == Listen(Transport.UDP, 50000)
    assert handshake.also == (Listen(Transport.TCP, 80),)
    assert (handshake.opening, Webrtc(controlling=False).opening) == (100, 96)
    assert set(far_end(handshake)[1]) == {
        (Transport.UDP, Address("203.0.113.10", 50000)),
        (Transport.TCP, Address("203.0.113.10", 80)),
    }


def test_its_far_half_answers_nobody_elses_offer() -> None:
    """Nor anything over UDP that is no check of a call."""
    far = Webrtc().answerer()
    offer = sdp.pack(sdp.Session("127.0.0.1", 1, 1, ()))
    tcp = Flow(Transport.TCP, Address("203.0.113.10", 8080), Address("192.0.2.2", 1))
    udp = Flow(Transport.UDP, Address("203.0.113.10", 40000), Address("192.0.2.2", 1))

    assert list(far.receive(tcp, whip.post("203.0.113.10", 8080, offer), 0.0)) == []
    assert list(far.receive(udp, b"\x16\xfe\xff" + bytes(80), 0.0)) == []
    assert far.timer() is None
    assert NAME
