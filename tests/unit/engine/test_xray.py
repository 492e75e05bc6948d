"""Xray's JSON from a link: REALITY, Vision, browsers' TLS, and what Xray has dropped."""

import importlib.util
import json

import pytest

from circumtest.engine.v2ray import Entry
from circumtest.engine.xray import command, lacks, settings
from circumtest.errors import EnvironmentUnfit
from circumtest.model import Address
from circumtest.sharelink.links import read

ID = "01234567-89ab-4cde-8f01-23456789abcd"
KEY = "Zv9sYkqyYWZrYWprbGFzZGZqa2xhc2RmamtsYXNkZmo"


def stream(query: str) -> dict[str, object]:
    """The stream settings of a link with these parameters."""
    link = read(f"vless://{ID}@h.example:443?{query}", "vless")
    whole = settings(link, Address("192.0.2.1", 443), Entry(1080, "me", "sesame"), "")
    json.dumps(whole)
    found: dict[str, object] = whole["outbounds"][0]["streamSettings"]
    return found


def test_reality_is_told_what_the_link_says() -> None:
    """With a browser to imitate."""
    assert stream(f"security=reality&pbk={KEY}&sid=0a&spx=%2Fx&sni=s.example&fp=safari") == {
        "network": "raw",
        "rawSettings": {"header": {"type": "none"}},
        "security": "reality",
        "realitySettings": {
            "serverName": "s.example",
            "fingerprint": "safari",
            "publicKey": KEY,
            "shortId": "0a",
            "spiderX": "/x",
        },
    }


def test_tls_imitates_a_browser_and_knows_pins() -> None:
    """A pin has no colons there."""
    pin = ":".join(["ab"] * 32)
    assert stream(f"security=tls&fp=chrome&pcs={pin}&vcn=x.example")["tlsSettings"] == {
        "serverName": "h.example",
        "fingerprint": "chrome",
        "pinnedPeerCertSha256": "ab" * 32,
        "verifyPeerCertByName": "x.example",
    }


def test_transports_are_told_what_the_link_says() -> None:
    """Each under Xray's own name."""
    assert stream("type=ws&path=%2Fw&host=a.example")["wsSettings"] == {
        "path": "/w",
        "host": "a.example",
    }
    assert stream("type=httpupgrade")["httpupgradeSettings"] == {"path": "/"}
    assert stream("type=xhttp&mode=packet-up&host=a.example")["xhttpSettings"] == {
        "path": "/",
        "host": "a.example",
        "mode": "packet-up",
    }
    assert stream("type=grpc&serviceName=s&mode=multi&authority=a.example")["grpcSettings"] == {
        "serviceName": "s",
        "multiMode": True,
        "authority": "a.example",
    }


@pytest.mark.parametrize(
    ("query", "lacking"),
    [
        ("", ()),
        ("type=kcp", ("type=kcp",)),
        ("type=quic&security=tls", ("type=quic",)),
        ("security=tls&allowInsecure=1", ("allowInsecure",)),
    ],
)
def test_what_it_has_dropped_is_named(query: str, lacking: tuple[str, ...]) -> None:
    """In the link's own words."""
    assert lacks(read(f"vless://{ID}@h.example:443?{query}", "vless")) == lacking


def test_its_command_names_the_file_only() -> None:
    """The program is Python's, with nothing of the working directory on its path."""
    assert command("/x/y.json")[-1] == "/x/y.json"
    assert "-P" in command("/x/y.json")


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EnvironmentUnfit, match=r"pip install circumtest\[xray\]"):
        command("/x/y.json")
