"""The hello of a flow: of TLS, QUIC and DTLS, whole or not, and whatever else comes."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.hello import carries, hello_of
from circumtest.dtls import Shape, client
from circumtest.identity import certificate
from circumtest.model import Transport
from tests.unit.censor.flows import flows

CHROMIUM = [packet.payload for packet in flows("quic_chromium")[0]]


def payloads(file: str) -> list[bytes]:
    """What a capture's client sent in its first flow."""
    return [packet.payload for packet in flows(file)[0] if packet.upwards]


@pytest.mark.parametrize(
    ("file", "transport", "name", "begins", "ech"),
    [
        ("tls_curl", Transport.TCP, "lab.example", "t13d3112h2_", False),
        ("tls_chromium", Transport.TCP, "lab.example", "t13d1517h2_", True),
        ("tls12_openssl", Transport.TCP, "", "t12i280600_", False),
        ("quic_chromium", Transport.UDP, "lab.example", "q13d0312h3_", True),
        ("pion_dtls_hello", Transport.UDP, "", "dd2i060600_", False),
        ("chromium_dtls13_hello", Transport.UDP, "", "dd3i140900_", False),
        ("aiortc_p2p", Transport.UDP, "", "dd2i040700_", False),
    ],
)
def test_a_hello_shows_name_ja4_and_ech(
    file: str, transport: Transport, name: str, begins: str, ech: bool
) -> None:
    """Of real programs; STUN before it is passed over."""
    hello = hello_of(transport, payloads(file))

    assert hello is not None
    assert (hello.name, hello.ech) == (name, ech)
    assert hello.ja4.startswith(begins)


def test_a_hello_that_is_not_whole_is_none() -> None:
    """In a stream, in datagrams, in fragments, and of the other transport."""
    assert hello_of(Transport.TCP, payloads("tls_chromium")[:1]) is None
    assert hello_of(Transport.UDP, CHROMIUM[:1]) is None
    assert hello_of(Transport.UDP, payloads("chromium_dtls13_hello")[:1]) is None
    assert hello_of(Transport.UDP, payloads("tls_curl")) is None
    assert hello_of(Transport.TCP, CHROMIUM) is None
    assert hello_of(Transport.TCP, []) is None


@pytest.mark.parametrize("shape", Shape)
def test_what_is_played_here_is_read_as_well(shape: Shape) -> None:
    """Each shape of DTLS, by its first flight, in any order."""
    flight = client(shape, certificate("secret", "lab"), Random(1)).start(1_764_000_000.0)

    hello = hello_of(Transport.UDP, flight[::-1])
    assert hello is not None
    assert hello.ja4.startswith("dd")


def test_a_datagram_may_carry_a_hello_by_its_first_bytes() -> None:
    """Records of a handshake in clear text, and long headers of the versions that are known."""
    assert all(carries(datagram) for datagram in CHROMIUM)
    assert carries(payloads("pion_dtls_hello")[0])
    for other in (b"", b"\x16", b"\x16\xfe\xfc", b"\x17\xfe\xfd", b"\xc0\0\0\0\2", b"\x40\0\0\0\1"):
        assert not carries(other)


@given(
    st.sampled_from([*CHROMIUM[:2], *payloads("chromium_dtls13_hello"), *payloads("tls_curl")]),
    st.integers(0, 300),
    st.binary(max_size=6),
    st.lists(st.binary(max_size=40), max_size=2),
)
def test_it_never_raises(data: bytes, at: int, change: bytes, others: list[bytes]) -> None:
    """Bytes changed, bytes lost, and anything before and after."""
    spoilt = data[:at] + change + data[at + len(change) :]
    for transport in Transport:
        hello_of(transport, [spoilt])
        hello_of(transport, [*others, data[:at], spoilt, *others])
