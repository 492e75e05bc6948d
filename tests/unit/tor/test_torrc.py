"""Pieces of torrc: what is honoured, left out and refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.tor.torrc import Torrc, is_torrc, parse
from tests.unit.tor.test_bridge import CERT, OBFS4

FILE = f"""# from a friend
UseBridges 1
Bridge {OBFS4}
bridge 192.0.2.7:9001
ClientTransportPlugin obfs4 exec /tmp/evil --and more
SocksPort 9050   # ours is another one
ExitNodes {{de}},{{nl}}
StrictNodes 1
"""


def refused(text: str) -> str:
    """The message for what cannot be right."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "torrc")
    return str(caught.value)


def test_bridges_and_choices_of_relays_are_honoured_and_the_rest_is_told() -> None:
    """The transport's program is ours; ports are too."""
    torrc = parse(FILE, "torrc")
    assert [bridge.transport for bridge in torrc.bridges] == ["obfs4", ""]
    assert torrc.options == (("ExitNodes", "{de},{nl}"), ("StrictNodes", "1"))
    plugin, port = torrc.notes
    assert plugin.startswith("ClientTransportPlugin is not run")
    assert port.startswith("SocksPort is ignored")


def test_bridge_lines_alone_are_enough() -> None:
    """As they are sent by mail, with or without the keyword."""
    assert parse(f"{OBFS4}\n\n192.0.2.7:9001\n", "torrc").bridges[0].line == OBFS4
    assert parse("", "torrc") == Torrc()


def test_bridges_that_the_file_does_not_use_are_not_used() -> None:
    """And said."""
    torrc = parse(FILE.replace("UseBridges 1", "UseBridges 0"), "torrc")
    assert torrc.bridges == ()
    assert "the bridges are not used: UseBridges is 0" in torrc.notes


def test_other_transports_are_left_out_beside_obfs4_and_refused_alone() -> None:
    """Nothing else than asked is tested in silence."""
    other = "Bridge webtunnel 192.0.2.1:1 url=https://www.example.com/secret\n"
    (note,) = parse(other + OBFS4, "torrc").notes
    assert "webtunnel are left out" in note
    assert "bridges with webtunnel are not spoken here" in refused(other)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Socks5Proxy 192.0.2.1:1080", "another way"),
        ("DirAuthority x", "another network"),
        ("ORPort 9001", "a relay's"),
        ("%include /etc/tor/more", "other files"),
        ("ExitNode {de}", "did you mean 'ExitNodes'"),
        ("UseBridges yes", "neither 0 nor 1"),
        ('ExitNodes "{de}"', "a value that torrc does not have"),
        (f"cert={CERT}", "the line is no option"),
        ("Bridge obfs4 192.0.2.1:443", "Bridge: has no cert"),
    ],
)
def test_what_would_change_where_packets_go_is_refused(line: str, why: str) -> None:
    """File, line and cure; never a key."""
    message = refused(f"UseBridges 1\n{line}\n")
    assert message.startswith("torrc: line 2")
    assert why in message
    assert CERT[:20] not in message


def test_a_torrc_is_known_by_what_it_says() -> None:
    """Nothing that another kind has is taken for one."""
    assert is_torrc(FILE)
    assert is_torrc(f"# mine\n{OBFS4}\n")
    assert is_torrc("snowflake 192.0.2.3:80 fingerprint=0")
    for other in (
        "",
        "[Interface]\nAddress = 10.0.0.1/32",
        "remote 192.0.2.1 1194",
        "{}",
        "192.0.2.1:80",
    ):
        assert not is_torrc(other)


@given(st.text() | st.text("Bridgeobfs4 19.2:=\n#UseBridges01%"))
def test_garbage_is_a_torrc_or_a_config_error(text: str) -> None:
    """Nothing else is raised."""
    is_torrc(text)
    with suppress(ConfigError):
        parse(text, "torrc")
