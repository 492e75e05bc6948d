"""Initials of QUIC, held to the examples of RFC 9001 and RFC 9369, and to Chromium's."""

from itertools import pairwise, permutations
from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import quic, tls
from circumtest.wire.ja4 import ja4
from tests.unit.censor.flows import flows

DCID = bytes.fromhex("8394c8f03e515708")
CRYPTO = bytes.fromhex(
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413"
    "011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d001700180010"
    "0007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171"
    "fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d000201"
    "01001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff080110010480007530090110"
    "0f088394c8f03e51570806048000ffff"
)
"""RFC 9001 A.2: the client's CRYPTO frame, before 917 bytes of padding."""
CHROMIUM = [packet.payload for packet in flows("quic_chromium")[0]]


def sealed(
    frames: bytes,
    number: int = 2,
    *,
    version: int = quic.V1,
    dcid: bytes = DCID,
    keys: bytes = DCID,
    token: bytes = b"",
) -> bytes:
    """An Initial, protected as RFC 9001 5 says, with a packet number of four bytes."""
    key, iv, hp = quic.client_keys(version, keys)
    first = bytes(((0xC3 if version == quic.V1 else 0xD3),))
    size = (4 + len(frames) + quic.TAG | 0x4000).to_bytes(2)
    header = first + version.to_bytes(4) + bytes((len(dcid),)) + dcid + b"\0"
    header += bytes((len(token),)) + token + size + number.to_bytes(4)
    nonce = (int.from_bytes(iv) ^ number).to_bytes(12)
    body = AESGCM(key).encrypt(nonce, frames, header)
    mask = Cipher(algorithms.AES(hp), modes.ECB()).encryptor().update(body[:16])
    masked = bytes(a ^ b for a, b in zip(header[-4:], mask[1:5], strict=True))
    return bytes((header[0] ^ mask[0] & 0x0F,)) + header[1:-4] + masked + body


def crypto(offset: int, data: bytes) -> bytes:
    """A CRYPTO frame."""
    return b"\6" + (0x4000 | offset).to_bytes(2) + (0x4000 | len(data)).to_bytes(2) + data


def test_the_keys_are_those_of_the_examples() -> None:
    """RFC 9001 A.1 and RFC 9369 A.1."""
    one, two = quic.client_keys(quic.V1, DCID), quic.client_keys(quic.V2, DCID)

    assert one.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert one.iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert one.hp.hex() == "9f50449e04a0e810283a1e9933adedd2"
    assert two.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert two.iv.hex() == "91f73e2351d8fa91660e909f"
    assert two.hp.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"


def test_the_examples_packet_is_opened() -> None:
    """RFC 9001 A.2: header, the bytes that are sampled, the tag; and the name that is asked for."""
    datagram = sealed(CRYPTO.ljust(1162, b"\0"))

    assert datagram.hex().startswith(
        "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b"
    )
    assert datagram.hex().endswith("e221af44860018ab0856972e194cd934")
    assert len(datagram) == quic.MIN_DATAGRAM
    [packet] = quic.initials(datagram)
    assert quic.opened(packet, quic.client_keys(quic.V1, DCID)) == CRYPTO.ljust(1162, b"\0")
    hello = quic.client_hello([datagram])
    assert hello is not None
    assert tls.server_name(hello) == "example.com"
    assert ja4(hello, quic=True).startswith("q13d0211an_")


def test_version_2_is_opened_by_its_own_keys() -> None:
    """RFC 9369: another salt, other labels, other numbers of types."""
    datagram = sealed(CRYPTO.ljust(1162, b"\0"), version=quic.V2)

    assert quic.client_hello([datagram]) == quic.client_hello([sealed(CRYPTO)])
    assert quic.client_hello([b"\xd3\0\0\0\1" + datagram[5:]]) is None


def test_chromiums_hello_takes_two_datagrams() -> None:
    """Frames in any order, datagrams in any order; one alone is not enough."""
    for two in permutations(CHROMIUM[:2]):
        hello = quic.client_hello(two)
        assert hello is not None
        assert tls.server_name(hello) == "lab.example"
        assert tls.protocols(hello) == (b"h3",)
    assert quic.client_hello(CHROMIUM[:1]) is None
    assert quic.client_hello([CHROMIUM[0], CHROMIUM[0]]) is None


@given(st.lists(st.integers(1, 240), max_size=5), st.randoms())
def test_pieces_that_overlap_and_come_in_any_order_are_put_together(
    cuts: list[int], random: Random
) -> None:
    """A piece may come again longer, with padding and pings between."""
    body = CRYPTO[4:]
    places = sorted({0, *cuts, len(body)})
    pieces = [(one, body[one : other + 9]) for one, other in pairwise(places)]
    random.shuffle(pieces)
    frames = b"\1\0".join(crypto(*piece) for piece in pieces)

    assert quic.client_hello([sealed(frames + bytes(20))]) == quic.client_hello([sealed(CRYPTO)])


def test_an_acknowledgement_and_a_second_packet_are_passed_over() -> None:
    """Coalesced packets (RFC 9000 12.2) and ACK frames (19.3), with and without ECN."""
    acks = b"\2\1\0\1\0\0\0" + b"\3\1\0\0\0\1\1\1"
    body = CRYPTO[4:]
    handshake = b"\xe3\0\0\0\1\x08" + DCID + b"\0\x40\x20" + bytes(32)
    datagram = handshake + sealed(acks + crypto(0, body[:100])) + sealed(crypto(100, body[100:]), 3)

    assert quic.client_hello([datagram]) == quic.client_hello([sealed(CRYPTO)])


def test_after_the_servers_answer_the_keys_stay_and_after_a_retry_they_change() -> None:
    """RFC 9001 5.2: the keys are the first destination's, until there was a Retry."""
    body = CRYPTO[4:]
    first = sealed(crypto(0, body[:100]))
    other = b"another"
    answered = sealed(crypto(100, body[100:]), dcid=other)
    retried = sealed(crypto(100, body[100:]), dcid=other, keys=other, token=b"token")
    foreign = sealed(crypto(100, body[100:]), dcid=other, keys=b"wrong")

    assert quic.client_hello([first, answered]) is not None
    assert quic.client_hello([first, retried]) is not None
    assert quic.client_hello([first, foreign]) is None


def test_a_client_hello_that_is_none_is_a_value_error() -> None:
    """As in a stream."""
    with pytest.raises(ValueError, match="ClientHello"):
        quic.client_hello([sealed(crypto(0, b"\2\0\0\5hello").ljust(40, b"\0"))])


@given(st.lists(st.binary(max_size=60), max_size=3), st.integers(0, 1200), st.binary(max_size=3))
def test_garbage_is_a_value_error_at_most(datagrams: list[bytes], at: int, change: bytes) -> None:
    """In datagrams, in a packet that is nearly right, and in frames."""
    near = CHROMIUM[0][:at] + change + CHROMIUM[0][at + len(change) :]
    for some in (datagrams, [near], [sealed(b"".join(datagrams).ljust(20, b"\0"))]):
        try:
            quic.client_hello(some)
            for datagram in some:
                list(quic.initials(datagram))
        except ValueError:
            continue


@given(st.binary(max_size=60))
def test_frames_of_garbage_are_a_value_error_at_most(frames: bytes) -> None:
    """Whatever an Initial is said to hold."""
    try:
        list(quic.crypto(frames))
    except ValueError:
        return
