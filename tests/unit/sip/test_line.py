"""The way of signalling: messages out of datagrams and streams, and what is none."""

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream
from circumtest.model import Address, Carrier, Cause, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel
from circumtest.sip.line import Datagrams, Streamed
from circumtest.wire import sip
from circumtest.wire.sip import Request

FAR = Address("203.0.113.10", 5060)
REQUEST = Request(
    (
        ("Via", "SIP/2.0/UDP x.invalid;branch=z9hG4bKone"),
        ("From", "<sip:a@x>;tag=one"),
        ("To", "<sip:b@x>"),
        ("Call-ID", "call"),
        ("CSeq", "1 OPTIONS"),
    ),
    b"",
    "OPTIONS",
    "sip:b@x",
)


def arrival(channel: Channel, data: bytes | Cause, source: Address = FAR) -> Arrival:
    """Something that came in."""
    return Arrival(channel, data, source, 1.0)


def test_a_datagram_is_a_message_or_as_if_it_had_not_come() -> None:
    """Garbage, another source, an error."""
    channel = Channel(1, Transport.UDP, FAR)
    line = Datagrams(Straight(channel, FAR))
    data = sip.pack(REQUEST)

    assert line.encode(REQUEST).data == data
    assert list(line.decode(arrival(channel, data))) == [REQUEST]
    assert not line.reliable
    for other in (
        arrival(channel, b"\r\n\r\n"),
        arrival(channel, data, FAR._replace(port=1)),
        arrival(channel, Cause.REFUSED),
        arrival(Channel(2, Transport.UDP, FAR), data),
    ):
        assert list(line.decode(other)) == []


def test_a_stream_is_cut_into_messages() -> None:
    """Two and a half of them, then the rest."""
    channel = Channel(1, Transport.TCP, FAR)
    line = Streamed(Stream(channel), Carrier.TCP)
    data = sip.pack(REQUEST)

    assert line.encode(REQUEST).data == data
    assert line.reliable
    assert list(line.decode(arrival(channel, data * 2 + data[:20]))) == [REQUEST, REQUEST]
    assert list(line.decode(arrival(Channel(2, Transport.UDP, FAR), data))) == []
    assert list(line.decode(arrival(channel, data[20:]))) == [REQUEST]


def test_a_stream_that_cannot_be_framed_is_malformed() -> None:
    """Whatever comes later has no meaning."""
    channel = Channel(1, Transport.TCP, FAR)
    line = Streamed(Stream(channel), Carrier.TCP)

    with pytest.raises(HandshakeFailed) as caught:
        line.decode(arrival(channel, b"no SIP at all\r\n\r\n"))
    assert caught.value.cause is Cause.MALFORMED
