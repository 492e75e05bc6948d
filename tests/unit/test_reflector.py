"""The reflector answers and forwards for those it knows, and for nobody else, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest import reflector
from circumtest.model import Address, Transport
from circumtest.reflector import EXPIRY, MAX_A_SOURCE, TcpReflector, UdpReflector
from circumtest.script import Emit, Flow
from circumtest.wire import reflector as wire
from circumtest.wire.reflector import Data, Hello, SelfInfo, TcpHello

CALL = b"\x22" * 11
CALLER, CALLEE = b"\x00" + CALL + b"aaaa", b"\x01" + CALL + b"bbbb"
HERE, THERE = Address("203.0.113.10", 599), Address("203.0.113.11", 599)
NOW = 1_764_000_000.0


def flow(port: int, local: Address = HERE, host: str = "192.0.2.2") -> Flow:
    """A client's UDP port at one reflector."""
    return Flow(Transport.UDP, local, Address(host, port))


def stream(port: int) -> Flow:
    """A client's connection."""
    return Flow(Transport.TCP, HERE, Address("192.0.2.2", port))


def up(payload: bytes = b"sound") -> bytes:
    """Data from caller to callee."""
    return Data(CALLER[:12], CALLEE[12:], CALLER[12:], payload).pack()


def opening(tag: bytes) -> bytes:
    """How a TCP client begins."""
    return wire.PREAMBLE + wire.frame(TcpHello(tag).pack())


def paired() -> UdpReflector:
    """A reflector that both peers have said hello to."""
    server = UdpReflector()
    server.receive(flow(1), Hello(CALLER).pack(), NOW)
    server.receive(flow(2), Hello(CALLEE).pack(), NOW)
    return server


def test_a_hello_is_answered_with_the_address_it_came_from() -> None:
    """Self info: the tag, the time, the query and the sender's address, IPv4 or IPv6."""
    for host in ("192.0.2.2", "2001:db8::2"):
        (emit,) = UdpReflector().receive(flow(7, host=host), Hello(CALLER, 99).pack(), NOW)

        assert emit.flow == flow(7, host=host)
        assert wire.parse(emit.data) == SelfInfo(CALLER, int(NOW), host, 7, 99)


def test_data_goes_to_the_other_peer_under_its_own_role() -> None:
    """Byte 0 becomes the receiver's; everything else stays."""
    (emit,) = paired().receive(flow(1), up(), NOW)

    assert emit == Emit(flow(2), Data(CALLEE[:12], CALLEE[12:], CALLER[12:], b"sound").pack())


def test_data_is_not_forwarded_for_or_to_those_who_said_no_hello() -> None:
    """A stranger's port, a stranger's number, an absent peer, another reflector: silence."""
    server = UdpReflector()
    server.receive(flow(1), Hello(CALLER).pack(), NOW)
    assert not list(server.receive(flow(1), up(), NOW))
    server = paired()
    assert not list(server.receive(flow(3), up(), NOW))
    assert not list(server.receive(flow(1, THERE), up(), NOW))
    alien = Data(CALLER[:12], CALLEE[12:], b"zzzz", b"").pack()
    assert not list(server.receive(flow(1), alien, NOW))
    other_call = Data(b"\x00" + b"\x23" * 11, CALLEE[12:], CALLER[12:], b"").pack()
    assert not list(server.receive(flow(1), other_call, NOW))


def test_nobody_takes_the_place_of_a_living_member() -> None:
    """The same tag from another port is not answered, and data keeps going where it went."""
    server = paired()

    assert not list(server.receive(flow(9), Hello(CALLEE).pack(), NOW + 1))
    (emit,) = server.receive(flow(1), up(), NOW + 1)
    assert emit.flow == flow(2)


def test_the_silent_are_forgotten_and_the_talking_kept() -> None:
    """A minute of silence ends a membership; data renews it."""
    server = paired()
    (emit,) = server.receive(flow(1), up(), NOW + EXPIRY - 1)
    assert emit.flow == flow(2)

    assert not list(server.receive(flow(1), up(), NOW + EXPIRY + 1)), "the callee is gone"
    server.receive(flow(5), Hello(CALLEE).pack(), NOW + EXPIRY + 2)
    (emit,) = server.receive(flow(1), up(), NOW + EXPIRY + 3)
    assert emit.flow == flow(5)


