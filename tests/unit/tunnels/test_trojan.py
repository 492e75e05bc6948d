"""The Trojan tunnel's configuration: links, engines, authorities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.trojan import Trojan

SECRET = "open-sesame"
LINK = f"trojan://{SECRET}@h.example:443?sni=s.example#home"


def test_a_link_is_claimed_and_told_of_by_nobody() -> None:
    """Its kind is its scheme; neither repr nor message has the secret."""
    assert Trojan.claims(LINK) == {"url": LINK}
    assert Trojan.claims("socks5://192.0.2.1:1080") is None
    assert Trojan.claims(f"{LINK}\n{LINK}") is None
    tunnel = build(TUNNELS, {"kind": "trojan", "url": LINK}, "plan.toml", "[[tunnel]] 1")
    assert tunnel == Trojan(LINK)
    assert SECRET not in repr(tunnel)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"url": "trojan://"}, "key `url`"),
        ({"url": LINK, "patience": 0}, "key `patience`"),
        ({"url": LINK, "ca_text": "none"}, "key `ca`: holds no certificate"),
        ({"url": LINK, "engine": "sing-box"}, "engine"),
        ({"url": "trojan://h.example:443"}, "has no password"),
        ({"url": f"trojan://{SECRET}@h.example:443?type=carrier"}, "unknown transport"),
        ({"url": f"trojan://{SECRET}@h.example:443?flow=xtls-rprx-vision"}, "VLESS's alone"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, object], problem: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError) as caught:
        build(TUNNELS, {"kind": "trojan", **fields}, "plan.toml", "[[tunnel]] 1")
    assert problem in str(caught.value)
    assert SECRET not in str(caught.value)


def test_what_is_not_honoured_is_said() -> None:
    """And a certificate that nobody verifies."""
    assert Trojan(LINK).notes() == ()
    (note,) = Trojan(f"trojan://{SECRET}@h.example:443?allowInsecure=1").notes()
    assert "not verified" in note
    (note,) = Trojan(f"trojan://{SECRET}@h.example:443?tfo=1").notes()
    assert "tfo: ignored" in note


@given(st.text(max_size=60))
def test_garbage_is_refused_and_never_a_crash(text: str) -> None:
    """Whatever is pasted."""
    for url in (text, f"trojan://{text}"):
        try:
            Trojan(url)
        except ConfigError:
            continue
