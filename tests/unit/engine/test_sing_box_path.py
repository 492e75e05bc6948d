"""What sing-box's log says of a refusal, and whose doing that is: lines as 1.14.4 wrote them."""

import pytest

from circumtest.engine.sing_box_path import of_server, reason
from circumtest.model import TunnelFault

ASKED = "INFO[0000] [11 1ms] inbound/socks[in0]: [u] inbound connection to 192.0.2.10:9000\n"
PACKETS = "INFO[0000] [11 1ms] inbound/socks[in0]: [u] inbound packet connection to 192.0.2.10:9\n"
HEAD = "ERROR[0000] [11 12ms] connection: "


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "open connection to 192.0.2.10:9000 using outbound/hysteria2[out]: "
            "authentication failed, status code: 404",
            "authentication failed, status code: 404",
        ),
        (
            "listen packet connection using  using outbound/tuic[out]: open connection: "
            "sendmsg: connection refused",
            "open connection: sendmsg: connection refused",
        ),
        ("packet download closed: raw read: connection refused", "raw read: connection refused"),
        (
            "connection download closed: timeout: no recent network activity",
            "timeout: no recent network activity",
        ),
        # What the server says of a target is not the tunnel's fault.
        (
            "connection download closed: remote error: open connection to 192.0.2.10:9 using "
            "outbound/direct[out]: dial tcp 192.0.2.10:9: connect: connection refused",
            "",
        ),
        ("connection download closed: read tcp: connection reset by peer", ""),
    ],
)
def test_why_it_refused_is_read_from_its_log(line: str, why: str) -> None:
    """Only what is about its server."""
    assert reason(f"{ASKED}{HEAD}{line}\n") == why
    assert reason(f"{PACKETS}{HEAD}{line}\n") == why


def test_what_became_of_an_earlier_channel_is_not_this_ones_reason() -> None:
    """An attempt that was given up ends later, amid the next trial."""
    late = f"{HEAD}open connection to x:1 using outbound/anytls[out]: i/o timeout\n"

    assert reason(late) == ""
    assert reason(ASKED.replace("[11 ", "[12 ") + late) == ""
    assert reason(ASKED + late) == "i/o timeout"


def test_half_a_line_is_not_read() -> None:
    """The rest may turn it into another reason."""
    half = f"{ASKED}{HEAD}open connection to x:1 using outbound/anytls[out]: authen"

    assert reason(half) == ""


@pytest.mark.parametrize(
    ("why", "fault", "word"),
    [
        ("authentication failed, status code: 404", TunnelFault.AUTH, "does not let us in"),
        ("shadow-tls v3: hmac mismatch, possible data corruption", TunnelFault.AUTH, "hides"),
        (
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
            TunnelFault.HANDSHAKE,
            "not accepted: certificate has expired",
        ),
        ("dial tcp 192.0.2.1:1: connect: connection refused", TunnelFault.HANDSHAKE, "nothing"),
        ("dial tcp 192.0.2.1:1: i/o timeout", TunnelFault.HANDSHAKE, "does not answer"),
        ("write: connection reset by peer", TunnelFault.HANDSHAKE, "hangs up"),
        ("a new one", TunnelFault.HANDSHAKE, "a new one"),
        ("", TunnelFault.HANDSHAKE, "does not know us"),
    ],
)
def test_a_refusal_is_the_servers_doing(why: str, fault: TunnelFault, word: str) -> None:
    """Never the target's: it has not been asked."""
    down = of_server(why)

    assert down.fault is fault
    assert word in down.detail
