"""WhatsApp's Noise: the captured first bytes, and a second reading of the specification."""

import hmac
from hashlib import sha256
from pathlib import Path

import dpkt
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import noise, protobuf
from circumtest.wire.noise import KeyPair

DATA = Path(__file__).parents[2] / "data"
CLIENT, SERVER, STATIC = (KeyPair.of(bytes([n]) * 32) for n in (1, 2, 3))
HELLO = noise.server_hello(CLIENT.public, SERVER, STATIC, b"certificates")


def captured(name: str) -> tuple[bytes, bytes]:
    """The first bytes from the client, and the first from the server."""
    with (DATA / name).open("rb") as file:
        segments = [dpkt.ethernet.Ethernet(raw).data.data.data for _, raw in dpkt.pcap.Reader(file)]
    first, second = (bytes(segment) for segment in segments if segment)
    return first, second


@pytest.mark.parametrize(
    ("name", "intro"), [("wa_noise_xx_443.pcap", b""), ("wa_noise_ED_xx_443.pcap", noise.INTRO)]
)
def test_the_first_bytes_are_those_of_the_capture(name: str, intro: bytes) -> None:
    """All but the ephemeral key, which is drawn: 43 bytes plain, 54 with edge routing."""
    first, second = captured(name)
    ours = intro + noise.MAGIC + noise.frame(noise.client_hello(CLIENT))

    assert len(first) == len(ours)
    assert ours[:-32] == first[:-32]
    start = len(intro) + len(noise.MAGIC) + 3
    assert noise.parse_client_hello(first[start:]) == first[-32:]
    assert noise.frame_length(second[:3]) == len(second) - 3


def test_the_captured_answer_has_the_fields_that_ours_has() -> None:
    """Ephemeral 32, static 48, certificates; it was not made for us and so does not open."""
    _, second = captured("wa_noise_xx_443.pcap")
    theirs, ours = (
        protobuf.unpack(protobuf.data(protobuf.unpack(body), 3)) for body in (second[3:], HELLO)
    )

    assert [len(protobuf.data(theirs, n)) for n in (1, 2)] == [32, 48]
    assert [len(protobuf.data(ours, n)) for n in (1, 2)] == [32, 48]
    assert list(theirs) == list(ours) == [1, 2, 3]
    with pytest.raises(ValueError, match="authentic"):
        noise.open_server_hello(second[3:], CLIENT)


def test_a_server_hello_opens_for_the_client_it_was_made_for() -> None:
    """Static key and certificates come out; for another client nothing does."""
    assert noise.open_server_hello(HELLO, CLIENT) == (STATIC.public, b"certificates")
    with pytest.raises(ValueError, match="authentic"):
        noise.open_server_hello(HELLO, KeyPair.of(b"\5" * 32))


def by_the_book(body: bytes, empty_payload: bytes | None) -> bytes:
    """The initiator of Noise XX, read from the specification again: the server's static key.

    `empty_payload` is what message 1's payload adds to the hash; None adds nothing.
    """
    hello = protobuf.unpack(protobuf.data(protobuf.unpack(body), 3))
    theirs, sealed = protobuf.data(hello, 1), protobuf.data(hello, 2)
    name = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
    mixed = [b"WA\6\3", CLIENT.public, *([] if empty_payload is None else [empty_payload]), theirs]
    state = name
    for item in mixed:
        state = sha256(state + item).digest()
    secret = hmac.digest(name, CLIENT.agree(theirs), "sha256")
    first = hmac.digest(secret, b"\1", "sha256")
    key = hmac.digest(secret, first + b"\2", "sha256")
    return AESGCM(key).decrypt(bytes(12), sealed, state)


def test_the_dialect_leaves_out_the_empty_payload_of_message_one() -> None:
    """A second reading of the specification opens it so, and not as the specification has it."""
    assert by_the_book(HELLO, None) == STATIC.public
    with pytest.raises(InvalidTag):
        by_the_book(HELLO, b"")


def test_any_changed_bit_keeps_a_server_hello_shut() -> None:
    """In either sealed part and in the key before them."""
    for at in (10, 40, 60, 90, len(HELLO) - 1):
        with pytest.raises(ValueError):
            noise.open_server_hello(
                HELLO[:at] + bytes([HELLO[at] ^ 0x41]) + HELLO[at + 1 :], CLIENT
            )


def test_a_key_of_low_order_is_refused() -> None:
    """It would make a secret that everybody knows."""
    with pytest.raises(ValueError):
        noise.server_hello(bytes(32), SERVER, STATIC, b"")


@pytest.mark.parametrize("head", [b"\0\0\0", b"\x7f\0\0", b"\0\x40\1"])
def test_a_frame_of_no_or_of_absurd_length_is_refused(head: bytes) -> None:
    """16 KiB is far more than any ServerHello has."""
    with pytest.raises(ValueError):
        noise.frame_length(head)


@given(st.binary(max_size=120))
def test_garbage_raises_nothing_but_value_errors(data: bytes) -> None:
    """Read as either message, also with the keys' lengths right."""
    shaped = protobuf.pack({3: protobuf.pack({1: data[:32].ljust(32), 2: data.ljust(48)[:48]})})
    for body in (data, shaped):
        with pytest.raises(ValueError):
            noise.parse_client_hello(body)
        with pytest.raises(ValueError):
            noise.open_server_hello(body, CLIENT)
