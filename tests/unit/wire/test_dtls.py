"""DTLS's records, fragments and hellos held to captures of real programs, and to garbage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import dtls
from circumtest.wire.dtls import ClientHello, Fragment, Reader, Record, ServerHello

DATA = Path(__file__).parents[2] / "data"
NUMBERS = st.lists(st.integers(0, 0xFFFF), max_size=20).map(tuple)


def datagrams(name: str, at: int) -> Iterator[bytes]:
    """The DTLS datagrams of a capture, `at` bytes inside of what UDP carries."""
    with (DATA / name).open("rb") as file:
        for _, raw in dpkt.pcap.Reader(file):
            layer4 = getattr(dpkt.ethernet.Ethernet(raw).data, "data", None)
            if isinstance(layer4, dpkt.udp.UDP):
                payload = bytes(layer4.data)
                if payload[at : at + 3] in (b"\x16\xfe\xff", b"\x16\xfe\xfd", b"\x14\xfe\xfd"):
                    yield payload[at:]


@pytest.mark.parametrize(
    "name", ["aiortc_p2p.pcap", "pion_dtls_hello.pcap", "chromium_dtls13_hello.pcap"]
)
def test_every_record_of_a_captured_handshake_is_read_and_written_to_the_byte(name: str) -> None:
    """And every fragment in those that are not sealed."""
    seen = 0
    for datagram in datagrams(name, 0):
        records = list(dtls.records(datagram))
        assert b"".join(record.pack() for record in records) == datagram
        for record in records:
            if record.kind == dtls.HANDSHAKE and record.epoch == 0:
                pieces = list(dtls.fragments(record.body))
                assert b"".join(piece.pack() for piece in pieces) == record.body
                seen += len(pieces)

    assert seen


def test_a_captured_hello_of_each_kind_is_read_and_written_to_the_byte() -> None:
    """aiortc's ClientHello and the ServerHello that answers it."""
    messages = [
        piece
        for datagram in datagrams("aiortc_p2p.pcap", 0)
        for record in dtls.records(datagram)
        if record.kind == dtls.HANDSHAKE and record.epoch == 0
        for piece in dtls.fragments(record.body)
    ]
    client = next(piece for piece in messages if piece.kind == dtls.CLIENT_HELLO)
    server = next(piece for piece in messages if piece.kind == dtls.SERVER_HELLO)
    hello = ClientHello.unpack(client.data)

    assert hello.pack() == client.data
    assert hello.get(dtls.EXTENDED_MASTER_SECRET) == b""
    assert hello.get(dtls.KEY_SHARE) is None
    assert ServerHello.unpack(server.data).cipher in hello.ciphers


@given(
    st.binary(min_size=32, max_size=32),
    NUMBERS,
    st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=50), max_size=9),
    st.binary(max_size=32),
    st.binary(max_size=255),
)
def test_any_hello_is_read_as_it_is_written(
    random: bytes,
    ciphers: tuple[int, ...],
    extensions: dict[int, bytes],
    session: bytes,
    cookie: bytes,
) -> None:
    """With every field that it has."""
    hello = ClientHello(random, ciphers, tuple(extensions.items()), session=session, cookie=cookie)
    assert ClientHello.unpack(hello.pack()) == hello


@given(
    st.sampled_from((20, 21, 22, 23)),
    st.integers(0, 0xFFFF),
    st.integers(0, (1 << 48) - 1),
    st.binary(max_size=100),
)
def test_any_record_is_read_as_it_is_written(kind: int, epoch: int, seq: int, body: bytes) -> None:
    """Epoch and number share eight bytes."""
    record = Record(kind, epoch, seq, body)
    assert list(dtls.records(record.pack() * 2)) == [record, record]


def test_what_stands_before_garbage_is_read() -> None:
    """A datagram may have both."""
    good = Record(dtls.ALERT, 0, 1, b"\2\x28")
    reading = dtls.records(good.pack() + b"\x16\xfe\xfd")

    assert next(reading) == good
    with pytest.raises(ValueError, match="size"):
        next(reading)


@pytest.mark.parametrize(
    "fragment",
    [
        Fragment(1, 10, 0, 5, bytes(6)),
        Fragment(1, 10, 0, 0, b""),
    ],
)
def test_a_fragment_that_cannot_be_of_its_message_is_none(fragment: Fragment) -> None:
    """Beyond its end, or nothing of something."""
    with pytest.raises(ValueError, match="beyond"):
        list(dtls.fragments(fragment.pack()))


def test_alerts_say_what_they_are_and_whether_they_end_it() -> None:
    """The end of the connection is no error, and ends it all the same."""
    assert dtls.alert(b"\2\x28") == (True, "handshake failure")
    assert dtls.alert(b"\1\0") == (True, "close notify")
    assert dtls.alert(b"\1\x5a") == (False, "user canceled")
    assert dtls.alert(b"\2\xfa") == (True, "alert 250")


@given(
    st.sampled_from(
        (
            lambda data: list(dtls.records(data)),
            lambda data: list(dtls.fragments(data)),
            ClientHello.unpack,
            ServerHello.unpack,
            dtls.hello_verify_cookie,
            dtls.alert,
            dtls.unpack_extensions,
            lambda data: Reader(data).numbers(1),
        )
    ),
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=60).map(lambda data: b"\x16\xfe\xfd" + bytes(8) + b"\0\x30" + data),
        st.binary(max_size=60).map(lambda data: b"\xfe\xfd" + bytes(33) + data),
    ),
)
def test_garbage_is_a_value_error_and_nothing_else(
    parse: Callable[[bytes], object], data: bytes
) -> None:
    """In every parser."""
    try:
        parse(data)
    except ValueError:
        return
