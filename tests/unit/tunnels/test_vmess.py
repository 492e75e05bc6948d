"""The VMess tunnel's configuration: links, engines, authorities."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.vmess import Vmess

ID = "01234567-89ab-4cde-8f01-23456789abcd"


def link(**changed: object) -> str:
    """v2rayN's, over TCP."""
    whole = {"v": "2", "add": "h.example", "port": 443, "id": ID, "net": "tcp", **changed}
    return "vmess://" + base64.b64encode(json.dumps(whole).encode()).decode()


LINK = link()


def test_a_link_is_claimed_and_told_of_by_nobody() -> None:
    """Its kind is its scheme; neither repr nor message has the secret."""
    assert Vmess.claims(LINK) == {"url": LINK}
    assert Vmess.claims("socks5://192.0.2.1:1080") is None
    assert Vmess.claims(f"{LINK}\n{LINK}") is None
    tunnel = build(TUNNELS, {"kind": "vmess", "url": LINK}, "plan.toml", "[[tunnel]] 1")
    assert tunnel == Vmess(LINK)
    assert ID not in repr(tunnel)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"url": "vmess://"}, "key `url`"),
        ({"url": LINK, "patience": 0}, "key `patience`"),
        ({"url": LINK, "ca_text": "none"}, "key `ca`: holds no certificate"),
        ({"url": LINK, "engine": "sing-box"}, "engine"),
        ({"url": link(net="carrier")}, "unknown transport 'carrier'"),
        ({"url": link(net="quic", tls="tls"), "engine": "xray"}, "xray has no type=quic"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, object], problem: str) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError) as caught:
        build(TUNNELS, {"kind": "vmess", **fields}, "plan.toml", "[[tunnel]] 1")
    assert problem in str(caught.value)
    assert ID not in str(caught.value)


def test_what_is_not_honoured_is_said() -> None:
    """And a certificate that nobody verifies."""
    assert Vmess(LINK).notes() == ()
    (note,) = Vmess(link(tls="tls", insecure="1")).notes()
    assert "not verified" in note
    (note,) = Vmess(link(tls="tls", fp="chrome"), engine="v2ray").notes()
    assert "fp=chrome" in note


@given(st.text(max_size=60))
def test_garbage_is_refused_and_never_a_crash(text: str) -> None:
    """Whatever is pasted."""
    for url in (text, f"vmess://{text}"):
        try:
            Vmess(url)
        except ConfigError:
            continue
