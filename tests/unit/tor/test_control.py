"""What tor says on its control socket, as lines."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.tor.control import Phase, phase_of, reason_of


def test_a_phase_is_read_from_an_answer_and_from_an_event() -> None:
    """With the warning, when there is one."""
    answer = '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="Connecting"'
    assert phase_of(answer) == Phase(5, "conn", "Connecting")
    event = (
        '650 STATUS_CLIENT WARN BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected to a relay"'
        ' WARNING="TLS_ERROR" REASON=TLS_ERROR COUNT=1 RECOMMENDATION=warn HOSTID="AB"'
        ' HOSTADDR="192.0.2.1:443"'
    )
    phase = phase_of(event)
    assert phase == Phase(10, "conn_done", "Connected to a relay", "TLS_ERROR")
    assert str(phase) == "10 % (conn_done: connected to a relay; tls_error)"


def test_only_an_exits_word_is_a_reason() -> None:
    """What tor itself gave up is no word about the target."""
    event = "650 STREAM 13 DETACHED 8 192.0.2.10:9 REASON={} CLIENT_PROTOCOL=SOCKS5"
    assert reason_of(event.format("END REMOTE_REASON=MISC")) == ("192.0.2.10:9", "MISC")
    assert reason_of(event.format("TIMEOUT")) is None
    assert reason_of("650 STREAM 13 SUCCEEDED 8 192.0.2.10:9") is None


@given(st.text())
def test_other_lines_tell_nothing(line: str) -> None:
    """Whatever they are."""
    assert phase_of(line) is None
    assert reason_of(line) is None
