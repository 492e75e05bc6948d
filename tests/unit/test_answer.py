"""Several answerers at one place."""

from collections.abc import Iterable

from circumtest.answer import MAX_FLOWS, Mux
from circumtest.model import Address, Transport
from circumtest.script import Emit, Flow

LOCAL = Address("203.0.113.10", 3478)
TCP = Flow(Transport.TCP, LOCAL, Address("192.0.2.2", 4000))


class Greeter:
    """Answers data that begins with its word; wants to be woken at `due`."""

    def __init__(self, word: bytes, due: float | None = None) -> None:
        self.word, self.due, self.heard = word, due, list[bytes]()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        self.heard.append(data)
        return (Emit(flow, b"hi " + self.word),) if data.startswith(self.word) else ()

    def timer(self) -> float | None:
        return self.due

    def tick(self, now: float) -> Iterable[Emit]:
        self.due = None
        return (Emit(TCP, b"tick " + self.word),)


def test_the_first_that_answers_a_flow_owns_it() -> None:
    """What comes later on the flow is the owner's alone."""
    one, two = Greeter(b"one"), Greeter(b"two")
    mux = Mux([one, two])

    assert [emit.data for emit in mux.receive(TCP, b"two", 0.0)] == [b"hi two"]
    assert list(mux.receive(TCP, b"one", 0.0)) == []
    assert one.heard == [b"two", b""]  # told that there is nothing more to hear
    assert two.heard == [b"two", b"one"]


def test_a_stream_that_ended_is_owned_no_more() -> None:
    """The same addresses are then another connection."""
    mux = Mux([Greeter(b"one"), Greeter(b"two")])
    list(mux.receive(TCP, b"two", 0.0))
    list(mux.receive(TCP, b"", 0.0))

    assert [emit.data for emit in mux.receive(TCP, b"one", 0.0)] == [b"hi one"]


def test_only_those_whose_time_has_come_are_woken() -> None:
    """The earliest wish is the mux's own."""
    mux = Mux([Greeter(b"late", 9.0), Greeter(b"soon", 2.0), Greeter(b"never")])

    assert mux.timer() == 2.0
    assert [emit.data for emit in mux.tick(3.0)] == [b"tick soon"]
    assert mux.timer() == 9.0


def test_the_memory_of_flows_is_bounded() -> None:
    """The oldest is forgotten first."""
    one = Greeter(b"one")
    mux = Mux([one])
    for number in range(MAX_FLOWS + 10):
        flow = Flow(Transport.UDP, LOCAL, Address(f"192.0.2.{number % 200}", number % 65535 + 1))
        list(mux.receive(flow, b"one", 0.0))

    assert len(mux._owners) <= MAX_FLOWS
