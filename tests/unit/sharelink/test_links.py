"""VMess, VLESS and Trojan links: every form that is about, and what is refused."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.sharelink.links import claimed, read
from circumtest.sharelink.outbound import Outbound, Stream, Tls

ID = "01234567-89ab-4cde-8f01-23456789abcd"
JSON = {
    "v": "2",
    "ps": "home",
    "add": "h.example",
    "port": "443",
    "id": ID,
    "aid": "0",
    "scy": "auto",
    "net": "ws",
    "type": "none",
    "host": "w.example",
    "path": "/sesame",
    "tls": "tls",
    "sni": "s.example",
    "alpn": "",
    "fp": "",
}


def link(**changed: Any) -> str:
    """v2rayN's; None takes a key out."""
    whole = {key: value for key, value in (JSON | changed).items() if value is not None}
    return "vmess://" + base64.b64encode(json.dumps(whole).encode()).decode()


def told(url: str, protocol: str = "vmess") -> str:
    """The message that it is refused with; it tells no secret."""
    with pytest.raises(ConfigError) as caught:
        read(url, protocol)
    for secret in (ID, "sesame", "example"):
        assert secret not in str(caught.value)
    assert f"{protocol}: key `url`" in str(caught.value)
    return str(caught.value)


WANTED = Outbound(
    "vmess", "h.example", 443, ID, Stream("ws", "none", "/sesame", ("w.example",)), Tls("s.example")
)


@pytest.mark.parametrize(
    "url",
    [
        link(),
        link().rstrip("="),
        link().replace("vmess", "VMess"),
        link() + "#home",
        link(port=443, aid=0, v=2),
        link(port=443.0, allowInsecure=False),
        f"vmess://{ID}@h.example:443?type=ws&path=%2Fsesame&host=w.example&security=tls"
        "&sni=s.example&encryption=auto#x",
    ],
)
def test_every_form_of_a_vmess_link_says_the_same(url: str) -> None:
    """Numbers as numbers or as text, with padding or without, and the form of the other links."""
    assert read(url, "vmess") == WANTED


@pytest.mark.parametrize(
    ("changed", "stream"),
    [
        ({"net": "tcp"}, Stream("tcp")),
        (
            {"net": "tcp", "type": "http"},
            Stream("tcp", "http", "/sesame", ("w.example",)),
        ),
        ({"net": "kcp", "type": "srtp"}, Stream("kcp", "srtp", seed="/sesame")),
        ({"net": "h2"}, Stream("h2", path="/sesame", hosts=("w.example",))),
        (
            {"net": "quic", "host": "aes-128-gcm", "type": "utp"},
            Stream("quic", "utp", cipher="aes-128-gcm", key="/sesame"),
        ),
        (
            {"net": "grpc", "type": "multi"},
            Stream("grpc", path="/sesame", hosts=("w.example",), mode="multi"),
        ),
    ],
)
def test_its_few_names_mean_what_the_transport_says(
    changed: dict[str, str], stream: Stream
) -> None:
    """A path is mKCP's seed, QUIC's key, gRPC's service."""
    assert read(link(**changed), "vmess").stream == stream


def test_vless_and_trojan_links_are_read() -> None:
    """With a login that is percent-encoded, over IPv6."""
    vless = read(f"vless://{ID}@[2001:db8::1]:8443?encryption=none&security=tls#x", "vless")
    assert (vless.host, vless.port, vless.cipher) == ("2001:db8::1", 8443, "none")
    trojan = read("trojan://ses%40me@h.example:443?sni=s.example&allowInsecure=1", "trojan")
    assert trojan.secret == "ses@me"
    assert trojan.tls == Tls("s.example", insecure=True)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("vmess://", "is no VMess link|not base64"),
        ("vmess://sesame!", "is not base64"),
        ("vmess://" + base64.b64encode(b"sesame").decode(), "not base64 of JSON"),
        ("vmess://" + base64.b64encode(b"[1]").decode(), "not base64 of JSON"),
        ("vmess://" + base64.b64encode(b"[" * 9000).decode(), "not base64 of JSON"),
        (link(v="1"), "of another version"),
        (link(add=None), "has no host"),
        (link(port=None), "has no port"),
        (link(port="0x1"), "has no port"),
        (link(id=None), "has no user id"),
        (link(id="sesame"), "no UUID"),
        (link(net="wss"), "unknown transport 'wss'"),
        (link(tls="yes"), "unknown security 'yes'"),
        (link(scy="rot"), "unknown encryption 'rot'"),
        (link(aid="many"), "alterId"),
        (link(security="none"), "says two things of encryption"),
        (link(path={"x": 1}), "neither text nor a number"),
        (link(mux="1"), "'mux' is not known"),
    ],
)
def test_bad_vmess_links_are_refused(url: str, problem: str) -> None:
    """With what would be right."""
    said = told(url)
    assert any(one in said for one in problem.split("|")), said


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("vless://h.example:443", "has no user id"),
        (f"vless://{ID}@h.example", "has no port"),
        (f"vless://{ID}@h.example:443/x", "something behind the port"),
        (f"vless://{ID}@h.example:443?type=carrier", "unknown transport"),
        (f"vless://{ID}@h.example:443?secruity=tls", "did you mean 'security'"),
    ],
)
def test_bad_vless_links_are_refused(url: str, problem: str) -> None:
    """With what would be right."""
    assert problem in told(url, "vless")


def test_a_link_is_claimed_by_its_scheme() -> None:
    """One link, not a list of them."""
    assert claimed("VLESS://x", "vless")
    assert not claimed("vless://x\nvless://y", "vless")
    assert not claimed("vmess://x", "vless")


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda raw: raw.hex())))
def test_garbage_is_refused_and_never_a_crash(text: str) -> None:
    """As it is, as base64, as base64 of JSON, as a link with a login."""
    raw = base64.b64encode(text.encode()).decode()
    for url in (text, f"vmess://{text}", f"vmess://{raw}", link(path=text, add=text)):
        try:
            read(url, "vmess")
        except ConfigError:
            continue
    for kind in ("vless", "trojan"):
        try:
            read(f"{kind}://{text}@h:1?{text}", kind)
        except ConfigError:
            continue


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_json_values_of_any_kind_are_refused_or_read(value: Any) -> None:
    """Programs write what they like."""
    for key in ("v", "add", "port", "id", "aid", "net", "type", "tls", "alpn"):
        try:
            read(link(**{key: value}), "vmess")
        except ConfigError:
            continue
