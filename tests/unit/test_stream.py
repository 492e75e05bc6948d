"""One direction of a simulated stream: in order, whatever is lost and whenever it is known."""

import heapq
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.policy import Way
from circumtest.model import Address, Transport
from circumtest.script import Flow
from circumtest.stream import AHEAD, HEADERS, MSS, RTO, Load, Pipe

FLOW = Flow(Transport.TCP, Address("203.0.113.10", 443), Address("192.0.2.2", 40001))
ONE_WAY = 0.05


class Road:
    """Carries what `loses` does not take, `takes(n)` seconds each; a loss is known at once."""

    mtu = 1500

    def __init__(
        self,
        loses: Callable[[int], bool] = lambda _: False,
        takes: Callable[[int], float] = lambda _: ONE_WAY,
        *,
        lossy: bool = False,
    ) -> None:
        self.now = 0.0
        self.trip, self.back, self.lossy = 2 * ONE_WAY * lossy, ONE_WAY, lossy
        self.carried: list[tuple[float, Load]] = []
        self.came: list[tuple[float, bytes]] = []
        self._loses, self._takes = loses, takes
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.now + seconds, self._order, call))

    def carry(self, load: Load, arrived: Callable[[], None], lost: Callable[[], None]) -> None:
        number = len(self.carried)
        self.carried.append((self.now, load))
        if self._loses(number):
            lost()
        else:
            self.after(self._takes(number), arrived)

    def arrive(self, flow: Flow, data: bytes) -> None:
        assert flow == FLOW
        self.came.append((self.now, data))

    def run(self) -> None:
        while self._events:
            self.now, _, call = heapq.heappop(self._events)
            call()


def pipe(road: Road) -> Pipe:
    """Upwards."""
    return Pipe(road, FLOW, road.arrive, upwards=True)


def words(number: int) -> list[bytes]:
    """As many segments that differ."""
    return [b"%d" % one for one in range(number)]


def test_bytes_are_cut_into_segments_that_know_their_place() -> None:
    """Each with how many bytes went before, and the last one ends the stream."""
    road = Road()
    it = pipe(road)
    it.push(bytes(MSS + 1))
    it.push(b"", last=True)

    loads = [load for _, load in road.carried]
    assert [len(load.data) for load in loads] == [MSS, 1, 0]
    assert [load.offset for load in loads] == [0, MSS, MSS + 1]
    assert [load.last for load in loads] == [False, False, True]
    packet = loads[1].packet
    assert (packet.source, packet.destination, packet.upwards) == (FLOW.remote, FLOW.local, True)
    assert loads[1]._replace(way=Way.DOWN).packet.source == FLOW.local


def test_segments_are_no_longer_than_the_links_carry() -> None:
    """By the least MTU of the way."""
    road = Road()
    road.mtu = 1280
    pipe(road).push(bytes(3000))

    assert max(len(load.data) for _, load in road.carried) == 1280 - HEADERS


def test_behind_a_censor_the_rest_waits_for_what_was_lost() -> None:
    """It is sent again after 0.2, 0.6 and 1.4 s, and then everything at once."""
    road = Road(lambda number: 1 <= number <= 3)
    it = pipe(road)
    for word in words(4):
        it.push(word)
    road.run()

    assert [at for at, _ in road.carried] == pytest.approx([0, 0, RTO, 3 * RTO] + [7 * RTO] * 3)
    assert [data for _, data in road.came] == words(4)


def test_on_a_lossy_link_what_comes_later_tells_of_the_gap() -> None:
    """It is filled a round trip after the next one was sent, long before the time-out."""
    road = Road(lambda number: number == 0, lossy=True)
    it = pipe(road)
    for word in words(3):
        it.push(word)
    road.run()

    assert [load.data for _, load in road.carried] == [b"0", b"1", b"2", b"0"]
    assert road.carried[3][0] == pytest.approx(2 * ONE_WAY)
    assert [data for _, data in road.came] == words(3)
    assert road.came[0][0] == pytest.approx(3 * ONE_WAY)


def test_on_a_lossy_link_the_last_segment_waits_for_the_time_out() -> None:
    """Nothing follows that could tell; it comes after a round trip and 0.2 s."""
    road = Road(lambda number: number == 0, lossy=True)
    pipe(road).push(b"x")
    road.run()

    assert road.carried[1][0] == pytest.approx(RTO + 2 * ONE_WAY)


def test_on_a_dead_lossy_link_only_so_many_are_sent_ahead() -> None:
    """As a window would have it."""
    road = Road(lambda _: True, lossy=True)
    it = pipe(road)
    for word in words(3 * AHEAD):
        it.push(word)

    assert len(road.carried) == AHEAD


def test_a_stream_that_is_cut_sends_nothing_more() -> None:
    """Neither what waits nor what was lost."""
    road = Road(lambda number: number == 0)
    it = pipe(road)
    it.push(b"x")
    it.push(b"y")
    it.cut()
    road.run()

    assert len(road.carried) == 1


@given(st.integers(), st.floats(0.0, 0.5), st.integers(0, 60), st.booleans())
def test_all_arrives_once_and_in_order(seed: int, share: float, number: int, lossy: bool) -> None:
    """Whatever is lost, and however late one is."""
    rng = Random(seed)
    losses = {one for one in range(500) if rng.random() < share}
    road = Road(lambda n: n in losses, lambda _: rng.uniform(0.0, 0.3), lossy=lossy)
    it = pipe(road)
    for word in words(number):
        road.after(rng.uniform(0.0, 1e-9), lambda word=word: it.push(word))  # type: ignore[misc]
    road.run()

    assert sorted(data for _, data in road.came) == sorted(words(number))
    sent = {load.data: load.offset for _, load in road.carried}
    assert [sent[data] for _, data in road.came] == sorted(sent.values())
