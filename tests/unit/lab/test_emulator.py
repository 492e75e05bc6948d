"""The emulator holds packets for as long as their link takes, by any clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.middlebox.netlink import ACCEPT, DROP, Queued
from circumtest.censor.policy import Conditions, Way
from circumtest.impair import Impairment
from circumtest.lab.emulator import LEAD, Emulator, length

UP, DOWN = 2, 3
PACKET = bytes.fromhex("4500 0064 0000 4000 4011 0000 c0000202 cb00710a".replace(" ", ""))
"""The header of a packet of 100 bytes."""


class Tray:
    """Packets that are put in, and verdicts that have been sent."""

    def __init__(self) -> None:
        self.waiting: list[Queued] = []
        self.sent: list[tuple[int, int]] = []
        self._verdicts: list[tuple[int, int]] = []

    def receive(self) -> list[Queued]:
        found, self.waiting = self.waiting, []
        return found

    def verdict(self, packet: Queued, verdict: int = ACCEPT) -> None:
        self._verdicts.append((packet.id, verdict))

    def flush(self) -> None:
        self.sent += self._verdicts
        self._verdicts.clear()


def emulated(up: Conditions, down: Conditions | None = None) -> tuple[Tray, Emulator]:
    """Two directions of a link."""
    links = {
        UP: Impairment(up, 1, Way.UP),
        DOWN: Impairment(down or up, 1, Way.DOWN),
    }
    tray = Tray()
    return tray, Emulator(tray, links)


def put(tray: Tray, *packets: int, queue: int = UP) -> None:
    """Packets come in."""
    tray.waiting += [Queued(queue, packet, 1, PACKET) for packet in packets]


def test_a_packet_is_held_until_it_is_due() -> None:
    """The way here and back, which was measured, is not waited for again."""
    tray, emulator = emulated(Conditions(delay=0.04))
    put(tray, 7)
    emulator.take(1.0)

    assert emulator.release(1.0) == pytest.approx(0.04 - LEAD)
    assert tray.sent == []
    assert emulator.release(1.04 - LEAD) is None
    assert tray.sent == [(7, ACCEPT)]


def test_what_is_due_first_goes_first_and_of_equals_what_came_first() -> None:
    """Both directions share one clock, not one line."""
    tray, emulator = emulated(Conditions(delay=0.04), Conditions(delay=0.01))
    put(tray, 1, 2)
    emulator.take(1.0)
    put(tray, 3, queue=DOWN)
    emulator.take(1.01)

    assert emulator.release(1.02) == pytest.approx(0.02 - LEAD)
    emulator.release(2.0)
    assert tray.sent == [(3, ACCEPT), (1, ACCEPT), (2, ACCEPT)]


def test_what_is_lost_is_dropped_at_once() -> None:
    """As the seed says, packet by packet."""
    asked = Conditions(loss=0.3, delay=1.0)
    tray, emulator = emulated(asked)
    put(tray, *range(50))
    emulator.take(1.0)
    emulator.release(1.0)
    twin = Impairment(asked, 1, Way.UP)

    gone = [number for number in range(50) if twin.leaves(100, 1.0) is None]
    assert gone
    assert tray.sent == [(number, DROP) for number in gone]


def test_a_packet_takes_its_whole_length_on_a_slow_link() -> None:
    """Though only its beginning is copied."""
    tray, emulator = emulated(Conditions(rate=1000))
    put(tray, 1)
    emulator.take(1.0)

    assert emulator.release(1.0) == pytest.approx(0.1 - LEAD)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PACKET, 100),
        (bytes.fromhex("600000000040113f"), 104),
        (bytes.fromhex("6000"), 0),
        (b"", 0),
    ],
)
def test_a_length_is_that_of_the_whole_packet(data: bytes, size: int) -> None:
    """IPv6 does not count its own header; what is too short to say has none."""
    assert length(data) == size


@given(st.binary(max_size=64))
def test_garbage_has_a_length_too(data: bytes) -> None:
    """Never less than nothing, never more than an IPv6 packet."""
    assert 0 <= length(data) <= 65575
