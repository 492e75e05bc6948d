"""OpenSSL's halves in virtual time: what it would leave to the machine's clock, and garbage."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import dtls, identity
from circumtest.dtls import Endpoint, Shape
from circumtest.dtls.flight import MTU
from circumtest.dtls.openssl import MAX_REPEATS
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire.dtls import ALERT, HANDSHAKE, Record, records
from tests.unit.dtls.pump import Change, losing, pump, unchanged

CALLER = identity.certificate("caller", "caller")
CALLEE = identity.certificate("callee", "callee")


def near(secret: str = "callee") -> Endpoint:
    """A caller's half by OpenSSL."""
    pinned = dtls.fingerprint(identity.public_key(secret))
    return dtls.client(Shape.OPENSSL, CALLER, Random(1), pinned)


def far(secret: str = "caller") -> Endpoint:
    """The callee's, as it is used: nothing reaches OpenSSL before a hello is whole."""
    return dtls.server(CALLEE, dtls.fingerprint(identity.public_key(secret)))


def agreed(one: Endpoint, two: Endpoint) -> bool:
    """Whether both have the same keys."""
    return one.established and two.established and one.keys is not None and one.keys == two.keys


def ends(one: Endpoint, two: Endpoint, change: Change = unchanged) -> Cause | None:
    """Why a handshake failed, None when it did not."""
    try:
        pump(one, two, change)
    except HandshakeFailed as failed:
        return failed.cause
    return None


def test_a_handshake_completes_whichever_datagrams_are_lost() -> None:
    """One or two of its four; nothing waits for the machine's clock."""
    one, two = near(), far()
    assert pump(one, two) == 4
    assert agreed(one, two)
    for first in range(5):
        for second in range(first, 6):
            one, two = near(), far()
            pump(one, two, losing(first, second))
            assert agreed(one, two), (first, second)


def test_nothing_is_longer_than_the_mtu_and_no_number_is_used_twice() -> None:
    """But by a sealed record, which is the same when it is sent again."""
    seen: list[bytes] = []

    def change(number: int, datagram: bytes) -> list[bytes]:
        seen.append(datagram)
        return [] if number in (1, 2, 4) else [datagram]

    one, two = near(), far()
    pump(one, two, change)
    plain = [
        (record.kind, record.body, record.seq)
        for datagram in seen
        for record in records(datagram)
        if record.epoch == 0
    ]

    assert agreed(one, two)
    assert max(len(datagram) for datagram in seen) <= MTU
    assert len(plain) == len(set(plain)) > 12


def test_each_half_knows_whom_it_speaks_to() -> None:
    """The caller his callee, the callee his caller; a forgery of either ends it."""
    assert ends(near("middlebox"), far()) == Cause.WRONG_IDENTITY
    assert ends(near(), far("middlebox")) == Cause.WRONG_IDENTITY
    assert ends(near(), far()) is None


def test_an_alert_is_an_error_reply_and_a_message_that_is_none_is_malformed() -> None:
    """Before there are keys anybody may send either, and OpenSSL believes them."""

    def instead(*records: Record) -> Change:
        forged = b"".join(record.pack() for record in records)
        return lambda number, datagram: [forged] if number == 1 else [datagram]

    alert = Record(ALERT, 0, 0, b"\2\x28")
    broken = Record(HANDSHAKE, 0, 0, b"\2\0\0\4\0\0\0\0\0\0\0\4" + bytes(4))

    assert ends(near(), far(), instead(alert)) == Cause.ERROR_REPLY
    assert ends(near(), far(), instead(broken)) == Cause.MALFORMED


def test_a_half_that_is_done_repeats_its_flight_to_a_peer_that_missed_it_but_not_for_ever() -> None:
    """Whoever sends a flight of his again has not seen ours."""
    flights: list[bytes] = []

    def change(_: int, datagram: bytes) -> list[bytes]:
        flights.append(datagram)
        return [datagram]

    one, two = near(), far()
    pump(one, two, change)
    answers = [two.receive(flights[2], 9.0) for _ in range(MAX_REPEATS + 5)]

    assert all(answers[:MAX_REPEATS])
    assert not any(answers[MAX_REPEATS:])
    assert two.receive(b"\x17\xfe\xfd\0\1" + bytes(30), 9.0) == []
    assert two.established


def test_nobody_is_answered_before_he_said_hello() -> None:
    """A server begins nothing and waits for nothing."""
    server = far()

    assert server.start(0.0) == []
    assert server.timer() is None
    assert server.tick(9.0) == []
    assert server.keys is None


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 4),
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3),
    st.sampled_from((20, 21, 22, 23)),
)
def test_garbage_at_any_point_is_silence_or_a_failure(
    after: int, garbage: list[bytes], kind: int
) -> None:
    """As datagrams and as the bodies of records; never another exception."""

    def change(number: int, datagram: bytes) -> list[bytes]:
        if number != after:
            return [datagram]
        return [*garbage, *(Record(kind, 0, 77, data).pack() for data in garbage), datagram]

    one, two = near(), far()
    if ends(one, two, change) is None:
        assert agreed(one, two)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3), st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 7))
def test_one_changed_bit_ends_a_handshake_or_changes_nothing(
    which: int, place: float, bit: int
) -> None:
    """Whatever it hits."""

    def change(number: int, datagram: bytes) -> list[bytes]:
        if number != which:
            return [datagram]
        changed = bytearray(datagram)
        changed[int(place * len(datagram))] ^= 1 << bit
        return [bytes(changed)]

    one, two = near(), far()
    if ends(one, two, change) is None and one.established and two.established:
        assert one.keys == two.keys
