"""Meet's call as a handshake: where it listens, and how its plain STUN server answers."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.handshakes.meet_call import MeetCall
from circumtest.model import Address, Cause, Failure, Stage, Transport
from circumtest.script import Emit, Flow, Listen
from circumtest.simulate import far_end, simulate
from circumtest.wire import stun

CALLER = Address("192.0.2.2", 40001)
BINDING = Flow(Transport.UDP, Address("203.0.113.10", 19302), CALLER)
REQUEST = stun.pack(stun.Message(stun.BINDING, b"twelve bytes"))


def test_it_has_two_ports() -> None:
    """The relay's, and the STUN server's, where the first packet goes."""
    handshake = MeetCall()

    assert handshake.listen == Listen(Transport.UDP, 19305)
    assert handshake.also == (Listen(Transport.UDP, 19302),)
    assert handshake.opening == len(REQUEST) == 20


def test_the_stun_server_answers_anybody_with_his_address_alone() -> None:
    """32 bytes to 20, as the real one: it is asked without an account."""
    (emit,) = MeetCall().answerer().receive(BINDING, REQUEST, 0.0)
    message = stun.unpack(emit.data)

    assert len(emit.data) == 32
    assert (
        stun.parse_xor_address(message.get(stun.XOR_MAPPED_ADDRESS) or b"", message.tid) == CALLER
    )


@given(st.binary(max_size=80))
def test_garbage_is_not_answered(data: bytes) -> None:
    """At neither port."""
    far = MeetCall().answerer()
    relay = Flow(Transport.UDP, Address("203.0.113.10", 19305), CALLER)
    for flow in (BINDING, relay):
        assert list(far.receive(flow, data, 0.0)) == []


@pytest.mark.parametrize(
    ("forge", "cause"),
    [
        (lambda data: stun.pack(stun.Message(stun.BINDING_OK, data[8:20])), Cause.MALFORMED),
        (lambda data: stun.pack(stun.Message(stun.BINDING_OK, b"another one.")), Cause.TIMEOUT),
        (lambda data: data, Cause.TIMEOUT),
        (lambda data: b"", Cause.TIMEOUT),
    ],
)
def test_what_is_no_answer_to_our_binding_is_silence(
    forge: Callable[[bytes], bytes], cause: Cause
) -> None:
    """But our own transaction without an address is malformed."""

    class Forger:
        def receive(self, flow: Flow, data: bytes, now: float) -> list[Emit]:
            return [Emit(flow, forge(data))]

        def timer(self) -> float | None:
            return None

        def tick(self, now: float) -> list[Emit]:
            return []

    handshake = MeetCall()
    target, services = far_end(handshake)
    record = simulate(handshake.script(target, Random(1)), dict.fromkeys(services, Forger()))

    assert isinstance(record.outcome, Failure)
    assert (record.outcome.stage, record.outcome.cause) == (Stage.BINDING, cause)