def test_one_source_cannot_fill_the_reflector() -> None:
    """It has so many members and no more; others still get in, and so does it after a while."""
    server = UdpReflector()
    tags = [b"\x00" + CALL + i.to_bytes(4, "big") for i in range(MAX_A_SOURCE + 1)]
    answered = [list(server.receive(flow(i), Hello(t).pack(), NOW)) for i, t in enumerate(tags)]

    assert [bool(emits) for emits in answered] == [True] * MAX_A_SOURCE + [False]
    assert list(server.receive(flow(1, host="192.0.2.3"), Hello(CALLEE).pack(), NOW))
    assert list(server.receive(flow(9999), Hello(tags[-1]).pack(), NOW + EXPIRY))


def test_the_whole_is_bounded_too() -> None:
    """Beyond MAX_MEMBERS nobody new is answered until somebody falls silent."""
    server = UdpReflector()
    hosts = [f"198.18.{i // 200}.{i % 200}" for i in range(reflector.MAX_MEMBERS + 1)]
    for host in hosts[:-1]:
        assert list(server.receive(flow(1, host=host), Hello(CALLER[:12] + tag(host)).pack(), NOW))
    last = Hello(CALLER[:12] + tag(hosts[-1])).pack()

    assert not list(server.receive(flow(1, host=hosts[-1]), last, NOW))
    assert list(server.receive(flow(1, host=hosts[-1]), last, NOW + EXPIRY))


def tag(host: str) -> bytes:
    """Four bytes of a host."""
    return bytes(int(part) for part in host.split("."))


def test_tcp_forwards_between_streams_and_answers_no_hello() -> None:
    """However the segments are cut; what ends is forgotten."""
    server = TcpReflector()
    assert not list(server.receive(stream(1), opening(CALLER), NOW))
    for i in range(len(opening(CALLEE))):
        assert not list(server.receive(stream(2), opening(CALLEE)[i : i + 1], NOW))
    received = Data(CALLEE[:12], CALLEE[12:], CALLER[12:], b"sound").pack()

    emits = list(server.receive(stream(1), wire.frame(up()) * 2, NOW))
    assert emits == [Emit(stream(2), wire.frame(received))] * 2
    server.receive(stream(2), b"", NOW)
    assert not list(server.receive(stream(1), wire.frame(up()), NOW))


def test_a_tcp_stream_that_is_something_else_gets_silence_for_good() -> None:
    """Neither answered nor closed, so that another answerer may have it; a late hello is late."""
    server = TcpReflector()
    assert not list(server.receive(stream(2), opening(CALLEE), NOW))
    assert not list(server.receive(stream(1), b"GET / HTTP/1.1\r\n\r\n", NOW))
    assert not list(server.receive(stream(1), opening(CALLER), NOW))
    assert not list(server.receive(stream(1), wire.frame(up()), NOW))


def test_udp_and_tcp_keep_to_their_own() -> None:
    """Neither touches the other's packets."""
    assert not list(UdpReflector().receive(stream(1), Hello(CALLER).pack(), NOW))
    assert not list(TcpReflector().receive(flow(1), opening(CALLER), NOW))


@given(st.lists(st.tuples(st.integers(1, 3), st.binary(max_size=120)), max_size=12))
def test_garbage_gets_nothing_out_of_a_reflector(packets: list[tuple[int, bytes]]) -> None:
    """No answer, no exception, no harm to a call that is on; noise behind a valid head too."""
    udp, tcp = paired(), TcpReflector()
    for at, (port, data) in enumerate(packets):
        for noise in (data, CALLER + data, up()[:20] + data):
            assert not list(udp.receive(flow(port), noise + b"!", NOW + at))
        assert not list(tcp.receive(stream(port), data or b"!", NOW + at))
    assert udp.timer() is tcp.timer() is None
    assert list(udp.receive(flow(1), up(), NOW + 20))
