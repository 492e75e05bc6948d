"""Sealed records: opened by the keys of their epoch, acknowledged once, and then forgotten."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import identity
from circumtest.dtls.flight import Sender, cut
from circumtest.dtls.keys13 import SUITES, Protection
from circumtest.dtls.records13 import DATA_EPOCH, HANDSHAKE_EPOCH, Records
from circumtest.dtls.session import Session
from circumtest.wire import dtls13
from circumtest.wire.dtls import ACK, FINISHED, HANDSHAKE, Record
from circumtest.wire.dtls13 import MAX_ACKS, Sealed

SUITE = SUITES[0x1301]
OWN = identity.certificate("records", "records")
THEIRS, OURS = bytes(32), bytes([1] * 32)


def made() -> tuple[Session, Records]:
    """A half with keys in both epochs, which speaks in the last."""
    sender = Sender(1.0, lambda kind, seq, body: Record(kind, 0, seq, body).pack())
    session = Session(OWN, None, Random(1), sender)
    records = Records(session)
    for epoch in (HANDSHAKE_EPOCH, DATA_EPOCH):
        records.use(epoch, SUITE, THEIRS, OURS)
    return session, records


def sealed(epoch: int, seq: int, kind: int = HANDSHAKE, secret: bytes = THEIRS) -> Sealed:
    """The peer's record."""
    (record,) = dtls13.records(Protection(SUITE, secret, epoch).seal(kind, seq, b"content"))
    assert isinstance(record, Sealed)
    return record


def read(datagrams: list[bytes]) -> tuple[tuple[int, int], ...]:
    """What our ACK names, for the peer."""
    (datagram,) = datagrams
    (record,) = dtls13.records(datagram)
    assert isinstance(record, Sealed)
    kind, _, body = Protection(SUITE, OURS, DATA_EPOCH).open(record)
    assert kind == ACK
    return dtls13.unpack_ack(body)


def test_a_record_is_opened_by_the_keys_of_its_epoch_and_acknowledged() -> None:
    """In the order of their numbers, each once."""
    _, records = made()
    for epoch, seq in ((3, 7), (2, 9), (2, 1), (2, 9)):
        assert records.open(sealed(epoch, seq)) == (HANDSHAKE, epoch, b"content")

    assert read(records.acknowledge_rest()) == ((2, 1), (2, 9), (3, 7))
    assert records.acknowledge() == []


def test_an_ack_is_not_acknowledged() -> None:
    """Or two halves would never fall silent."""
    _, records = made()
    records.open(sealed(3, 1, ACK))

    assert records.acknowledge() == []


@pytest.mark.parametrize("record", [sealed(1, 1), sealed(2, 1, secret=OURS)])
def test_what_was_not_sealed_with_the_peers_keys_is_a_value_error(record: Sealed) -> None:
    """Another epoch, or another key; neither is acknowledged."""
    _, records = made()
    with pytest.raises(ValueError):
        records.open(record)

    assert records.acknowledge() == []


def test_nothing_is_acknowledged_without_keys_to_seal_it() -> None:
    """Nor what is forgotten, because a flight of ours says the same."""
    session, _ = made()
    fresh, records = Records(session), made()[1]
    fresh.saw(0, 0)
    records.saw(0, 0)
    records.forget()

    assert fresh.acknowledge() == records.acknowledge() == []


def test_what_is_remembered_is_bounded() -> None:
    """The last ones."""
    _, records = made()
    for seq in range(100):
        records.saw(2, seq)

    assert read(records.acknowledge()) == tuple((2, seq) for seq in range(100 - MAX_ACKS, 100))


def test_an_ack_of_all_of_a_flight_says_so() -> None:
    """Of a part of it, not."""
    session, records = made()
    pieces = [piece for _ in range(2) for piece in cut(session.message(FINISHED, b"x", 2))]
    session.flight(pieces)

    assert not records.acknowledged(dtls13.pack_ack([(2, 0)]))
    assert records.acknowledged(dtls13.pack_ack([(2, 1), (3, 5)]))


@given(st.binary(max_size=80))
def test_garbage_is_a_value_error(data: bytes) -> None:
    """As an ACK and as a record."""
    _, records = made()
    with suppress(ValueError):
        records.acknowledged(data)
    with pytest.raises(ValueError):
        records.open(Sealed(2, b"\x2e\0\0\0\0", 2, data.ljust(16, b"\0")))
