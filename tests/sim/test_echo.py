"""The neutral control in virtual time."""

from random import Random

import pytest

from circumtest.censor.packet import Packet, Verdict
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.stun_binding import StunBinding
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.handshakes.whatsapp_message import TEST_ROOT, WhatsappMessage
from circumtest.model import Cause, Failure, Level, Stage, Success, Transport
from circumtest.script import Handshake
from circumtest.simulate import CLIENT, START, far_end, simulate

TCP, UDP = Transport.TCP, Transport.UDP


class Watch:
    """Drops the first packets, and keeps sizes and times of all that left."""

    def __init__(self, drop: int = 0) -> None:
        self.sizes: list[int] = []
        self.times: list[float] = []
        self._drop = drop

    def judge(self, packet: Packet, now: float) -> Verdict:
        if packet.source.host in CLIENT.values() and packet.payload:
            self.sizes.append(len(packet.payload))
            self.times.append(round(now - START, 3))
        return Verdict.DROP if len(self.sizes) <= self._drop and self._drop else Verdict.PASS


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("transport", [UDP, TCP])
@pytest.mark.parametrize("size", [20, 38, 212, 1400])
def test_it_comes_back_and_tells_the_address(version: int, transport: Transport, size: int) -> None:
    """From 38 bytes on."""
    echo = Echo(transport, size=size)
    target, services = far_end(echo, version)
    record = simulate(echo.script(target, Random(1)), services)

    assert record.outcome == Success()
    assert (record.exit is not None) == (size >= 38)
    assert record.exit is None or record.exit.host == CLIENT[version]


@pytest.mark.parametrize(
    "other",
    [
        StunBinding(),
        WhatsappCall(),
        WhatsappMessage(root=TEST_ROOT),
        WhatsappMessage(root=TEST_ROOT, form="ed"),
    ],
)
def test_it_stands_in_for_another_handshake_at_the_same_place(other: Handshake) -> None:
    """The first packet has the same size, and both are answered by the one that it is for."""
    control = Echo(other.listen.transport, other.listen.port, other.opening)
    watches = Watch(), Watch()

    for handshake, watch in zip((other, control), watches, strict=True):
        target, services = far_end(other, beside=[control.answerer()])
        record = simulate(handshake.script(target, Random(1)), services, watch)
        assert record.outcome == Success()
    assert watches[0].sizes[0] == watches[1].sizes[0] == other.opening


def test_datagrams_are_sent_again_and_the_last_copy_is_enough() -> None:
    """At 0.5, 1.5, 3.5 and 7.5 s."""
    echo = Echo(level=Level.STANDARD)
    target, services = far_end(echo)
    watch = Watch(drop=4)
    record = simulate(echo.script(target, Random(1)), services, watch)

    assert record.outcome == Success()
    assert watch.times == [0.0, 0.5, 1.5, 3.5, 7.5]


@pytest.mark.parametrize("transport", [UDP, TCP])
@pytest.mark.parametrize(("level", "patience"), [(Level.QUICK, 3.0), (Level.DEEP, 10.0)])
def test_silence_is_a_timeout(transport: Transport, level: Level, patience: float) -> None:
    """After the level's patience."""
    echo = Echo(transport, level=level)
    target, services = far_end(echo)
    record = simulate(echo.script(target, Random(1)), services, Watch(drop=1000))

    assert isinstance(record.outcome, Failure)
    assert (record.outcome.stage, record.outcome.cause) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    assert record.seconds == pytest.approx(patience)


@pytest.mark.parametrize(("transport", "cause"), [(UDP, Cause.TIMEOUT), (TCP, Cause.TIMEOUT)])
def test_another_secret_at_the_far_end_is_silence(transport: Transport, cause: Cause) -> None:
    """It answers nobody that it does not know."""
    echo = Echo(transport)
    target, services = far_end(Echo(transport, secret="another"))
    record = simulate(echo.script(target, Random(1)), services)

    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause == cause
