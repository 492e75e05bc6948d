"""What an HTTP proxy's answers mean: the target's trouble is an OSError, its own a TunnelDown."""

import errno

import pytest

from circumtest.errors import TunnelDown
from circumtest.model import TunnelFault
from circumtest.path.http import refusal
from circumtest.wire.http import Head


def answer(status: int, reason: str = "", **fields: str) -> Exception | None:
    """What it means, with underscores for the hyphens of fields."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return refusal(Head(status, reason, named, 0), login=True)


def test_any_2xx_is_a_yes() -> None:
    """RFC 9110 section 9.3.6."""
    assert answer(200) is None
    assert answer(204) is None


@pytest.mark.parametrize(
    ("said", "number"),
    [
        (answer(502), errno.EHOSTUNREACH),
        (answer(503), errno.EHOSTUNREACH),
        (answer(504), errno.ETIMEDOUT),
        (answer(500, "Unable to connect"), errno.EHOSTUNREACH),
        (answer(502, proxy_status="p; error=connection_refused"), errno.ECONNREFUSED),
        (answer(502, proxy_status="p; error=connection_timeout; x=1"), errno.ETIMEDOUT),
        (answer(503, x_squid_error="ERR_CONNECT_FAIL 111"), errno.ECONNREFUSED),
        (answer(503, x_squid_error="ERR_CONNECT_FAIL 101"), errno.ENETUNREACH),
    ],
)
def test_what_it_says_of_the_target_is_what_the_network_said(
    said: Exception | None, number: int
) -> None:
    """By status, by RFC 9209's field, by Squid's, by Tinyproxy's reason."""
    assert isinstance(said, OSError)
    assert said.errno == number


@pytest.mark.parametrize(
    ("said", "fault", "words"),
    [
        (answer(407), TunnelFault.AUTH, "refuses the user or the password"),
        (answer(401), TunnelFault.AUTH, "refuses the user or the password"),
        (refusal(Head(407, "", {}, 0), login=False), TunnelFault.AUTH, "wants a user"),
        (answer(407, proxy_authenticate="NTLM, Negotiate"), TunnelFault.AUTH, "only Basic"),
        (answer(407, proxy_authenticate='basic realm="x"'), TunnelFault.AUTH, "refuses the user"),
        (answer(403), TunnelFault.AUTH, "rules"),
        (answer(500), TunnelFault.NO_DATA, "500"),
        (answer(429), TunnelFault.NO_DATA, "429"),
        (answer(503, retry_after="5"), TunnelFault.NO_DATA, "503"),
        (answer(502, proxy_status="p; error=proxy_internal_error"), TunnelFault.NO_DATA, "502"),
        (answer(404), TunnelFault.HANDSHAKE, "404"),
        (answer(405), TunnelFault.HANDSHAKE, "405"),
        (answer(301), TunnelFault.HANDSHAKE, "301"),
    ],
)
def test_what_it_says_of_itself_is_the_tunnels_fault(
    said: Exception | None, fault: TunnelFault, words: str
) -> None:
    """A web server that is no proxy is no handshake."""
    assert isinstance(said, TunnelDown)
    assert said.fault is fault
    assert words in said.detail
