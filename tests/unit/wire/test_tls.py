"""ClientHellos of real programs, in records and segments of every cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import tls
from circumtest.wire.ja4 import ja4
from tests.unit.censor.flows import flows

NAMES = ("tls_curl", "tls_chromium", "tls12_openssl", "tls_tor")


def stream(file: str) -> bytes:
    """The first bytes that a capture's client sent."""
    return b"".join(packet.payload for packet in flows(file)[0] if packet.upwards)


def records(message: bytes, *cuts: int) -> bytes:
    """A handshake message in records, cut at these places."""
    places = sorted({0, *(cut % len(message) for cut in cuts), len(message)})
    pieces = [message[one:other] for one, other in pairwise(places)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces)


CURL = stream("tls_curl")[:517]


@pytest.mark.parametrize(
    ("file", "name", "protocols", "versions", "ech", "fingerprint"),
    [
        (
            "tls_curl",
            "lab.example",
            (b"h2", b"http/1.1"),
            (0x304, 0x303),
            False,
            "t13d3112h2_e8f1e",
        ),
        ("tls12_openssl", "", (), (0x303,), False, "t12i280600_d9431"),
        (
            "tls_tor",
            "www.hnzbhc4udvtgaizne7cadr3.com",
            (),
            (0x304, 0x303),
            False,
            "t13d181100_796ef",
        ),
    ],
)
def test_a_programs_hello_says_what_it_wants(
    file: str,
    name: str,
    protocols: tuple[bytes, ...],
    versions: tuple[int, ...],
    ech: bool,
    fingerprint: str,
) -> None:
    """Whom, by which protocols and versions, and what it looks like."""
    hello = tls.client_hello(stream(file))

    assert hello is not None
    assert tls.server_name(hello) == name
    assert tls.protocols(hello) == protocols
    assert tls.versions(hello)[:2] == versions
    assert tls.encrypted(hello) is ech
    assert ja4(hello).startswith(fingerprint)


def test_chromiums_hello_spans_two_segments_and_has_ech() -> None:
    """With post-quantum key shares it is longer than a segment; the extension is there unasked."""
    data = stream("tls_chromium")

    assert tls.client_hello(data[:1448]) is None
    hello = tls.client_hello(data)
    assert hello is not None
    assert tls.server_name(hello) == "lab.example"
    assert tls.encrypted(hello)
    assert ja4(hello).startswith("t13d1517h2_8daaf6152771_")


@given(st.sampled_from(NAMES), st.data())
def test_a_hello_that_has_only_begun_is_none(file: str, data: st.DataObject) -> None:
    """Whatever is cut off."""
    whole = stream(file)
    found = tls.message(whole)
    assert found is not None
    at = data.draw(st.integers(0, found[1] - 1))

    assert tls.client_hello(whole[:at]) is None
    assert tls.message(whole[: found[1]]) == found


@given(st.lists(st.integers(1, 10_000), max_size=6), st.binary(max_size=20))
def test_a_message_is_put_together_from_any_records(cuts: list[int], after: bytes) -> None:
    """Records may cut it anywhere (RFC 8446 5.1), and what follows does not count."""
    data = records(CURL[5:], *cuts)

    assert tls.client_hello(data + after) == tls.client_hello(CURL)
    assert tls.message(data + after) == (CURL[9:], len(data))


def test_a_message_ends_within_a_record_that_goes_on() -> None:
    """What shares its record is not waited for."""
    data = b"\x16\x03\x01" + (len(CURL) - 5 + 100).to_bytes(2) + CURL[5:]

    assert tls.message(data) == (CURL[9:], len(data))


@pytest.mark.parametrize(
    "data",
    [
        "17030300050100000100",  # not a handshake
        "1602010005" + "0100000100",  # SSL 2's version
        "1603010005" + "0200000100",  # a ServerHello
        "16030100000000",  # an empty record
        "160301ffff" + "01" + "00" * 9,  # a record that is too long
        "1603010004" + "01ffffff",  # a message that is too long
    ],
)
def test_what_is_no_client_hello_is_a_value_error(data: str) -> None:
    """By its first bytes already, not when it has become long."""
    with pytest.raises(ValueError, match=r"TLS|ClientHello"):
        tls.client_hello(bytes.fromhex(data))


def test_a_stream_begins_with_a_hello_from_its_sixth_byte_on() -> None:
    """Fewer say nothing yet."""
    assert tls.begins(CURL[:6])
    assert not tls.begins(CURL[:5])
    assert not tls.begins(b"\x16\x03\x01\0\0\1")
    assert not tls.begins(b"\x16\x03\x01\1\0\2")


@given(
    st.one_of(
        st.binary(max_size=80), st.binary(max_size=80).map(lambda body: records(b"\1" + body))
    )
)
def test_garbage_is_a_value_error_at_most(data: bytes) -> None:
    """In the stream and in each extension that is read."""
    try:
        hello = tls.client_hello(data)
        if hello is not None:
            for read in (tls.server_name, tls.protocols, tls.versions, tls.encrypted, ja4):
                read(hello)
    except ValueError:
        return
