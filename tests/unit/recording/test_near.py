"""The caller's half, seen from its packets: when each leaves, and what it makes of early sound."""

from collections.abc import Iterator
from random import Random

import pytest

from circumtest.censor.packet import Packet, Verdict
from circumtest.handshakes.recorded import Recorded
from circumtest.model import Success, Transport
from circumtest.recording import Frame, Kind, Place, Recording
from circumtest.recording.text import dumps
from circumtest.simulate import CLIENT, START, far_end, simulate


class Watch:
    """Notes when each packet passed, and whether it went up."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, float]] = []

    def judge(self, packet: Packet, now: float) -> Verdict:
        if packet.payload:
            self.seen.append((packet.source.host in CLIENT.values(), now - START))
        return Verdict.PASS


def talk(*said: tuple[str, float], transport: Transport = Transport.UDP) -> str:
    """A recording of random words."""
    frames = tuple(
        Frame(at, way == "client", bytes(30), (Place(0, 30, Kind.RANDOM),)) for way, at in said
    )
    return dumps(Recording(transport, 9, frames))


def passed(text: str, idle: float = 1.0) -> Iterator[tuple[bool, float]]:
    """The packets of one play without a censor."""
    handshake, watch = Recorded(text=text, idle=idle), Watch()
    target, services = far_end(handshake)
    record = simulate(handshake.script(target, Random(1)), services, watch)
    assert record.outcome == Success()
    return iter(watch.seen)


@pytest.mark.parametrize("transport", list(Transport))
def test_frames_leave_in_their_recorded_time_behind_what_they_waited_for(
    transport: Transport,
) -> None:
    """The caller's from the answer before on, the far half's from the question on."""
    said = (("client", 0.0), ("client", 0.1), ("server", 0.3), ("client", 0.8), ("server", 0.9))
    ways, times = zip(*passed(talk(*said, transport=transport)), strict=True)
    begun = times[0]

    assert ways == (True, True, False, True, False)
    # 10 ms each way beside what was recorded
    expected = (0.0, 0.1, 0.31, 0.82, 0.93)
    assert [at - begun for at in times] == pytest.approx(expected, abs=0.002)


def test_long_pauses_are_cut_short_on_both_sides() -> None:
    """To what the configuration says."""
    said = (("client", 0.0), ("server", 30.0), ("client", 90.0), ("server", 200.0))
    times = [at for _, at in passed(talk(*said), idle=0.5)]

    assert times[-1] - times[0] == pytest.approx(1.53, abs=0.02)


def test_the_answers_of_a_turn_may_come_in_any_order_and_twice() -> None:
    """Only all of them must come."""
    said = (("client", 0.0), *(("server", n / 10) for n in range(1, 6)), ("client", 0.6))
    said = (*said, ("server", 0.7))

    class Twice(Watch):
        """The third answer is lost, so that the turn is played again."""

        def judge(self, packet: Packet, now: float) -> Verdict:
            super().judge(packet, now)
            return Verdict.DROP if len(self.seen) == 4 else Verdict.PASS

    handshake = Recorded(text=talk(*said))
    target, services = far_end(handshake)
    watch = Twice()

    assert simulate(handshake.script(target, Random(1)), services, watch).outcome == Success()
    assert len([up for up, _ in watch.seen if up]) == 3
