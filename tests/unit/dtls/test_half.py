"""A half and its ladder: what reaches it, what it may fail of, and when it is silent."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import identity
from circumtest.dtls.flight import Sender, cut
from circumtest.dtls.half import Half
from circumtest.dtls.records13 import Records
from circumtest.dtls.session import Ladder, Session
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire.dtls import (
    ACK,
    ALERT,
    CLIENT_HELLO,
    FINISHED,
    HANDSHAKE,
    SERVER_HELLO,
    V12,
    Fragment,
    Record,
)

OWN = identity.certificate("half", "half")


def ladder(session: Session) -> Ladder:
    """One message there, one back, in two epochs."""
    session.flight(cut(session.message(CLIENT_HELLO, b"hello")))
    message = yield from session.wait({0: (SERVER_HELLO,)})
    if message.body != b"good":
        raise ValueError("not good")
    yield from session.wait({0: (FINISHED,), 1: (FINISHED,)})
    session.sender.rest()
    session.established = True
    yield {}


def half() -> Half:
    """One that has begun."""

    def older(record: Record) -> bytes:
        if record.body[:1] != b"!":
            raise ValueError("not sealed")
        return record.body[1:]

    sender = Sender(1.0, lambda kind, seq, body: Record(kind, 0, seq, body).pack())
    session = Session(OWN, None, Random(1), sender)
    made = Half(session, Records(session), ladder(session), older)
    (hello,) = made.start(5.0)
    assert hello[25:] == b"hello"
    return made


def said(kind: int, body: bytes, seq: int = 0) -> bytes:
    """A message in a record."""
    return Record(HANDSHAKE, 0, seq, Fragment(kind, len(body), seq, 0, body).pack()).pack()


def sealed(kind: int, seq: int) -> bytes:
    """A message in a record of epoch 1."""
    return Record(HANDSHAKE, 1, 0, b"!" + Fragment(kind, 0, seq, 0, b"").pack()).pack()


def test_messages_reach_the_ladder_in_their_order() -> None:
    """Those of one datagram and of several, of either epoch; then there is silence."""
    one, established = half(), []
    for datagram in (sealed(FINISHED, 1), said(SERVER_HELLO, b"good")):
        assert one.receive(datagram, 6.0) == []
        established.append(one.established)

    assert established == [False, True]
    assert (one.keys, one.version, one.timer(), one.tick(99.0)) == (None, V12, None, [])


def test_a_flight_is_sent_again_when_its_time_comes() -> None:
    """And not before."""
    one = half()

    assert one.timer() == 6.0
    assert one.tick(5.9) == []
    assert [data[25:] for data in one.tick(6.0)] == [b"hello"]
    assert one.timer() == 8.0


@pytest.mark.parametrize(
    ("datagram", "cause"),
    [
        (said(SERVER_HELLO, b"bad"), Cause.MALFORMED),
        (said(FINISHED, b""), Cause.MALFORMED),
        (Record(ALERT, 0, 0, b"\2\x28").pack(), Cause.ERROR_REPLY),
        (Record(ALERT, 1, 0, b"!\2\x28").pack(), Cause.ERROR_REPLY),
    ],
)
def test_what_ends_a_handshake_ends_it_for_good(datagram: bytes, cause: Cause) -> None:
    """No more answers, no timer."""
    one = half()
    with pytest.raises(HandshakeFailed) as failed:
        one.receive(datagram, 6.0)

    assert failed.value.cause == cause
    assert one.receive(said(SERVER_HELLO, b"good"), 6.0) == []
    assert (one.timer(), one.tick(99.0), one.established) == (None, [], False)


def test_once_established_only_a_sealed_alert_counts() -> None:
    """It ends the connection, not the handshake."""
    one = half()
    one.receive(said(SERVER_HELLO, b"good") + sealed(FINISHED, 1), 6.0)
    closed = []
    for epoch, body in ((0, b"\2\x28"), (1, b"\2\x28"), (1, b"!\2\x28")):
        one.receive(Record(ALERT, epoch, 9, body).pack(), 7.0)
        closed.append(one.closed)

    assert closed == [False, False, True]
    assert one.established


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from((20, 21, 22, 23, ACK)))
def test_garbage_is_silence_or_a_failure(garbage: list[bytes], kind: int) -> None:
    """As datagrams and as bodies of records, in either epoch and either header."""
    one = half()
    try:
        for data in garbage:
            records = [Record(kind, epoch, 3, data).pack() for epoch in (0, 1)]
            unified = b"\x2e\0\1" + len(data).to_bytes(2) + data
            for datagram in (data, *records, unified):
                assert one.receive(datagram, 6.0) == []
    except HandshakeFailed:
        return
    one.receive(said(SERVER_HELLO, b"good") + sealed(FINISHED, 1), 6.0)
    assert one.established
