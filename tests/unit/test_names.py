"""A resolver of our own: what it tells whom, how much it remembers, and garbage."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import doh
from circumtest.model import Address, Transport
from circumtest.names import (
    FORGED,
    MAX_FLOWS,
    MAX_WAITING,
    HttpNames,
    Mood,
    Names,
    Zone,
    https,
)
from circumtest.script import Emit, Flow
from circumtest.wire import dns

NAME, SECRET = "call.call.test", "s"
ADDRESSES = ("192.0.2.1", "2001:db8::1", "192.0.2.2")
ZONE = Zone({NAME: ADDRESSES})
AT = Address("203.0.113.200", dns.PORT)
UDP = Flow(Transport.UDP, AT, Address("192.0.2.2", 40000))
TCP = Flow(Transport.TCP, AT, Address("192.0.2.2", 40000))


def question(name: str = NAME, version: int = 4, secret: str = SECRET) -> bytes:
    """From who knows the secret."""
    return dns.query(4711, name, version, dns.cookie(secret, 4711, name))


def datagrams(zone: Zone, data: bytes) -> list[bytes]:
    """What comes back over UDP."""
    return [emit.data for emit in Names(zone, SECRET).receive(UDP, data, 0.0)]


def streamed(emits: Iterable[Emit]) -> bytes:
    """What comes back on a stream."""
    return b"".join(emit.data for emit in emits)


@pytest.mark.parametrize(
    ("version", "expected"), [(4, ("192.0.2.1", "192.0.2.2")), (6, ("2001:db8::1",))]
)
def test_a_name_has_its_addresses_in_order(version: int, expected: tuple[str, ...]) -> None:
    """Of the kind that was asked for, capitals or not."""
    (told,) = datagrams(ZONE, question(NAME.upper(), version))

    assert dns.parse_reply(told).addresses == expected


def test_other_names_are_refused() -> None:
    """It is nobody's recursive resolver."""
    (told,) = datagrams(ZONE, question("www.example.com"))

    assert dns.parse_reply(told).code == dns.REFUSED


def test_a_stranger_is_told_to_ask_over_tcp_and_gets_no_more_than_he_sent() -> None:
    """Without a cookie, with that of another secret, of another question."""
    for data in (dns.query(1, NAME, 4), question(secret="x"), dns.query(1, NAME, 4, b"12345678")):
        (told,) = datagrams(ZONE, data)
        assert dns.parse_reply(told).truncated
        assert len(told) <= len(data)


def test_over_tcp_everybody_gets_the_whole_answer() -> None:
    """However the stream is cut, and several on one connection."""
    names = Names(ZONE, SECRET)
    data = 2 * dns.frame(dns.query(1, NAME, 4))
    told = b"".join(streamed(names.receive(TCP, bytes([at]), 0.0)) for at in data)
    size = int.from_bytes(told[:2])

    assert dns.parse_reply(told[2 : 2 + size]).addresses == ("192.0.2.1", "192.0.2.2")
    assert told == 2 * told[: 2 + size]


def test_a_frame_that_is_no_question_closes_the_stream() -> None:
    """By its length alone: nothing is gathered that cannot be one."""
    (emit,) = Names(ZONE, SECRET).receive(TCP, b"GET / HTTP/1.1\r\n", 0.0)

    assert (emit.data, emit.close) == (b"", True)


@pytest.mark.parametrize("mood", [Mood.POISON, Mood.INJECT])
def test_a_forged_answer_has_an_address_where_such_questions_end(mood: Mood) -> None:
    """An injector's stands in front of the true one."""
    told = [dns.parse_reply(one).addresses for one in datagrams(Zone(ZONE.names, mood), question())]

    assert told[0] == (FORGED[4],)
    assert told[1:] == ([("192.0.2.1", "192.0.2.2")] if mood is Mood.INJECT else [])


@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_late_answer_comes_when_it_is_due(flow: Flow) -> None:
    """Not before, and not to a stream that has ended."""
    names = Names(Zone(ZONE.names, Mood.LATE, late=4.0), SECRET)
    data = question() if flow is UDP else dns.frame(question())

    assert tuple(names.receive(flow, data, 10.0)) == ()
    assert names.timer() == 14.0
    assert tuple(names.tick(13.9)) == ()
    assert len(tuple(names.tick(14.0))) == 1
    assert names.timer() is None
    tuple(names.receive(TCP, dns.frame(question()), 20.0))
    tuple(names.receive(TCP, b"", 21.0))
    assert names.timer() is None


