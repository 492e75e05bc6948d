"""The neutral control's far half: it answers its own kind and nothing else."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.handshakes.echo import MAX_FLOWS, Echo, EchoServer
from circumtest.model import Address, Role, Transport
from circumtest.script import Flow
from circumtest.wire import echo

SECRET = b"secret"
NONCE = b"12345678"
SERVER, CALLER = Address("203.0.113.10", 9000), Address("192.0.2.2", 40000)


def flow(transport: Transport, port: int = 40000) -> Flow:
    """From a port of the caller."""
    return Flow(transport, SERVER, CALLER._replace(port=port))


def say(server: EchoServer, chunks: Iterable[bytes], transport: Transport) -> list[bytes]:
    """What it answers."""
    return [emit.data for chunk in chunks for emit in server.receive(flow(transport), chunk, 0.0)]


@pytest.mark.parametrize("size", [20, 64, 1400])
def test_a_request_is_answered_with_as_many_bytes(size: int) -> None:
    """One datagram, or a stream in pieces of any size."""
    asked = echo.request(NONCE, size, SECRET)
    for step in (1, 7, 10, size):
        pieces = [asked[i : i + step] for i in range(0, size, step)]
        (answer,) = say(EchoServer("secret"), pieces, Transport.TCP)
        assert answer == echo.answer(asked, *CALLER, SECRET)
    assert say(EchoServer("secret"), [asked], Transport.UDP) == [answer]


def test_a_stream_that_ends_leaves_nothing_for_the_next_on_the_same_port() -> None:
    """Half a request, an end, a whole one."""
    server = EchoServer("secret")
    asked = echo.request(NONCE, 64, SECRET)

    assert say(server, [asked[:30], b""], Transport.TCP) == []
    assert len(say(server, [asked], Transport.TCP)) == 1


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_garbage_is_not_answered(chunks: list[bytes]) -> None:
    """Neither as datagrams nor as a stream, and no stream is kept for long."""
    server = EchoServer("secret")
    for transport in Transport:
        assert say(server, chunks, transport) == []
    assert sum(map(len, server._streams.values())) <= echo.MAX_STREAM


def test_unfinished_streams_are_bounded() -> None:
    """The oldest are forgotten first."""
    server = EchoServer("secret")
    for port in range(MAX_FLOWS + 10):
        assert tuple(server.receive(flow(Transport.TCP, port), b"abc", 0.0)) == ()

    assert len(server._streams) == MAX_FLOWS


def test_it_takes_any_other_handshakes_transport_port_and_size() -> None:
    """From the 20 bytes of a STUN header on; it is a control and asks one host."""
    control = Echo(Transport.TCP, 443, 43)

    assert (control.listen.transport, control.listen.port, control.listen.hosts) == ("tcp", 443, 1)
    assert (control.opening, control.role) == (43, Role.CONTROL)
    with pytest.raises(ValueError, match="1400"):
        Echo(size=1401)
    assert Echo(Transport.TCP, size=1401).opening == 1401
