"""The ladder of DTLS 1.3 against a small far half, in all that a server may choose.

That it is DTLS 1.3 a browser says, in `tests/lab/test_outsiders_dtls.py`.
"""

from random import Random

import pytest

from circumtest import dtls, identity
from circumtest.dtls import Shape, groups
from circumtest.dtls.client import Client
from circumtest.dtls.flight import Message, Piece, cut
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire import dtls as wire
from circumtest.wire.dtls import V13, vector
from tests.unit.dtls.far13 import Far
from tests.unit.dtls.pump import losing, pump

CALLER = identity.certificate("caller", "caller")
CALLEE = identity.certificate("callee", "callee")
PINNED = dtls.fingerprint(identity.public_key("callee"))


def near(pinned: bytes | None = PINNED) -> Client:
    """A caller's half, which offers DTLS 1.3."""
    made = dtls.client(Shape.CHROMIUM, CALLER, Random(1), pinned)
    assert isinstance(made, Client)
    return made


def agreed(one: Client, two: Far) -> bool:
    """Whether both have the same keys, by DTLS 1.3."""
    return (
        one.established
        and two.established
        and one.version == V13
        and one.keys is not None
        and one.keys == two.keys
    )


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("retry", [None, groups.P256, groups.P384])
@pytest.mark.parametrize("suite", [0x1301, 0x1302, 0x1303])
def test_a_handshake_completes_whichever_datagram_is_lost(
    suite: int, retry: int | None, asks: bool
) -> None:
    """Every suite; with another share and a cookie where the server wants them; with and without
    a certificate of ours.
    """

    def far() -> Far:
        group = retry or groups.X25519
        return Far(CALLEE, suite=suite, group=group, retry=retry is not None, asks=asks)

    one, two = near(), far()
    count = pump(one, two)
    assert agreed(one, two)
    for lost in range(count):
        one, two = near(), far()
        pump(one, two, losing(lost))
        assert agreed(one, two), lost


def test_a_client_is_done_when_the_server_says_that_it_has_the_last_flight() -> None:
    """Before that it has the keys, but nobody knows whether the other half has."""
    one, two = near(), Far(CALLEE)
    pump(one, two, lambda number, datagram: [datagram] if number < 3 else [])

    assert not two.established
    assert not one.established
    assert one.keys is None
    assert one.timer() is not None


def test_a_part_of_a_flight_is_acknowledged() -> None:
    """When its rest does not come: then only the rest is sent again."""
    one, two = near(), Far(CALLEE)
    sizes: list[int] = []

    def change(number: int, datagram: bytes) -> list[bytes]:
        sizes.append(len(datagram))
        return [datagram[: _first(datagram)]] if number == 2 else [datagram]

    pump(one, two, change)

    assert agreed(one, two)
    assert any((0, 0) in ack for ack in two.acks)


def _first(datagram: bytes) -> int:
    """Bytes of the ServerHello's record: the sealed ones behind it get lost."""
    return 13 + int.from_bytes(datagram[11:13])


def test_what_comes_behind_the_handshake_is_acknowledged_and_not_read() -> None:
    """A ticket, as servers may give it."""
    one, two = near(), Far(CALLEE)
    pump(one, two)
    ticket = cut(Message(wire.NEW_SESSION_TICKET, two.seq, bytes(40), 3))
    (datagram,) = two.sender.begin(ticket, 50.0)
    (ack,) = one.receive(datagram, 50.0)
    two.receive(ack, 50.0)

    assert two.timer() is None
    assert one.receive(ack, 51.0) == []


def test_nobody_gets_an_answer_to_what_is_not_sealed() -> None:
    """Once there are keys: not even the real ServerHello, when it comes again."""
    one, two = near(), Far(CALLEE)
    kept: list[bytes] = []

    def change(number: int, datagram: bytes) -> list[bytes]:
        kept.append(datagram)
        return [datagram]

    pump(one, two, change)

    assert one.receive(kept[2][: _first(kept[2])], 9.0) == []


