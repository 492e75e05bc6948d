"""Bridge lines: what people are given, mangled on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.model import Address
from circumtest.tor.bridge import Bridge, OtherTransport, encoded, is_bridge, parse

FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
CERT = "ssH+9rP8dG2NLDN2XuFw63hIO/9MNNinLmxQDpVa+7kTOa9/m+tGWT1SmSYpQ9uTBGa6Hw"
OBFS4 = f"obfs4 192.0.2.1:443 {FINGERPRINT} cert={CERT} iat-mode=0"


def refused(line: str) -> str:
    """The message for a line that cannot be right."""
    with pytest.raises(ConfigError) as caught:
        parse(line, "bridges.txt", "line 1")
    return str(caught.value)


def test_an_obfs4_line_is_a_value_and_the_line_again() -> None:
    """Nothing of it is lost."""
    bridge = parse(OBFS4, "bridges.txt", "line 1")
    assert (bridge.transport, bridge.address) == ("obfs4", Address("192.0.2.1", 443))
    assert bridge.arguments == (("cert", CERT), ("iat-mode", "0"))
    assert bridge.line == OBFS4


def test_a_bridge_without_a_transport_is_one_and_ipv6_has_brackets() -> None:
    """As tor(1) has them; a fingerprint may have a dollar, or not be there."""
    assert parse(f"192.0.2.1:9001 ${FINGERPRINT.lower()}", "", "").fingerprint == FINGERPRINT
    bridge = parse("[2001:db8::1]:9001", "", "")
    assert bridge == Bridge("", Address("2001:db8::1", 9001), "")
    assert bridge.line == "[2001:db8::1]:9001"


@pytest.mark.parametrize("transport", ["webtunnel", "snowflake", "meek_lite"])
def test_a_transport_that_is_not_ours_is_told_apart_from_a_mistake(transport: str) -> None:
    """Whoever has other bridges too can leave it out."""
    with pytest.raises(OtherTransport, match=transport):
        parse(f"{transport} 192.0.2.1:1 {FINGERPRINT} url=https://www.example.com/", "", "")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("obfs4", "no address"),
        ("obsf4 192.0.2.1:443", "names no transport"),
        ("obfs4 bridge.example:443", "no IP address"),
        ("obfs4 192.0.2.1", "no IP address"),
        ("obfs4 192.0.2.1:0", "no IP address"),
        ("obfs4 192.0.2.1:65536", "no IP address"),
        ("obfs4 192.0.2.256:443", "no IP address"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT[1:]} cert={CERT}", "not 40 digits"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT}", "no cert"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT} cert={CERT[:-1]}", "not 70 characters"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT} cert={CERT[:-1]}!", "not 70 characters"),
        (f"{OBFS4} iat-mode=1", "a key twice"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT} cert={CERT} iat-mode=3", "iat-mode"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT} cert={CERT} {CERT}", "no key=value"),
        (f"obfs4 192.0.2.1:443 node-id={FINGERPRINT} public-key=0", "before 2015"),
        (f"192.0.2.1:443 {FINGERPRINT} cert={CERT}", "no transport that they are for"),
    ],
)
def test_what_cannot_be_right_is_told_without_the_key(line: str, why: str) -> None:
    """File and line are named, and what would be right."""
    message = refused(line)
    assert why in message
    assert message.startswith("bridges.txt: line 1")
    assert CERT[:20] not in message
    assert "192.0.2.1:4" not in message.replace("write it like: Bridge obfs4 192.0.2.1:443", "")


def test_arguments_are_escaped_for_the_login() -> None:
    """Semicolons and backslashes, and an equals sign in a key."""
    assert encoded((("cert", "a;b\\c=d"), ("e=f", ""))) == "cert=a\\;b\\\\c=d;e\\=f="


def test_keys_are_not_in_the_repr() -> None:
    """Neither the cert nor the fingerprint."""
    text = repr(parse(OBFS4, "", ""))
    assert CERT not in text
    assert FINGERPRINT not in text


@given(st.text() | st.text("obfs4 19.:[]=certia-mod0"))
def test_garbage_is_a_bridge_or_a_config_error(line: str) -> None:
    """Nothing else is raised, and what is one comes back."""
    is_bridge(line)
    try:
        bridge = parse(line, "bridges.txt", "line 1")
    except (ConfigError, OtherTransport):
        return
    assert parse(bridge.line, "", "") == bridge
