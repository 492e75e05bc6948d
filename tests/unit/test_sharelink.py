"""Share links taken apart: hosts, ports, parameters, and what of them is never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.sharelink import (
    Spot,
    choice,
    decoded,
    flag,
    host_port,
    pairs,
    server,
    shown,
    take_apart,
    unhonoured,
)

SPOT = Spot("vless", "write it like vless://UUID@host:443")


def test_a_link_is_taken_apart_and_decoded() -> None:
    """A plus is a plus, a fragment a name, an encoded slash part of its value."""
    link = take_apart(
        "VLESS://us%40er:pa%3Ass@[2001:DB8::0:1]:443/a%20b?path=%2Fw+s&x#h%20me", ("vless",), SPOT
    )
    assert (link.scheme, link.path, link.name) == ("vless", "/a b", "h me")
    assert link.secret == "us@er:pa:ss"
    assert link.pair == ("us@er", "pa:ss")
    assert link.query == {"path": "/w+s", "x": ""}
    assert server(link, SPOT) == ("2001:db8::1", 443)


def test_a_port_may_be_left_out_where_there_is_a_usual_one() -> None:
    """And only there."""
    link = take_apart("tuic://x@vpn.example.com", ("tuic",), SPOT)
    assert server(link, SPOT, default=443) == ("vpn.example.com", 443)
    with pytest.raises(ConfigError, match="has no port"):
        server(link, SPOT)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is no share link"),
        ("vless:/x", "is no share link"),
        ("vless://", "is no share link"),
        ("trojan://x@h:1", "another scheme"),
        ("vless://sesame@h:1?a=b c", "has a blank"),
        ("vless://sesame@h:1?a=1&a=2", "given twice"),
        ("vless://sesame@2001:db8::1:443", "has no host and port"),
        ("vless://sesame@[2001:db8::x]:443", "malformed IPv6"),
        ("vless://sesame@h:0", "has no port"),
        ("vless://sesame@h:65536", "has no port"),
        ("vless://sesame@h:٣", "has no port"),
        ("vless://sesame@h:-1", "has no port"),
        ("vless://sesame@:443", "has no host"),
        ("vless://sesame@h st:443", "has a blank"),
        ("vless://sesame@-h:443", "has no host"),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, problem: str) -> None:
    """With kind, key and an example, and without the secret."""
    with pytest.raises(ConfigError, match=problem) as caught:
        server(take_apart(url, ("vless",), SPOT), SPOT)
    assert "sesame" not in str(caught.value)
    assert "vless: key `url`" in str(caught.value)


def test_hosts_and_ports_can_be_had_as_they_are_written() -> None:
    """For protocols that have more than one port."""
    assert host_port("h.example:1,5-9", SPOT) == ("h.example", "1,5-9")
    assert host_port("[::1]", SPOT) == ("::1", "")
    assert host_port("[::1]:5", SPOT) == ("::1", "5")


def test_parameters_that_change_nothing_are_noted_and_others_refused() -> None:
    """With what was meant."""
    assert unhonoured({"sni": "x", "remarks": "y"}, ("sni",), SPOT) == (
        "parameter remarks: ignored",
    )
    with pytest.raises(ConfigError, match="did you mean 'headerType'"):
        unhonoured({"headertype": "srtp"}, ("headerType", "sni"), SPOT)


def test_yes_and_no_have_a_few_words() -> None:
    """Others are refused."""
    for yes in ("1", "true", "True", "yes"):
        assert flag({"insecure": yes}, "insecure", SPOT)
    for no in ("", "0", "false", "no"):
        assert not flag({"insecure": no}, "insecure", SPOT)
    assert not flag({}, "insecure", SPOT)
    with pytest.raises(ConfigError, match="neither yes nor no"):
        flag({"insecure": "perhaps"}, "insecure", SPOT)


def test_a_choice_is_one_of_what_is_known() -> None:
    """With the nearest."""
    assert choice("ws", ("tcp", "ws"), "transport", SPOT) == "ws"
    with pytest.raises(ConfigError, match="did you mean 'ws'"):
        choice("wss", ("tcp", "ws"), "transport", SPOT)


def test_what_might_be_a_secret_is_not_shown() -> None:
    """Only words of letters are."""
    assert shown("headertype") == "'headertype'"
    assert shown("p4ss") == shown("x" * 40) == shown("") == "(not shown here)"


def test_base64_has_two_alphabets_and_may_lack_its_padding() -> None:
    """What is none of that is a ValueError."""
    for text in ("_-8=", "/+8=", "_-8", "%2F%2B8"):
        assert decoded(text) == b"\xff\xef"
    for text in ("a", "äöü", "a b"):
        with pytest.raises(ValueError):
            decoded(text)


@given(st.text(max_size=80))
def test_garbage_is_refused_and_never_a_crash(text: str) -> None:
    """Whatever is pasted."""
    for url in (text, f"vless://{text}", f"vless://x@h:1?{text}"):
        try:
            link = take_apart(url, ("vless",), SPOT)
            server(link, SPOT)
            pairs(text, SPOT)
        except ConfigError:
            continue
        assert link.authority
