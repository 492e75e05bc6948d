"""The VLESS tunnel's configuration: links, engines, authorities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.vless import Vless

ID = "01234567-89ab-4cde-8f01-23456789abcd"
KEY = "Zv9sYkqyYWZrYWprbGFzZGZqa2xhc2RmamtsYXNkZmo"
LINK = f"vless://{ID}@h.example:443?security=tls&type=ws&path=%2Fw#home"


def test_a_link_is_claimed_and_told_of_by_nobody() -> None:
    """Its kind is its scheme; neither repr nor message has the secret."""
    assert Vless.claims(LINK) == {"url": LINK}
    assert Vless.claims("socks5://192.0.2.1:1080") is None
    assert Vless.claims(f"{LINK}\n{LINK}") is None
    tunnel = build(TUNNELS, {"kind": "vless", "url": LINK}, "plan.toml", "[[tunnel]] 1")
    assert tunnel == Vless(LINK)
    assert ID not in repr(tunnel)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"url": "vless://"}, "key `url`"),
        ({"url": LINK, "patience": 0}, "key `patience`"),
        ({"url": LINK, "ca_text": "none"}, "key `ca`: holds no certificate"),
        ({"url": LINK, "engine": "sing-box"}, "engine"),
        ({"url": "vless://h.example:443"}, "has no user id"),
        ({"url": f"{LINK}&flow=xtls-rprx-vision".replace("#home", "")}, "needs type=tcp"),
        (
            {"url": f"vless://{ID}@h.example:1?security=reality&pbk={KEY}", "engine": "v2ray"},
            "v2ray has no security=reality",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, object], problem: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError) as caught:
        build(TUNNELS, {"kind": "vless", **fields}, "plan.toml", "[[tunnel]] 1")
    assert problem in str(caught.value)
    assert ID not in str(caught.value)


def test_what_is_not_honoured_is_said() -> None:
    """And a certificate that nobody verifies."""
    assert Vless(LINK).notes() == ()
    (note,) = Vless(f"vless://{ID}@h.example:1?security=tls&allowInsecure=1").notes()
    assert "not verified" in note
    (note,) = Vless(f"vless://{ID}@h.example:1?security=tls&fp=chrome", engine="v2ray").notes()
    assert "fp=chrome" in note


@given(st.text(max_size=60))
def test_garbage_is_refused_and_never_a_crash(text: str) -> None:
    """Whatever is pasted."""
    for url in (text, f"vless://{text}"):
        try:
            Vless(url)
        except ConfigError:
            continue
