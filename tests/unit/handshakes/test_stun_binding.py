"""STUN Binding: what counts as an answer, and a server that keeps to the RFC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import HandshakeFailed
from circumtest.handshakes.stun_binding import StunBinding, StunServer, mapped_address
from circumtest.model import Address, Cause, Transport
from circumtest.script import Flow
from circumtest.wire import stun
from circumtest.wire.stun import Message

TID = b"transaction."
SEEN = Address("192.0.2.2", 40000)
FLOW = Flow(Transport.UDP, Address("203.0.113.10", 3478), SEEN)
OK = stun.pack(
    Message(stun.BINDING_OK, TID, ((stun.XOR_MAPPED_ADDRESS, stun.xor_address(*SEEN, TID)),))
)


def served(data: bytes, flow: Flow = FLOW) -> list[bytes]:
    """What the server answers."""
    return [emit.data for emit in StunServer().receive(flow, data, 0.0)]


def test_a_binding_is_answered_with_the_address_it_came_from() -> None:
    """32 bytes over IPv4, as Google's servers answer."""
    assert served(stun.pack(Message(stun.BINDING, TID))) == [OK]
    assert len(OK) == 32
    assert mapped_address(OK, TID) == SEEN


def test_a_bindings_first_packet_is_a_bare_header() -> None:
    """20 bytes."""
    assert StunBinding().opening == len(stun.pack(Message(stun.BINDING, TID))) == 20


def test_an_attribute_that_must_be_understood_and_is_not_is_refused_by_name() -> None:
    """420 with UNKNOWN-ATTRIBUTES; what need not be understood, and credentials, do not matter."""
    odd = ((0x0006, b"user"), (0x8022, b"software"), (0x4000, b""), (0x0024, b"\0\0\0\1"))
    (refusal,) = served(stun.pack(Message(stun.BINDING, TID, odd)))
    message = stun.unpack(refusal)

    assert (message.type, message.tid) == (stun.BINDING_ERROR, TID)
    assert stun.error_code(message.get(stun.ERROR_CODE) or b"")[0] == 420
    assert message.get(stun.UNKNOWN_ATTRIBUTES) == b"\x40\0\0\x24"
    assert served(stun.pack(Message(stun.BINDING, TID, odd[:2]), b"key", fingerprint=True)) == [OK]


@given(st.binary(max_size=60), st.sampled_from([0x0003, 0x0101, 0x0011, 0x0800]))
def test_garbage_and_other_methods_are_not_answered(data: bytes, kind: int) -> None:
    """Nor does anything raise."""
    assert served(data) == []
    assert served(stun.pack(Message(kind, TID))) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        OK[:-1],
        OK[:8] + b"another one." + OK[20:],
        stun.pack(Message(stun.BINDING, TID)),  # our own request, reflected
    ],
)
def test_what_is_not_an_answer_to_this_request_is_as_if_it_had_not_come(data: bytes) -> None:
    """Garbage, another transaction, a reflection."""
    assert mapped_address(data, TID) is None


def test_an_error_is_an_error_and_an_answer_without_address_is_malformed() -> None:
    """With the code as detail."""
    refusal = Message(stun.BINDING_ERROR, TID, ((stun.ERROR_CODE, stun.pack_error(500, "Oh")),))
    for message, cause, detail in (
        (refusal, Cause.ERROR_REPLY, "500 Oh"),
        (Message(stun.BINDING_OK, TID), Cause.MALFORMED, "not an XOR address"),
        (Message(stun.BINDING_ERROR, TID), Cause.MALFORMED, "not an error code"),
    ):
        with pytest.raises(HandshakeFailed) as caught:
            mapped_address(stun.pack(message), TID)
        assert (caught.value.cause, caught.value.detail) == (cause, detail)
