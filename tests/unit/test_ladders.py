"""Retransmission and stream reading: what is asked when, and what ends the asking."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from typing import TypeVar

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.ladders import Stream, doubling, exchange, steady
from circumtest.model import Address, Cause, Transport
from circumtest.script import Arrival, Channel, Now, Recv, Script, Send

T = TypeVar("T")
REMOTE = Address("203.0.113.10", 3478)
UDP = Channel(1, Transport.UDP, REMOTE)
TCP = Channel(2, Transport.TCP, REMOTE)
OTHER = Channel(3, Transport.TCP, REMOTE)
Coming = tuple[float, Channel, bytes | Cause]


class World:
    """Performs a script's commands; arrivals come at their seconds, nothing else takes time."""

    def __init__(self, arrivals: Iterable[Coming] = ()) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self._inbox = deque(Arrival(channel, data, REMOTE, at) for at, channel, data in arrivals)

    def run(self, script: Script[T]) -> T:
        reply: object = None
        while True:
            try:
                command = script.send(reply)
            except StopIteration as end:
                value: T = end.value
                return value
            reply = None
            match command:
                case Now():
                    reply = self.now
                case Send(_, data, _):
                    self.sent.append((self.now, data))
                case Recv(until):
                    come = self._inbox and self._inbox[0].at <= until
                    reply = self._inbox.popleft() if come else None
                    self.now = max(self.now, reply.at if isinstance(reply, Arrival) else until)


def ask(
    *arrivals: Coming, offsets: Sequence[float] = (0.0, 0.5, 1.5), patience: float = 3.0
) -> tuple[World, Script[bytes]]:
    """A world, and an exchange in it that accepts b"yes" and numbers its requests."""
    numbers = count()

    def request() -> Iterable[Send]:
        yield Send(UDP, str(next(numbers)).encode(), REMOTE)

    def accept(arrival: Arrival) -> bytes | None:
        if arrival.data == b"no":
            raise HandshakeFailed(Cause.ERROR_REPLY, "486")
        return b"yes" if arrival.data == b"yes" else None

    return World(arrivals), exchange(request, accept, offsets, patience)


def failure(world: World, script: Script[bytes]) -> tuple[Cause, float]:
    """Why it failed, and when."""
    with pytest.raises(HandshakeFailed) as caught:
        world.run(script)
    return caught.value.cause, world.now


def test_schedules_are_what_their_names_say() -> None:
    """RFC 8489's doubling, and one a second that stops short of the patience."""
    assert doubling(0.5, 7) == (0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5)
    assert steady(1.0, 3.0) == (0, 1, 2)
    assert steady(1.0, 2.5) == (0, 1, 2)
    assert steady(1.0, 0.0) == ()


def test_the_first_answer_ends_the_asking() -> None:
    """Requests are made anew each time, and none after it."""
    world, script = ask((0.7, UDP, b"yes"))

    assert world.run(script) == b"yes"
    assert world.sent == [(0.0, b"0"), (0.5, b"1")]
    assert world.now == 0.7


def test_silence_is_a_timeout_after_the_whole_schedule() -> None:
    """At the patience's end, and not at the last request."""
    world, script = ask()

    assert failure(world, script) == (Cause.TIMEOUT, 3.0)
    assert [at for at, _ in world.sent] == [0.0, 0.5, 1.5]


def test_requests_beyond_the_patience_are_not_sent() -> None:
    """A long schedule serves a short patience."""
    world, script = ask(offsets=doubling(0.5, 7), patience=3.0)

    assert failure(world, script) == (Cause.TIMEOUT, 3.0)
    assert [at for at, _ in world.sent] == [0.0, 0.5, 1.5]


def test_a_flood_of_garbage_is_neither_an_answer_nor_a_delay() -> None:
    """Requests keep their times, and the end comes when it should."""
    world, script = ask(*((n / 100, UDP, b"garbage") for n in range(1000)))

    assert failure(world, script) == (Cause.TIMEOUT, 3.0)
    assert [at for at, _ in world.sent] == [0.0, 0.5, 1.5]


def test_an_icmp_error_is_the_cause_only_when_nothing_better_comes() -> None:
    """It may have been forged, or mean one relay of several."""
    assert failure(*ask((0.1, UDP, Cause.REFUSED))) == (Cause.REFUSED, 3.0)

    world, script = ask((0.1, UDP, Cause.REFUSED), (0.2, UDP, b"yes"))
    assert world.run(script) == b"yes"


def test_a_refusal_that_was_recognised_ends_it_at_once() -> None:
    """No use in asking on."""
    assert failure(*ask((0.1, UDP, b"no"))) == (Cause.ERROR_REPLY, 0.1)


def test_a_stream_that_ends_ends_it_at_once() -> None:
    """Nothing can come on it any more."""
    assert failure(*ask((0.1, TCP, Cause.RESET))) == (Cause.RESET, 0.1)


def test_a_stream_is_read_in_pieces_of_any_size() -> None:
    """Chunks of the network and reads of the protocol need not match."""
    world = World([(0.1, TCP, b"abc"), (0.2, TCP, b"de"), (0.3, TCP, b"fgh")])
    stream = Stream(TCP)

    assert [world.run(stream.read_exactly(n, 1.0)) for n in (1, 4, 3)] == [b"a", b"bcde", b"fgh"]


@pytest.mark.parametrize(
    ("arrivals", "cause", "at"),
    [
        ([(0.1, TCP, b"ab")], Cause.TIMEOUT, 1.0),
        ([(0.1, TCP, b"ab"), (0.2, TCP, Cause.EOF)], Cause.EOF, 0.2),
        ([(0.2, TCP, Cause.RESET)], Cause.RESET, 0.2),
    ],
)
def test_a_stream_that_does_not_go_on_says_why(
    arrivals: list[Coming], cause: Cause, at: float
) -> None:
    """Silence, an orderly end, a reset."""
    world = World(arrivals)

    assert failure(world, Stream(TCP).read_exactly(3, 1.0)) == (cause, at)


def test_what_came_before_the_end_can_still_be_read() -> None:
    """The end counts once there is nothing left."""
    world = World([(0.1, TCP, b"abc"), (0.1, TCP, Cause.EOF)])
    stream = Stream(TCP)

    assert world.run(stream.read_exactly(3, 1.0)) == b"abc"
    assert failure(world, stream.read_exactly(1, 1.0)) == (Cause.EOF, 0.1)


def test_streams_that_share_what_is_set_aside_lose_nothing_to_each_other() -> None:
    """Reading one of two meets the other's bytes."""
    world = World([(0.1, OTHER, b"12"), (0.2, TCP, b"ab"), (0.3, OTHER, b"34")])
    first, second = Stream(TCP), Stream(OTHER)
    second.aside = first.aside

    assert world.run(first.read_exactly(2, 1.0)) == b"ab"
    assert world.run(second.read_exactly(4, 1.0)) == b"1234"
