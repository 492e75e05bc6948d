"""The client against OpenSSL's server: lost, doubled, forged and broken datagrams, and garbage."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import dtls, identity
from circumtest.dtls import Endpoint, Shape
from circumtest.dtls.client import MAX_COOKIES, Client
from circumtest.dtls.flight import Piece
from circumtest.dtls.openssl import OpenSsl
from circumtest.dtls.server import Server
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire.dtls import (
    ALERT,
    CHANGE_CIPHER_SPEC,
    ENCRYPTED_EXTENSIONS,
    HANDSHAKE,
    HELLO_VERIFY_REQUEST,
    SERVER_HELLO,
    USE_SRTP,
    V12,
    ClientHello,
    Fragment,
    Record,
    fragments,
    numbers,
    pack_extensions,
    records,
    vector,
)
from tests.unit.dtls.far13 import Far
from tests.unit.dtls.pump import losing, pump, unchanged

CALLER = identity.certificate("caller", "caller")
CALLEE = identity.certificate("callee", "callee")
PINNED = dtls.fingerprint(identity.public_key("callee"))
OURS = [shape for shape in Shape if shape is not Shape.OPENSSL]


def near(shape: Shape = Shape.LIBWEBRTC, seed: int = 1, pinned: bytes | None = PINNED) -> Client:
    """A caller's half."""
    made = dtls.client(shape, CALLER, Random(seed), pinned)
    assert isinstance(made, Client)
    return made


def far() -> Endpoint:
    """The callee's, who knows his caller, and no DTLS but 1.2."""

    class Older(Server):
        def _choose(self, hello: Record) -> OpenSsl:
            return OpenSsl(self._own, self._peer, server=True)

    return Older(CALLEE, dtls.fingerprint(identity.public_key("caller")), Random(2))


def agreed(one: Endpoint, two: Endpoint) -> bool:
    """Whether both have the same keys."""
    return one.established and two.established and one.keys is not None and one.keys == two.keys


def hello_of(datagrams: list[bytes]) -> ClientHello:
    """The hello in a client's first datagram."""
    (record,) = records(datagrams[0])
    (piece,) = fragments(record.body)
    return ClientHello.unpack(piece.data)


def said(kind: int, body: bytes, seq: int = 0) -> bytes:
    """A server's message in a record."""
    piece = Fragment(kind, len(body), seq, 0, body).pack()
    return Record(HANDSHAKE, 0, seq, piece).pack()


def server_hello(cipher: int = 0xC02B, *extensions: tuple[int, bytes]) -> bytes:
    """The body of a ServerHello."""
    head = V12.to_bytes(2) + bytes(32) + b"\0" + cipher.to_bytes(2) + b"\0"
    return head + vector(pack_extensions(extensions), 2)


# ------------------------------------------------------------------ the network


@pytest.mark.parametrize("shape", OURS)
def test_a_handshake_completes_whichever_datagram_is_lost(shape: Shape) -> None:
    """Once each, by sending flights again."""
    one, two = near(shape), far()
    count = pump(one, two)
    assert agreed(one, two)
    for lost in range(count):
        one, two = near(shape), far()
        assert pump(one, two, losing(lost)) > count
        assert agreed(one, two), lost


@pytest.mark.parametrize("seed", range(30))
def test_every_random_hello_is_one_that_completes(seed: int) -> None:
    """Whatever suites, groups and schemes were drawn."""
    one, two = near(Shape.RANDOM, seed), far()
    pump(one, two)

    assert agreed(one, two)


@pytest.mark.parametrize("seed", range(8))
def test_a_handshake_completes_where_a_third_is_lost_and_a_third_doubled(seed: int) -> None:
    """It takes longer."""
    network = Random(seed)

    def change(_: int, datagram: bytes) -> list[bytes]:
        return [datagram] * network.choice((0, 1, 2))

    one, two = near(Shape.PION, seed), far()
    pump(one, two, change, until=1000.0)

    assert agreed(one, two)


