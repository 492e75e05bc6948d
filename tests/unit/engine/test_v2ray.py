"""V2Ray's JSON from a link: where everything stands, and what V2Ray lacks."""

import json

import pytest

from circumtest.engine.v2ray import Entry, command, lacks, settings
from circumtest.model import Address
from circumtest.sharelink.links import read

ID = "01234567-89ab-4cde-8f01-23456789abcd"
KEY = "Zv9sYkqyYWZrYWprbGFzZGZqa2xhc2RmamtsYXNkZmo"
SERVER = Address("192.0.2.1", 443)
ENTRY = Entry(1080, "me", "sesame")


def stream(query: str, kind: str = "vless", authorities: str = "") -> dict[str, object]:
    """The stream settings of a link with these parameters."""
    link = read(f"{kind}://{ID}@h.example:443?{query}", kind)
    whole = settings(link, SERVER, ENTRY, authorities)
    json.dumps(whole)
    found: dict[str, object] = whole["outbounds"][0]["streamSettings"]
    return found


def test_the_port_in_front_wants_a_login_and_is_on_the_loopback() -> None:
    """So that nobody else on this machine goes out by the tunnel; nothing is logged of targets."""
    whole = settings(read(f"vless://{ID}@h.example:443", "vless"), SERVER, ENTRY, "")
    (inbound,) = whole["inbounds"]
    assert (inbound["listen"], inbound["port"]) == ("127.0.0.1", 1080)
    assert inbound["settings"]["auth"] == "password"
    assert inbound["settings"]["accounts"] == [{"user": "me", "pass": "sesame"}]
    assert inbound["settings"]["udp"]
    assert whole["log"]["access"] == "none"


def test_each_protocol_has_its_own_way_to_name_the_server() -> None:
    """By its address: nothing is resolved by V2Ray."""
    one = settings(read(f"vmess://{ID}@h.example:443?aid=4", "vmess"), SERVER, ENTRY, "")
    (at,) = one["outbounds"][0]["settings"]["vnext"]
    assert at["address"] == SERVER.host
    assert at["port"] == SERVER.port
    assert at["users"] == [{"id": ID, "security": "auto", "alterId": 4}]
    one = settings(read("trojan://open@h.example:443", "trojan"), SERVER, ENTRY, "")
    assert one["outbounds"][0]["settings"]["servers"] == [
        {"address": "192.0.2.1", "port": 443, "password": "open"}
    ]
    assert "h.example" not in json.dumps(one["outbounds"][0]["settings"])


def test_transports_are_told_what_the_link_says() -> None:
    """Each under V2Ray's own name."""
    assert stream("type=ws&path=%2Fw&host=a.example") == {
        "network": "ws",
        "wsSettings": {"path": "/w", "headers": {"Host": "a.example"}},
    }
    assert stream("type=http&security=tls&host=a,b")["httpSettings"] == {
        "path": "/",
        "host": ["a", "b"],
    }
    assert stream("type=kcp&headerType=srtp&seed=s") == {
        "network": "kcp",
        "kcpSettings": {"header": {"type": "srtp"}, "seed": "s"},
    }
    quic = stream("type=quic&security=tls&quicSecurity=aes-128-gcm&key=k&headerType=utp")
    assert quic["quicSettings"] == {
        "security": "aes-128-gcm",
        "key": "k",
        "header": {"type": "utp"},
    }
    request = {"path": ["/p"], "headers": {"Host": ["a.example"]}}
    assert stream("headerType=http&host=a.example&path=/p")["tcpSettings"] == {
        "header": {"type": "http", "request": request}
    }


def test_tls_verifies_unless_the_link_says_otherwise() -> None:
    """By the machine's authorities, or by those given alone."""
    assert stream("security=tls&sni=s.example&alpn=h2")["tlsSettings"] == {
        "serverName": "s.example",
        "alpn": ["h2"],
    }
    assert stream("security=tls&allowInsecure=1")["tlsSettings"] == {
        "serverName": "h.example",
        "allowInsecure": True,
    }
    assert stream("security=tls", authorities="a\nb\n")["tlsSettings"] == {
        "serverName": "h.example",
        "certificates": [{"usage": "verify", "certificate": ["a", "b"]}],
        "disableSystemRoot": True,
    }


@pytest.mark.parametrize(
    ("query", "lacking"),
    [
        ("", ()),
        ("type=kcp", ()),
        ("security=tls&allowInsecure=1", ()),
        ("type=grpc", ("type=grpc",)),
        (f"security=reality&pbk={KEY}", ("security=reality", "fp=chrome")),
        ("security=tls&flow=xtls-rprx-vision", ("flow=xtls-rprx-vision",)),
        ("security=tls&fp=firefox", ("fp=firefox",)),
        (f"security=tls&pcs={'ab' * 32}", ("pcs",)),
        ("encryption=mlkem768x25519plus.native.0rtt.x", ("its encryption",)),
    ],
)
def test_what_it_lacks_is_named(query: str, lacking: tuple[str, ...]) -> None:
    """In the link's own words."""
    assert lacks(read(f"vless://{ID}@h.example:443?{query}", "vless")) == lacking


def test_its_command_names_the_file_only() -> None:
    """What is in the file is on no command line."""
    assert command("/x/y.json") == ["v2ray", "-config", "/x/y.json"]
