"""What of a daemon's words may be kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.scrub import LIMIT, scrub


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("dial tcp 198.51.100.2:8443: refused", "dial tcp <address>: refused"),
        ("connect to [2001:db8:100::2]:443 failed", "connect to <address> failed"),
        ("route 10.0.0.0/8 dev tun0", "route <address> dev tun0"),
        ("fe80::1%eth0 is up", "<address> is up"),
        ("at 12:34:56 it ended", "at 12:34:56 it ended"),
        ("17:21:50.000 [warn] no", "17:21:50.000 [warn] no"),
        ("peer(AbCd…xyz=) - Handshake did not complete", "peer - Handshake did not complete"),
        ("user b831381d-6324-4d53-ad4f-8cda48b30811 unknown", "user <id> unknown"),
        ("key yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk= bad", "key <key> bad"),
        ("lookup vpn.someone.net:443 failed", "lookup <host>:443 failed"),
        ("\x1b[31mERROR\x1b[0m retry", "ERROR retry"),
        ("version 2.6.14 and OpenSSL 3.0.17", "version 2.6.14 and OpenSSL 3.0.17"),
    ],
)
def test_what_identifies_is_replaced_and_the_rest_stays_readable(words: str, kept: str) -> None:
    """Addresses, keys, identifiers and hosts go; times and versions stay."""
    assert scrub(words) == kept


def test_a_secret_that_is_named_is_nowhere() -> None:
    """The longest first: a password that holds another one leaves nothing of itself."""
    said = scrub("login hunter2 with hunter2-more", ["hunter2", "hunter2-more", ""])

    assert said == "login <secret> with <secret>"


@given(st.text(), st.lists(st.text(min_size=4), max_size=4))
def test_anything_can_be_scrubbed(words: str, secrets: list[str]) -> None:
    """Whatever a daemon writes, the result is short."""
    assert len(scrub(words, secrets)) <= LIMIT


@given(
    st.ip_addresses().map(str).filter(lambda address: "." in address or address.count(":") > 2),
    st.sampled_from(["{}", "to {}.", "[{}]:443", "({})", "x={}"]),
)
def test_no_address_is_left(address: str, frame: str) -> None:
    """In whatever brackets it stands."""
    assert address not in scrub("said " + frame.format(address) + " and ended")
