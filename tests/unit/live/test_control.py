"""Neutral exchanges: each is a control, and says what it costs.  What they do is in tests/sim."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.control import CONTROLS, Ntp, TimeServer, Tls
from circumtest.model import Address, Role, Transport
from circumtest.script import Flow
from circumtest.wire import ntp

FLOW = Flow(Transport.UDP, Address("192.0.2.10", 123), Address("192.0.2.2", 40000))


@pytest.mark.parametrize("kind", CONTROLS)
def test_a_control_is_no_call(kind: str) -> None:
    """Nothing is claimed of it."""
    made = CONTROLS[kind]()

    assert made.role is Role.CONTROL
    assert made.opening > 0
    assert len(made.stages) == 1


def test_the_time_costs_a_datagram_each_way() -> None:
    """48 bytes, and never more back."""
    assert Ntp().opening == ntp.SIZE
    assert (Ntp().listen.transport, Ntp().listen.port) == (Transport.UDP, 123)
    assert (Tls().listen.transport, Tls().listen.port) == (Transport.TCP, 443)


@given(st.binary(max_size=100), st.floats(min_value=0, max_value=4e9))
def test_a_time_server_never_says_more_than_it_heard(data: bytes, now: float) -> None:
    """And nothing to what is no question."""
    said = list(TimeServer().receive(FLOW, data, now))

    assert sum(len(emit.data) for emit in said) <= len(data)
