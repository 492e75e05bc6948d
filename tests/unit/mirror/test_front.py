"""The front: strangers hear nothing, repeats belong to who said it first, streams end alike."""

import os
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.handshakes.echo import EchoServer
from circumtest.mirror import front as it
from circumtest.mirror.front import Front
from circumtest.mirror.guard import Guard
from circumtest.mirror.hello import KNOCK, PROOF, Greeter
from circumtest.mirror.inventory import VERSION, Inventory
from circumtest.model import Address, Transport
from circumtest.script import Emit, Flow
from circumtest.wire import echo, sealed

SECRET = "s" * 32
HERE = Address("203.0.113.7", 3478)
ASKED = echo.request(b"12345678", 64, SECRET.encode())


def front() -> Front:
    """One that plays an echo."""
    guard = Guard()
    greeter = Greeter(SECRET, Inventory(VERSION, "0", (), (), (), ()), b"k", guard.prove)
    return Front(guard, greeter, EchoServer(SECRET))


def flow(host: str = "192.0.2.1", port: int = 1, transport: Transport = Transport.UDP) -> Flow:
    """Somebody's."""
    return Flow(transport, HERE, Address(host, port))


def said(emits: Iterable[Emit]) -> list[bytes]:
    """What went out."""
    return [emit.data for emit in emits]


def test_a_repeat_from_another_host_is_not_answered_until_it_is_old() -> None:
    """From the same host it is a retransmission, whatever the port."""
    there = front()

    assert len(said(there.receive(flow(), ASKED, 0.0))) == 1
    assert len(said(there.receive(flow(port=2), ASKED, 1.0))) == 1
    assert said(there.receive(flow("192.0.2.9"), ASKED, it.REPLAY - 1)) == []
    assert len(said(there.receive(flow("192.0.2.9"), ASKED, it.REPLAY + 1))) == 1


@given(st.lists(st.binary(max_size=1500), max_size=20))
def test_what_nobody_sealed_is_never_answered(packets: list[bytes]) -> None:
    """Over UDP and over TCP."""
    there = front()
    stream = flow(transport=Transport.TCP)
    there.opened(stream, 0.0)
    for packet in packets:
        assert said(there.receive(flow(), packet, 0.0)) == []
        assert said(there.receive(stream, packet or b"x", 0.0)) == []


def test_a_strangers_stream_is_closed_after_the_same_time_whatever_he_says() -> None:
    """One that was answered lives until nothing has gone either way for longer."""
    there = front()
    silent, loud, ours = (flow(port=port, transport=Transport.TCP) for port in (1, 2, 3))
    for one in (silent, loud, ours):
        assert there.opened(one, 0.0)
    there.receive(loud, b"GET / HTTP/1.0\r\n\r\n", 10.0)
    assert len(said(there.receive(ours, ASKED, 10.0))) == 1

    assert list(there.tick(it.STRANGER)) == []
    closed = list(there.tick(it.STRANGER + 1))
    assert closed == [Emit(silent, b"", close=True), Emit(loud, b"", close=True)]
    assert list(there.tick(10.0 + it.IDLE + 1)) == [Emit(ours, b"", close=True)]
    assert there.streams == 0


def test_streams_are_bounded_for_a_source_and_in_all() -> None:
    """Further ones are closed as they come; room is made again."""
    there = front()
    mine = [flow(port=port, transport=Transport.TCP) for port in range(1, it.MAX_A_SOURCE + 2)]

    assert [there.opened(one, 0.0) for one in mine].count(False) == 1
    there.receive(mine[0], b"", 1.0)
    assert there.opened(mine[-1], 1.0)
    many = (flow(f"10.{n // 256}.{n % 256}.1", 1, Transport.TCP) for n in range(it.MAX_STREAMS))
    assert sum(there.opened(one, 1.0) for one in many) == it.MAX_STREAMS - it.MAX_A_SOURCE


@pytest.mark.parametrize("transport", list(Transport))
def test_garbage_of_a_hellos_size_is_no_hello(transport: Transport) -> None:
    """Nor does it begin one."""
    there, stranger = front(), flow(transport=transport)
    there.opened(stranger, 0.0)
    for size in (300, 1100):
        assert said(there.receive(stranger, os.urandom(size), 0.0)) == []


class _Closes:
    """A far half that takes what it gets for its own, and ends it."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        yield Emit(flow, b"", close=True)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def test_a_hello_in_two_pieces_is_nobody_elses() -> None:
    """A proxy hands on a thousand bytes at once: half of a proof may look like anything."""
    key, packets = SECRET.encode(), []
    guard = Guard()
    greeter = Greeter(SECRET, Inventory(VERSION, "0", (), (), (), ()), b"k", guard.prove)
    there, stream = Front(guard, greeter, _Closes()), flow(transport=Transport.TCP)
    there.opened(stream, 0.0)
    knock = sealed.seal(sealed.fresh(b"12345678"), b"", KNOCK, key, b"knock")
    (answer,) = said(there.receive(stream, knock, 0.0))
    cookie = sealed.unseal(answer, key, b"cookie")
    proof = sealed.seal(sealed.fresh(b"abcdefgh"), cookie[:20], PROOF, key, b"proof")
    for piece in (proof[:1024], proof[1024:]):
        packets += list(there.receive(stream, piece, 1.0))

    assert [(len(one.data), one.close) for one in packets] == [(PROOF, False)]


def test_nobody_shuts_a_stranger_out_before_the_others_are() -> None:
    """Whatever a far half makes of his bytes: all ports are alike to him."""
    guard = Guard()
    greeter = Greeter(SECRET, Inventory(VERSION, "0", (), (), (), ()), b"k", guard.prove)
    there, stream = Front(guard, greeter, _Closes()), flow(transport=Transport.TCP)
    there.opened(stream, 0.0)

    assert list(there.receive(stream, bytes(200), 1.0)) == []
    assert not guard.knows(stream.remote, 1.0)
    assert [one.close for one in there.tick(it.STRANGER + 1)] == [True]
