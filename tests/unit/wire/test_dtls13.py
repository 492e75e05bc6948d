"""DTLS 1.3's headers, ACKs and messages: written, read, and held to garbage."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import dtls13
from circumtest.wire.dtls import Record, pack_extensions, vector
from circumtest.wire.dtls13 import Sealed

NUMBER = st.tuples(st.integers(0, 3), st.integers(0, 1 << 48))


def test_both_headers_stand_in_one_datagram() -> None:
    """A ServerHello and what is sealed behind it; the last record may go without its length."""
    hello = Record(22, 0, 1, b"hello")
    sealed = dtls13.header(2, 0x0102, 16) + bytes(16)
    short = b"\x22\x07" + bytes(20)

    assert list(dtls13.records(hello.pack() + sealed + short)) == [
        hello,
        Sealed(2, sealed[:5], 2, bytes(16)),
        Sealed(2, b"\x22\x07", 1, bytes(20)),
    ]


@pytest.mark.parametrize(
    "record",
    [b"\x3e", b"\x2e\0\0\0\x10" + bytes(15), b"\x2e\0\0\0\x0f" + bytes(15), b"\x3e" + bytes(40)],
)
def test_a_sealed_record_that_cannot_be_one_is_none(record: bytes) -> None:
    """Too short for its length, for a tag, or with a connection id that nobody agreed on."""
    with pytest.raises(ValueError, match="record"):
        list(dtls13.records(record))


@given(st.lists(NUMBER, max_size=dtls13.MAX_ACKS))
def test_an_ack_is_read_as_it_is_written(numbers: list[tuple[int, int]]) -> None:
    """Epochs and numbers of 64 bits each."""
    assert dtls13.unpack_ack(dtls13.pack_ack(numbers)) == tuple(numbers)


@given(st.integers(1, 255), st.binary(max_size=40), st.integers(0, 9))
def test_padding_is_taken_off(kind: int, content: bytes, padding: int) -> None:
    """The last byte that is not zero is the type."""
    assert dtls13.inner(content + bytes([kind]) + bytes(padding)) == (kind, content)


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_certificates_are_read_as_they_are_written(chain: list[bytes]) -> None:
    """A server's have no context."""
    assert dtls13.certificates(dtls13.pack_certificate(b"", chain)) == chain
    with pytest.raises(ValueError, match="request"):
        dtls13.certificates(dtls13.pack_certificate(b"x", chain))


def test_the_other_messages_are_read() -> None:
    """Extensions, a request with its context, a signature, a share."""
    extensions = ((13, b"\0\2\4\3"),)
    packed = vector(pack_extensions(extensions), 2)

    assert dtls13.encrypted_extensions(packed) == extensions
    assert dtls13.certificate_request(b"\1c" + packed) == (b"c", extensions)
    assert dtls13.certificate_verify(b"\4\3\0\1s") == (0x0403, b"s")
    assert dtls13.server_share(b"\0\x1d\0\2ab") == (0x1D, b"ab")
    shares = b"\0\x0a\0\x1d\0\2ab\0\x17\0\0"
    assert list(dtls13.client_shares(shares)) == [(0x1D, b"ab"), (0x17, b"")]


@given(
    st.sampled_from(
        (
            lambda data: list(dtls13.records(data)),
            dtls13.unpack_ack,
            dtls13.inner,
            dtls13.encrypted_extensions,
            dtls13.certificate_request,
            dtls13.certificates,
            dtls13.certificate_verify,
            dtls13.server_share,
            lambda data: list(dtls13.client_shares(data)),
        )
    ),
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda data: b"\x2e" + data),
        st.binary(max_size=60).map(lambda data: b"\0\x10" + data),
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
