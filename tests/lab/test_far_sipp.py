"""A SIP call to SIPp behind kamailio, which sends back the very packets that it gets."""

import pytest

from circumtest.handshakes.sip import Sip
from circumtest.lab.far.sipp import Sipp
from circumtest.model import Carrier, Success
from tests.lab.sip_calls import called, home


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("carrier", list(Carrier))
@pytest.mark.parametrize("tunnel", ["none", "wireguard", "socks"])
def test_a_call_is_answered_and_heard_without_registering(
    tunnel: str, carrier: Carrier, version: int
) -> None:
    """What comes back is all that can be counted: nobody says what went up."""
    call = Sip(carrier, register=False)
    record = called(Sipp(), call, tunnel=tunnel, version=version)

    assert record.outcome == Success()
    assert record.exit is not None
    assert record.exit.host == home(tunnel, version)
    (media,) = record.media
    assert media.up.received is None
    assert media.down.lost is not None
    assert media.down.lost <= 2


def test_the_proxy_registers_for_it_as_for_any_agent() -> None:
    """It is the same proxy."""
    assert called(Sipp(), Sip()).outcome == Success()
