"""What a server says about the inside."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.anyconnect.told import script, settings, told
from circumtest.inside import EVERYTHING, Settings

TOLD = {
    "INTERNAL_IP4_ADDRESS": "10.1.2.3",
    "INTERNAL_IP4_NETADDR": "10.1.0.0",
    "INTERNAL_IP4_NETMASKLEN": "16",
    "INTERNAL_IP4_MTU": "1434",
    "INTERNAL_IP4_DNS": "10.1.0.1 2001:db8::1",
    "INTERNAL_IP6_ADDRESS": "fd00::3",
    "INTERNAL_IP6_NETMASK": "fd00::3/128",
}


def test_without_networks_everything_goes_through() -> None:
    """Both families, as the server has given both."""
    assert settings(TOLD) == Settings(
        ("10.1.2.3/32", "fd00::3/128"), EVERYTHING, 1434, ("10.1.0.1", "2001:db8::1")
    )
    only = {"INTERNAL_IP4_ADDRESS": "10.1.2.3"}
    assert settings(only) == Settings(("10.1.2.3/32",), ("0.0.0.0/0",))


def test_named_networks_go_through_and_excluded_ones_nowhere() -> None:
    """The network of our own address is among the former, as vpnc-script has it."""
    split = {
        **TOLD,
        "CISCO_SPLIT_INC": "1",
        "CISCO_SPLIT_INC_0_ADDR": "192.0.2.0",
        "CISCO_SPLIT_INC_0_MASKLEN": "24",
        "CISCO_SPLIT_EXC": "1",
        "CISCO_SPLIT_EXC_0_ADDR": "192.0.2.128",
        "CISCO_SPLIT_EXC_0_MASKLEN": "25",
        "CISCO_IPV6_SPLIT_EXC": "1",
        "CISCO_IPV6_SPLIT_EXC_0_ADDR": "::",
        "CISCO_IPV6_SPLIT_EXC_0_MASKLEN": "1",
    }
    assert settings(split).routes == ("192.0.2.0/25", "10.1.0.0/16", "8000::/1")


def test_what_cannot_be_is_a_value_error() -> None:
    """No address, half an address, an MTU of two, a million networks."""
    for change in (
        {"INTERNAL_IP4_ADDRESS": "10.1.2"},
        {"INTERNAL_IP4_MTU": "2"},
        {"INTERNAL_IP4_DNS": "resolver"},
        {"CISCO_SPLIT_INC": "1000000"},
        {"CISCO_SPLIT_INC": "1"},
    ):
        with pytest.raises(ValueError):
            settings({**TOLD, **change})
    with pytest.raises(ValueError, match="no address"):
        settings({})


@given(st.dictionaries(st.sampled_from([*TOLD, "CISCO_SPLIT_INC", "CISCO_SPLIT_EXC"]), st.text()))
def test_a_hostile_server_gets_a_value_error(said: dict[str, str]) -> None:
    """And nothing else."""
    with suppress(ValueError):
        settings({**TOLD, **said})


@given(st.binary())
def test_any_environment_can_be_read(data: bytes) -> None:
    """Also one that is no text."""
    told(data)


def test_the_script_hands_on_what_it_was_told_and_no_more(tmp_path: Path) -> None:
    """A line that says the reason, a file that has the variables, line breaks and all."""
    place = tmp_path / "it's here"
    place.mkdir()
    (place / "script").write_text(script(place))
    env = {"reason": "connect", "CISCO_BANNER": "two\nlines", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        ["sh", place / "script"], env=env, capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("", "script: connect\n")
    assert told((place / "settings.connect").read_bytes())["CISCO_BANNER"] == "two\nlines"
