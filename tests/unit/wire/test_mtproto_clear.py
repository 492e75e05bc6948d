"""Streams in each framing, with messages in them or noise."""

import struct
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import mtproto, mtproto_transport
from circumtest.wire.mtproto_clear import whole
from circumtest.wire.mtproto_transport import PREAMBLES, Framer, Framing

CLEAR = struct.pack("<QQI", 0, 5 << 32, 20) + bytes(20)
"""An unencrypted message of 20 bytes."""
SEALED = bytes(range(1, 25)) + bytes(range(64))
"""A key's id, a hash, four blocks."""


def stream(framing: Framing, *payloads: bytes, padding: bytes = b"") -> bytes:
    """What a client sends that names its framing."""
    framer = Framer(framing)
    return PREAMBLES[framing] + b"".join(framer.pack(one, padding) for one in payloads)


@pytest.mark.parametrize("framing", Framing)
def test_whole_frames_of_messages_are_mtproto(framing: Framing) -> None:
    """One or several, unencrypted or not; not while one is missing a byte."""
    for payloads in ((CLEAR,), (SEALED,), (CLEAR, SEALED), (CLEAR,) * 5):
        data = stream(framing, *payloads)
        assert whole(data)
        assert not whole(data[:-1])
        assert not whole(data + b"\1")


def test_padding_is_allowed_where_the_framing_has_it() -> None:
    """Up to 15 bytes behind a payload."""
    assert whole(stream(Framing.PADDED, CLEAR, SEALED, padding=b"padding"))
    mark = PREAMBLES[Framing.INTERMEDIATE]
    assert not whole(mark + stream(Framing.PADDED, CLEAR, padding=b"padding")[4:])


@pytest.mark.parametrize("framing", Framing)
@pytest.mark.parametrize(
    "payload",
    [
        bytes(40),  # says that it has no bytes
        CLEAR + bytes(16),  # says that it has fewer
        bytes(range(1, 41)) + bytes(12),  # blocks that are not whole
        bytes(range(1, 25)),  # nothing behind the hash
    ],
)
def test_a_frame_without_a_message_is_none(framing: Framing, payload: bytes) -> None:
    """However right its lengths are; the padded framing cannot tell blocks that are not whole."""
    assert whole(stream(framing, payload)) is (framing is Framing.PADDED and len(payload) == 52)


def test_the_mark_alone_and_nothing_are_none() -> None:
    """There is no frame."""
    assert not any(whole(mark) for mark in PREAMBLES.values())


def test_the_full_framing_counts_and_has_a_checksum() -> None:
    """A number out of place, and a bit that turned, are seen."""
    first = stream(Framing.FULL, CLEAR)
    assert not whole(first + first)
    assert not whole(first[:-1] + bytes((first[-1] ^ 1,)))


def test_a_quick_acknowledgement_may_be_asked_for() -> None:
    """The length's top bit."""
    data = bytearray(stream(Framing.ABRIDGED, SEALED))
    data[1] |= 0x80
    assert whole(bytes(data))


def test_an_obfuscated_stream_has_nothing_to_be_known_by() -> None:
    """As Telegram's applications send it."""
    random = Random(2)
    while not mtproto_transport.usable(init := random.randbytes(mtproto_transport.INIT)):
        pass
    head, sealing = mtproto_transport.obfuscate(init, Framing.ABRIDGED, 2)
    asked = mtproto.req_pq_multi(5 << 32, bytes(16)) if hasattr(mtproto, "req_pq_multi") else CLEAR
    assert not whole(head + sealing.encrypt(Framer(Framing.ABRIDGED).pack(asked)))


def test_noise_behind_a_mark_is_none() -> None:
    """1000 streams of noise for each."""
    random = Random(1)
    for mark in PREAMBLES.values():
        assert not any(whole(mark + random.randbytes(random.randrange(200))) for _ in range(1000))


@given(st.sampled_from(list(PREAMBLES.values())), st.binary(max_size=100))
def test_it_never_raises(mark: bytes, data: bytes) -> None:
    """Whatever comes."""
    assert whole(mark + data) in (True, False)
