"""The grammar of `.ovpn` files: the same as OpenVPN's own reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.openvpn.words import Directive, directives, quoted


def read(text: str) -> list[Directive]:
    """The directives of `text`."""
    return list(directives(text, "vpn.ovpn"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("remote vpn.example 1194 udp", ["remote", "vpn.example", "1194", "udp"]),
        ("\t --dev  tun\t", ["dev", "tun"]),
        ("verb 3 # loud", ["verb", "3"]),
        ("verb 3 ; loud", ["verb", "3"]),
        ("cipher AES-256-GCM#x", ["cipher", "AES-256-GCM#x"]),
        ('setenv UV_NAME "two words"', ["setenv", "UV_NAME", "two words"]),
        (r'up "a \"b\" \\c"', ["up", r'a "b" \c']),
        (r"ca 'C:\vpn\ca.crt'", ["ca", r"C:\vpn\ca.crt"]),
        (r"ca C:\\vpn\ ca.crt", ["ca", r"C:\vpn ca.crt"]),
        ('pull-filter ignore ""', ["pull-filter", "ignore", ""]),
    ],
)
def test_words_are_split_as_openvpn_splits_them(line: str, words: list[str]) -> None:
    """Quotes, backslashes, comments, dashes as on a command line."""
    (one,) = read(line)
    assert [one.name, *one.args] == words


def test_comments_blanks_byte_order_marks_and_carriage_returns_are_nothing() -> None:
    """Lines are counted all the same."""
    text = "\ufeff# a comment\r\n\r\n;another\r\nclient\r\n"
    assert read(text) == [Directive(4, "client")]


def test_a_block_is_one_directive_with_what_is_in_it() -> None:
    """Its lines are not read as directives; the closing tag may be indented."""
    text = "<ca>\r\nremote a\r\n  </ca>\nclient\n"
    assert read(text) == [Directive(1, "ca", inline="remote a"), Directive(4, "client")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<ca>\nx", "<ca> is never closed"),
        ('up "half', "open quote"),
        (r"ca C:\vpn", "lone backslash"),
        ("remote a\x07b", "control character"),
    ],
)
def test_what_is_no_directive_is_told_with_its_line(line: str, said: str) -> None:
    """File and line."""
    with pytest.raises(ConfigError, match=said) as caught:
        read("client\n" + line)
    assert (caught.value.where, caught.value.place) == ("vpn.ovpn", "line 2")


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f"), max_size=30))
def test_what_is_quoted_is_read_back(word: str) -> None:
    """Whatever is in it."""
    (one,) = read(f"setenv {quoted(word)}")
    assert one.args == (word,)


@given(st.text(max_size=80))
def test_any_text_is_directives_or_a_config_error(text: str) -> None:
    """No other exception comes out of a file."""
    try:
        read(text)
    except ConfigError:
        return
