"""MTProto's first messages, held to what Telethon and a server said to each other on the wire."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import mtproto
from circumtest.wire.mtproto import Message, ResPq

# One question and its answer from tests/data/tg_mtproto.pcap (abridged transport, unframed).
QUESTION = bytes.fromhex(
    "0000000000000000186f8736feb9046b14000000f18e7ebe353077e69517e156d3526718ec4772b0"
)
ANSWER = bytes.fromhex(
    "000000000000000001000000feb9046b4800000063241605353077e69517e156d3526718ec4772b0"
    "d5dec73be9a167f4733d7af5dc56bc290817ed48941a08f98100000015c4b51c02000000"
    "85fd64de851d9dd0a5b7f709355fc30b"
)
NONCE = QUESTION[-16:]


def test_the_question_is_the_bytes_that_telethon_sends() -> None:
    """Message id apart, header and body are those of the capture."""
    message = mtproto.parse_message(QUESTION)

    assert message.body == mtproto.pack_req_pq_multi(NONCE)
    assert Message(message.id, mtproto.pack_req_pq_multi(NONCE)).pack() == QUESTION


def test_the_answer_of_the_capture_is_read_and_written_to_the_byte() -> None:
    """Nonces, product and both fingerprints; 76 bytes and 8 a fingerprint in all."""
    message = mtproto.parse_message(ANSWER)
    answer = mtproto.parse_res_pq(message.body)

    assert answer.nonce == NONCE
    assert answer.pq.hex() == "17ed48941a08f981"
    assert answer.fingerprints == (0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5)
    assert mtproto.FINGERPRINTS.issuperset(answer.fingerprints)
    assert Message(message.id, answer.pack()).pack() == ANSWER
    assert len(ANSWER) == 76 + 8 * 2


def test_a_message_id_is_the_time_and_tells_the_side() -> None:
    """Seconds in the upper half; the low two bits are 00 for a client and 01 for a server."""
    client, server = (mtproto.message_id(1_795_000_000.5, server=side) for side in (False, True))

    assert client >> 32 == 1_795_000_000
    assert client & 0xFFFFFFFF == 1 << 31
    assert server == client + 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        QUESTION[:19],
        b"\1" + QUESTION[1:],  # an encrypted message
        QUESTION[:-1],
        QUESTION + bytes(16),  # more than any padding
        QUESTION[:16] + bytes(4),
    ],
)
def test_what_is_no_unencrypted_message_is_told(data: bytes) -> None:
    """Cut short, encrypted, overlong or empty: ValueError."""
    with pytest.raises(ValueError):
        mtproto.parse_message(data)


def test_padding_behind_a_message_is_ignored() -> None:
    """The padded transport leaves up to 15 bytes there."""
    assert mtproto.parse_message(QUESTION + b"p" * 15).body == QUESTION[20:]


@pytest.mark.parametrize("at", [0, 36, 48, 52])
def test_an_answer_with_one_wrong_byte_in_its_frame_is_malformed(at: int) -> None:
    """Constructor, string length, vector number, count: none may be another."""
    body = bytearray(ANSWER[20:])
    body[at] ^= 0x55

    with pytest.raises(ValueError):
        mtproto.parse_res_pq(bytes(body))


def test_transport_errors_are_told_apart_from_messages() -> None:
    """A payload of one negative number is an error of the server; nothing else is."""
    assert mtproto.transport_error(struct.pack("<i", -404)) == -404
    assert mtproto.transport_error(struct.pack("<i", 404)) is None
    assert mtproto.transport_error(ANSWER) is None


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=253),
    st.lists(st.integers(0, 2**64 - 1), max_size=mtproto.MAX_FINGERPRINTS),
)
def test_any_answer_survives_the_wire(
    nonce: bytes, server_nonce: bytes, pq: bytes, prints: list[int]
) -> None:
    """What is packed is what is parsed."""
    answer = ResPq(nonce, server_nonce, pq, tuple(prints))

    assert mtproto.parse_res_pq(answer.pack()) == answer


@given(st.binary(max_size=120))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """No parser raises anything else, whatever comes."""
    head = struct.pack("<I", mtproto.RES_PQ)
    for parse in (mtproto.parse_message, mtproto.parse_req_pq_multi, mtproto.parse_res_pq):
        for raw in (data, head + data, head + ANSWER[24:56] + data):
            try:
                parse(raw)
            except ValueError:
                continue