@pytest.mark.parametrize("shape", OURS)
def test_random_datagrams_between_the_real_ones_change_nothing(shape: Shape) -> None:
    """Neither do records of a version, epoch or length that cannot be."""
    noise = Random(4)

    def change(_: int, datagram: bytes) -> list[bytes]:
        records = (
            noise.randbytes(40),
            datagram[: len(datagram) // 2],
            b"\x16\xfe\xfd\0\1" + noise.randbytes(40),
            Record(HANDSHAKE, 1, 9, noise.randbytes(60)).pack(),
            Record(ALERT, 1, 9, noise.randbytes(26)).pack(),
        )
        return [*records, datagram, *records]

    one, two = near(shape), far()
    pump(one, two, change)

    assert agreed(one, two)


def test_the_waits_double_as_the_shape_begins() -> None:
    """libwebrtc sends again after 50 ms, pion after a second."""
    for shape, first in ((Shape.LIBWEBRTC, 0.05), (Shape.CHROMIUM, 0.05), (Shape.PION, 1.0)):
        client, times = near(shape), []
        sent = client.start(10.0)
        for _ in range(4):
            due = client.timer()
            assert due is not None
            assert client.tick(due - 0.001) == []
            assert [len(one) for one in client.tick(due)] == [len(one) for one in sent]
            times.append(due)
        assert times == pytest.approx([10.0 + first * (2**n - 1) for n in (1, 2, 3, 4)])


def test_a_finished_client_says_nothing_more() -> None:
    """No timer, no answer to the server's last flight."""
    kept: list[bytes] = []

    def change(_: int, datagram: bytes) -> list[bytes]:
        kept.append(datagram)
        return [datagram]

    one, two = near(), far()
    pump(one, two, change)

    assert one.timer() is None
    assert [one.receive(datagram, 9.0) for datagram in kept] == [[]] * len(kept)
    assert not one.closed


# ------------------------------------------------------------------ who is there


def test_another_certificate_than_the_pinned_one_is_somebody_else() -> None:
    """Of the same name."""
    other = dtls.server(identity.certificate("middlebox", "callee"))
    with pytest.raises(HandshakeFailed) as failed:
        pump(near(), other)

    assert failed.value.cause == Cause.WRONG_IDENTITY


def test_a_certificate_without_its_key_is_somebody_else() -> None:
    """One who shows the callee's certificate but signs with a key of his own."""
    mine = dtls.server(identity.certificate("middlebox", "callee"))
    real = dtls.server(CALLEE)
    client = near()
    hello = client.start(0.0)[0]
    flights = [
        [
            piece
            for datagram in server.receive(hello, 0.0)
            for record in records(datagram)
            for piece in fragments(record.body)
        ]
        for server in (mine, real)
    ]
    mixed = [theirs if theirs.kind == 11 else own for own, theirs in zip(*flights, strict=True)]
    flight = [Record(HANDSHAKE, 0, seq, piece.pack()).pack() for seq, piece in enumerate(mixed)]
    with pytest.raises(HandshakeFailed) as failed:
        client.receive(b"".join(flight), 0.0)

    assert failed.value.cause == Cause.WRONG_IDENTITY
    assert client.receive(hello, 1.0) == []
    assert client.timer() is None


def test_anybody_will_do_where_nobody_is_pinned() -> None:
    """As with a service whose certificate nobody announced."""
    one, two = near(pinned=None), dtls.server(identity.certificate("whoever", "callee"))
    pump(one, two)

    assert agreed(one, two)


# ------------------------------------------------------------------ answers that are none


def test_a_fatal_alert_is_an_error_reply_with_its_name() -> None:
    """Warnings are not, nor is what is no alert."""
    client = near()
    client.start(0.0)
    for body in (b"\1\x5a", b"\2", b"\3\x28", b""):
        assert client.receive(Record(ALERT, 0, 0, body).pack(), 0.0) == []
    with pytest.raises(HandshakeFailed, match="handshake failure") as failed:
        client.receive(Record(ALERT, 0, 1, b"\2\x28").pack(), 0.0)

    assert failed.value.cause == Cause.ERROR_REPLY


def test_an_established_client_takes_no_alert_that_is_not_sealed() -> None:
    """Anybody could send it."""
    one, two = near(), far()
    pump(one, two)
    assert one.receive(Record(ALERT, 0, 9, b"\2\x28").pack(), 0.0) == []

    assert one.established
    assert not one.closed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(40),
        server_hello(0x1302),
        server_hello(0x009C),
        server_hello(0xC02B, (0x0010, b"")),
        server_hello(0xC02B, (0x002B, b"\xfe\xfc")),
    ],
)
def test_a_server_hello_that_takes_what_was_not_offered_is_malformed(body: bytes) -> None:
    """A suite, an extension or a version; or one that is no message at all."""
    client = near()
    client.start(0.0)
    with pytest.raises(HandshakeFailed) as failed:
        client.receive(said(SERVER_HELLO, body) + said(11, vector(b"", 3), 1), 0.0)

    assert failed.value.cause == Cause.MALFORMED


def test_a_message_at_the_wrong_place_is_malformed() -> None:
    """A ServerHelloDone for an answer."""
    client = near()
    client.start(0.0)
    with pytest.raises(HandshakeFailed, match="wrong place") as failed:
        client.receive(said(14, b""), 0.0)

    assert failed.value.cause == Cause.MALFORMED