def test_a_sealed_alert_ends_a_handshake_and_a_plain_one_does_not() -> None:
    """Once there are keys everything that counts is sealed."""
    one, two = near(), Far(CALLEE)
    flight = [answer for datagram in one.start(0.0) for answer in two.receive(datagram, 0.0)]
    one.receive(flight[0][: _first(flight[0])], 0.0)
    assert one.receive(wire.Record(wire.ALERT, 0, 9, b"\2\x28").pack(), 0.0) == []
    with pytest.raises(HandshakeFailed, match="handshake failure") as failed:
        one.receive(two.sender.record(2, wire.ALERT, b"\2\x28"), 0.0)

    assert failed.value.cause == Cause.ERROR_REPLY


def test_the_end_of_the_connection_is_noticed() -> None:
    """Behind the handshake it is no failure of it."""
    one, two = near(), Far(CALLEE)
    pump(one, two)
    assert one.receive(two.sender.record(3, wire.ALERT, b"\1\0"), 9.0) == []

    assert one.established
    assert one.closed


class Other(Far):
    """A far half that says something else in one of its messages."""

    def __init__(self, kind: int, body: bytes, *, retry: bool = False) -> None:
        super().__init__(CALLEE, retry=retry, group=groups.P256 if retry else groups.X25519)
        self.kind, self.body = kind, body

    def say(self, kind: int, body: bytes, epoch: int = 0) -> list[Piece]:
        return super().say(kind, self.body if kind == self.kind else body, epoch)


@pytest.mark.parametrize(
    ("kind", "body", "cause"),
    [
        (wire.ENCRYPTED_EXTENSIONS, b"\0", Cause.MALFORMED),
        (wire.CERTIFICATE_REQUEST, b"\0\0\0", Cause.MALFORMED),
        (wire.CERTIFICATE, b"\0\0\0\0", Cause.MALFORMED),
        (wire.CERTIFICATE, b"\0" + vector(vector(b"no", 3) + b"\0\0", 3), Cause.MALFORMED),
        (wire.CERTIFICATE_VERIFY, b"\4\3\0\2no", Cause.WRONG_IDENTITY),
        (wire.CERTIFICATE_VERIFY, b"\4\1\0\2no", Cause.MALFORMED),
        (wire.FINISHED, bytes(32), Cause.MALFORMED),
    ],
)
def test_a_message_that_is_none_is_malformed(kind: int, body: bytes, cause: Cause) -> None:
    """Nobody but the server can have sealed it; a wrong signature is somebody else's."""
    with pytest.raises(HandshakeFailed) as failed:
        pump(near(), Other(kind, body))

    assert failed.value.cause == cause


def test_another_certificate_than_the_pinned_one_is_somebody_else() -> None:
    """As with DTLS 1.2."""
    with pytest.raises(HandshakeFailed) as failed:
        pump(near(), Far(identity.certificate("middlebox", "callee")))

    assert failed.value.cause == Cause.WRONG_IDENTITY


def test_a_retry_for_a_share_that_was_sent_is_malformed() -> None:
    """And one without end."""
    with pytest.raises(HandshakeFailed, match="retry") as failed:
        pump(near(), Far(CALLEE, group=groups.X25519, retry=True))

    assert failed.value.cause == Cause.MALFORMED


def test_without_a_profile_for_sound_there_are_no_keys() -> None:
    """The handshake is good all the same."""
    one, two = near(), Far(CALLEE, srtp=None)
    pump(one, two)

    assert one.established
    assert one.keys is None


@pytest.mark.parametrize("profile", [0x0001, 0x0007, 0x0008])
def test_every_profile_that_is_offered_gets_its_keys(profile: int) -> None:
    """Of its own sizes."""
    one, two = near(), Far(CALLEE, srtp=profile)
    pump(one, two)

    assert agreed(one, two)
