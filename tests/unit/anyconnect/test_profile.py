"""openconnect's configuration file, and where it leads."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.anyconnect.profile import Server, is_profile, parse, server
from circumtest.errors import ConfigError

TEXT = """\
# a provider's
protocol=anyconnect
server = vpn.example:8443
user=anna
authgroup=Staff and guests
cafile=ca.pem
no-dtls
"""


def test_what_is_there_is_taken_apart() -> None:
    """Ours into fields, what may pass into lines; comments, blanks and dashes as openconnect."""
    profile = parse(TEXT, "vpn.conf", Path("/etc/vpn"))
    assert profile.own == {
        "server": "vpn.example:8443",
        "user": "anna",
        "cafile": "/etc/vpn/ca.pem",
        "no-dtls": "",
    }
    assert profile.lines == ("authgroup=Staff and guests",)
    assert profile.notes == ()
    assert parse("--server vpn.example\n", "x").own == {"server": "vpn.example"}


def test_scripts_are_not_run_and_that_is_said() -> None:
    """Nor are the programs that a server may ask for."""
    text = f"{TEXT}script=/etc/vpnc/script\ncsd-wrapper=/bin/x\ninterface=tun7\n"
    profile = parse(text, "vpn.conf")
    assert [note.split(" ")[0] for note in profile.notes] == ["script", "csd-wrapper"]
    assert profile.lines == ("authgroup=Staff and guests",)


def test_what_cannot_be_right_names_its_line() -> None:
    """And what would be right."""
    for line, said in (
        ("serwer=a", "did you mean 'server'"),
        ("proxy=http://a", "chain the tunnels"),
        ("cookie=abc", "what the cookie was got with"),
        ("protocol=gp", "is not supported"),
        ("no-dtls=yes", "takes no value"),
        ("cafile", "has no value"),
        ("sslkey=pkcs11:token", "in hardware"),
        ("user=anna", "there twice"),
        ("authgroup=a\x07b", "cannot be printed"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            parse(f"{TEXT}{line}\n", "vpn.conf")
        assert "vpn.conf: line 8" in str(caught.value)


def test_only_openconnect_s_own_files_are_recognised() -> None:
    """Every option is one of its, and a server is among them."""
    assert is_profile(TEXT)
    for other in (
        "",
        "user=anna\n",
        "client\nremote vpn.example 1194\nserver 10.0.0.0 255.0.0.0\n",
        "[Interface]\nPrivateKey = x\n",
        "https://vpn.example",
        '{"server": "x"}',
    ):
        assert not is_profile(other)


def test_a_server_is_a_name_an_address_or_a_link() -> None:
    """Written back as openconnect takes it."""
    for text, whole in (
        ("vpn.example", "https://vpn.example:443/"),
        ("192.0.2.1:8443", "https://192.0.2.1:8443/"),
        ("https://vpn.example/group", "https://vpn.example:443/group"),
        ("https://[2001:db8::1]:4443", "https://[2001:db8::1]:4443/"),
    ):
        assert str(server(text, "x", "y")) == whole
    assert server("vpn.example", "x", "y") == Server("vpn.example", 443)
    for text in ("", "http://a", "https://", "a:0", "a:99999", "u:p@a", "a b", "a/?q", "[::1"):
        with pytest.raises(ConfigError):
            server(text, "x", "y")


@given(st.text(max_size=200), st.booleans())
def test_garbage_is_read_or_refused(text: str, begun: bool) -> None:
    """Nothing but a ConfigError is raised, and no line gets another one's company."""
    with suppress(ConfigError):
        profile = parse((TEXT if begun else "") + text, "x", Path())
        assert all(line.isprintable() for line in profile.lines)
    with suppress(ConfigError):
        assert str(server(text, "x", "y")).isprintable()
    is_profile(text)
