"""The helpers of the language: what they yield, and what they make of the reply."""

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Stage, Transport
from circumtest.script import (
    UDP_PATIENCE,
    Channel,
    Close,
    Enter,
    Now,
    Open,
    Recv,
    Send,
    close,
    enter,
    open_tcp,
    open_udp,
    recv,
    send,
)

REMOTE = Address("203.0.113.10", 443)
CHANNEL = Channel(1, Transport.TCP, REMOTE)


def test_opening_gives_the_channel_that_the_player_opened() -> None:
    """UDP waits a fixed time, TCP as long as it is told."""
    for script, transport, patience in (
        (open_udp(REMOTE), Transport.UDP, UDP_PATIENCE),
        (open_tcp(REMOTE, 3.0), Transport.TCP, 3.0),
    ):
        assert next(script) == Now()
        assert script.send(100.0) == Open(transport, REMOTE, 100.0 + patience)
        with pytest.raises(StopIteration) as done:
            script.send(CHANNEL)
        assert done.value.value is CHANNEL


def test_a_cause_instead_of_a_channel_is_a_failed_handshake() -> None:
    """What the network said goes with it."""
    script = open_tcp(REMOTE, 3.0)
    next(script)
    script.send(100.0)

    with pytest.raises(HandshakeFailed) as failed:
        script.send(Cause.REFUSED)
    assert failed.value.cause is Cause.REFUSED


def test_the_others_yield_one_command_each() -> None:
    """A datagram goes to the channel's own remote unless another is named."""
    other = Address("203.0.113.11", 443)

    assert next(send(CHANNEL, b"x")) == Send(CHANNEL, b"x", REMOTE)
    assert next(send(CHANNEL, b"x", other)) == Send(CHANNEL, b"x", other)
    assert next(recv(5.0)) == Recv(5.0)
    assert next(enter(Stage.BINDING)) == Enter(Stage.BINDING)
    assert next(close(CHANNEL)) == Close(CHANNEL)