def test_what_is_kept_is_bounded() -> None:
    """Late answers, and streams on which half a question came."""
    names = Names(Zone(ZONE.names, Mood.LATE), SECRET)
    for _ in range(MAX_WAITING + 10):
        tuple(names.receive(UDP, question(), 0.0))
    assert len(tuple(names.tick(99.0))) == MAX_WAITING

    names = Names(ZONE, SECRET)
    half = dns.frame(question())
    for port in range(MAX_FLOWS + 1):
        flow = Flow(Transport.TCP, AT, Address("192.0.2.2", 1000 + port))
        tuple(names.receive(flow, half[:20], 0.0))
    first = Flow(Transport.TCP, AT, Address("192.0.2.2", 1000))
    last = Flow(Transport.TCP, AT, Address("192.0.2.2", 1000 + MAX_FLOWS))
    assert not [emit for emit in names.receive(first, half[20:], 0.0) if emit.data]
    assert [emit for emit in names.receive(last, half[20:], 0.0) if emit.data]


# ------------------------------------------------------------------ HTTP


def test_over_http_the_zone_is_the_same() -> None:
    """A question, its answer, and one that is none."""
    names = HttpNames(ZONE)
    client = doh.Client("r", dns.query(0, NAME, 6))
    client.receive(streamed(names.receive(TCP, client.opening, 0.0)))
    assert client.answer is not None
    assert dns.parse_reply(client.answer.message).addresses == ("2001:db8::1",)

    client = doh.Client("r", b"no question")
    client.receive(streamed(HttpNames(ZONE).receive(TCP, client.opening, 0.0)))
    assert client.answer == doh.Answer(400, b"")


def test_over_http_a_late_answer_comes_when_it_is_due() -> None:
    """And to nobody who has gone."""
    names = HttpNames(Zone(ZONE.names, Mood.LATE, late=4.0))
    client = doh.Client("r", dns.query(0, NAME, 4))
    client.receive(streamed(names.receive(TCP, client.opening, 10.0)))
    assert (client.answer, names.timer()) == (None, 14.0)
    client.receive(streamed(names.tick(14.0)))
    assert client.answer is not None

    tuple(names.receive(TCP, b"", 15.0))
    tuple(names.receive(TCP, doh.Client("r", dns.query(0, NAME, 4)).opening, 20.0))
    tuple(names.receive(TCP, b"", 21.0))
    assert names.timer() is None


def test_what_is_no_http_2_closes_the_stream() -> None:
    """Inside TLS somebody speaks HTTP/1."""
    (emit,) = HttpNames(ZONE).receive(TCP, b"GET / HTTP/1.1\r\n\r\n", 0.0)

    assert emit.close


def test_connections_are_bounded() -> None:
    """The oldest is forgotten; it may begin anew."""
    names = HttpNames(ZONE)
    for port in range(MAX_FLOWS + 5):
        flow = Flow(Transport.TCP, AT, Address("192.0.2.2", 1000 + port))
        tuple(names.receive(flow, b"PRI", 0.0))

    assert len(names._sessions) == MAX_FLOWS


# ------------------------------------------------------------------ garbage


@given(
    st.sampled_from(Mood),
    st.binary(max_size=80)
    | st.tuples(st.integers(0, 66), st.binary(max_size=8)).map(
        lambda it: question(secret="x")[: it[0]] + it[1] + question(secret="x")[it[0] :]
    ),
)
def test_garbage_and_strangers_get_no_more_than_they_sent(mood: Mood, data: bytes) -> None:
    """Over UDP, in any mood; and no more datagrams."""
    told = datagrams(Zone(ZONE.names, mood), data)

    assert sum(map(len, told)) <= len(data)
    assert len(told) <= 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_garbage_on_streams_is_survived(chunks: list[bytes]) -> None:
    """By all three, which afterwards still answer who asks."""
    secured = https(ZONE, SECRET, "resolver.test")
    for names in (Names(ZONE, SECRET), HttpNames(ZONE), secured):
        for chunk in chunks:
            tuple(names.receive(TCP, chunk, 0.0))
        tuple(names.receive(TCP, b"", 0.0))
        tuple(names.tick(1e9))
    plain = Names(ZONE, SECRET)
    for chunk in chunks:
        tuple(plain.receive(UDP, chunk, 0.0))
        tuple(plain.receive(TCP, chunk, 0.0))
    assert streamed(plain.receive(UDP, question(), 0.0))