def test_a_cookie_is_sent_back_in_the_same_hello() -> None:
    """RFC 6347 4.2.1: with the next number, and nothing else changed; not for ever."""
    client = near()
    first = hello_of(client.start(0.0))
    for number in range(MAX_COOKIES):
        cookie = bytes([number]) * 20
        request = said(HELLO_VERIFY_REQUEST, b"\xfe\xff" + vector(cookie, 1), number)
        again = client.receive(request, 0.0)
        hello = hello_of(again)
        assert hello.cookie == cookie
        assert (hello.random, hello.extensions) == (first.random, first.extensions)
        (record,) = records(again[0])
        assert next(fragments(record.body)).seq == number + 1
    with pytest.raises(HandshakeFailed) as failed:
        client.receive(said(HELLO_VERIFY_REQUEST, b"\xfe\xff\1x", MAX_COOKIES), 0.0)

    assert failed.value.cause == Cause.MALFORMED


@pytest.mark.parametrize(
    "profiles", [numbers((0x0001, 0x0007)) + b"\0", numbers((0x0009,)) + b"\0", b"\0\2\0"]
)
def test_keys_for_no_profile_or_two_are_malformed(profiles: bytes) -> None:
    """The server takes one of those that were offered."""
    with pytest.raises(HandshakeFailed) as failed:
        pump(near(Shape.CHROMIUM), Other(profiles))

    assert failed.value.cause == Cause.MALFORMED


class Other(Far):
    """A far half of DTLS 1.3 that answers use_srtp with something else."""

    def __init__(self, profiles: bytes) -> None:
        super().__init__(CALLEE)
        self.profiles = profiles

    def say(self, kind: int, body: bytes, epoch: int = 0) -> list[Piece]:
        if kind == ENCRYPTED_EXTENSIONS:
            body = vector(pack_extensions(((USE_SRTP, self.profiles),)), 2)
        return super().say(kind, body, epoch)


# ------------------------------------------------------------------ garbage


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from((0, 1)),
    st.integers(0, 6),
    st.floats(0.0, 1.0, exclude_max=True),
    st.integers(0, 7),
)
def test_one_changed_bit_ends_a_handshake_or_changes_nothing(
    version: int, which: int, place: float, bit: int
) -> None:
    """Whatever it hits: silence, a failure with a cause, or the same keys."""

    def change(number: int, datagram: bytes) -> list[bytes]:
        if number != which:
            return [datagram]
        changed = bytearray(datagram)
        changed[int(place * len(datagram))] ^= 1 << bit
        return [bytes(changed)]

    one, two = near(Shape.CHROMIUM), [far, tolerant][version]()
    try:
        pump(one, two, change, until=20.0)
    except HandshakeFailed:
        return
    if one.established and two.established:
        assert one.keys == two.keys


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from((0, 1)),
    st.integers(0, 7),
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4),
    st.sampled_from((CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, 23, 26, 0x2E)),
)
def test_garbage_at_any_point_is_silence_or_a_failure(
    version: int, after: int, garbage: list[bytes], kind: int
) -> None:
    """As datagrams, as the bodies of records, as messages."""

    def change(number: int, datagram: bytes) -> list[bytes]:
        if number != after:
            return [datagram]
        wrapped = [Record(kind & 0x1F, 0, 77, data).pack() for data in garbage]
        messages = [said(2, data, 0) + said(11, data, 1) for data in garbage]
        sealed = [bytes([0x2E, 0, 1]) + vector(data, 2) for data in garbage]
        return [*garbage, *wrapped, *messages, *sealed, datagram]

    one, two = near(Shape.CHROMIUM), [far, tolerant][version]()
    try:
        pump(one, two, change, until=20.0)
    except HandshakeFailed:
        return
    assert agreed(one, two)


def tolerant() -> Endpoint:
    """A far half of DTLS 1.3 that drops what it cannot read, and in the clear takes our hello."""

    class Tolerant(Far):
        def receive(self, datagram: bytes, now: float) -> list[bytes]:
            if datagram[0] == HANDSHAKE and datagram[13:16] != b"\1\0\5":
                return []
            try:
                return super().receive(datagram, now)
            except (ValueError, KeyError, IndexError, AssertionError):
                return []

    return Tolerant(CALLEE)


def test_an_unchanged_network_is_unchanged() -> None:
    """The pump itself."""
    assert unchanged(3, b"x") == [b"x"]
    assert losing(3)(3, b"x") == []
