"""Telling what somebody has by what is in it."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.recognise import LIMIT, recognise

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
QUICK = (
    f"# mine\n[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.2/32\n[Peer]\nPublicKey = {KEY}\n"
)


def told(given: str) -> str:
    """The message that it is refused with."""
    with pytest.raises(ConfigError) as error:
        recognise(given, "plan.toml", "[[tunnel]] 1")
    return str(error.value)


def test_a_table_stays_what_it_is() -> None:
    """Whoever writes the kind needs no guessing."""
    assert recognise({"kind": "none"}, "p", "t") == {"kind": "none"}


def test_a_link_is_known_by_its_scheme() -> None:
    """And kept whole: the kind's own class takes it apart."""
    link = "socks5://user:hunter2@192.0.2.1:1080"

    assert recognise(link, "p", "t") == {"kind": "socks", "url": link}


def test_a_file_is_known_by_what_it_holds_whatever_it_is_called(tmp_path: Path) -> None:
    """WireGuard, AmneziaWG, a link in a file."""
    file = tmp_path / "client.ovpn"
    for text, kind, fields in (
        (QUICK, "wireguard", {"config": str(file)}),
        (QUICK.replace("Address", "Jc = 4\nAddress"), "amneziawg", {"config": str(file)}),
        ("socks5://192.0.2.1:1080\n", "socks", {"url": "socks5://192.0.2.1:1080"}),
    ):
        file.write_text(text)
        assert recognise(str(file), "p", "t") == {"kind": kind, **fields}


def test_the_kind_may_be_said(tmp_path: Path) -> None:
    """`wireguard:FILE`, even where the file does not look like it: its own message is better."""
    file = tmp_path / "broken"
    file.write_text("nothing")

    assert recognise(f"wireguard:{file}", "p", "t") == {"kind": "wireguard", "config": str(file)}
    assert "not read from a file" in told("none:x")


def test_what_nobody_knows_is_told_without_repeating_it(tmp_path: Path) -> None:
    """The place, and what would be right; never the link, which may hold a password."""
    assert "hunter2" not in told("gopher://hunter2@192.0.2.1:70")
    assert "kinds:" in told("gopher://192.0.2.1:70")
    assert "there is no file" in told("no-such.conf")
    assert "plan.toml: [[tunnel]] 1" in told("no-such.conf")
    for content, words in (
        (b"just words", "no tunnel's configuration"),
        (b"\xff\xfe\x00", "is not text"),
        (b"x" * (LIMIT + 1), "too large"),
    ):
        file = tmp_path / "file"
        file.write_bytes(content)
        assert words in told(str(file))
    assert "cannot be read" in told(str(tmp_path))


@given(st.text(max_size=200))
def test_garbage_is_told_and_never_breaks_anything(text: str) -> None:
    """A table, or one message."""
    with suppress(ConfigError):
        assert "kind" in recognise(text, "p", "t")
