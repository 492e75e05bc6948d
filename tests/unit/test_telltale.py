"""What in a text tells: found in whatever it stands, and not in words that tell nothing."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from circumtest.telltale import any_of, hosts_in, replaced, secrets_in, tales, tells_where

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
FRAMES = (
    "{}",
    "to {}.",
    "[{}]:443",
    "({})",
    "x={}",
    "addr:{} is",
    "interface:{}",
    "<{}>",
    "{}:443",
)


def kinds(text: str) -> list[tuple[str, str]]:
    """What was found, by kind."""
    return [(tale.kind, tale.words) for tale in tales(text)]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("dial 203.0.113.4:443: refused", "address", "203.0.113.4"),
        ("198.51.100.2.443 > x", "address", "198.51.100.2"),
        ("from 010.008.8.8", "address", "010.008.8.8"),
        ("interface:2001:db8::1 is up", "address", "2001:db8::1"),
        ("fe80::1%eth0", "address", "fe80::1%eth0"),
        ("lladdr:aa:bb:cc:dd:ee:ff", "mac", "aa:bb:cc:dd:ee:ff"),
        ("ss://YWVzOnB3@h.example:8388#x y", "link", "ss://YWVzOnB3@h.example:8388#x"),
        ("GET http://anna:pw@proxy/ failed", "login", "http://anna:pw@proxy/"),
        ("open /home/anna/tunnels failed", "home", "/home/anna"),
        ("to a@b.org", "mail", "a@b.org"),
        ("vpn.somebody.net refused", "host", "vpn.somebody.net"),
        (f"key {KEY} bad", "key", KEY),
        ("of 9695DFC35FFEB861329B9F1AB04C46397020CE31", "key", None),
        ("9695 DFC3 5FFE B861 329B 9F1A B04C 4639 7020 CE31", "key", None),
        ("psk yAnz5TF+lXXJte14tji3zA== bad", "key", "yAnz5TF+lXXJte14tji3zA=="),
        ("id b831381d-6324-4d53-ad4f-8cda48b30811 x", "id", None),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "pem", None),
    ],
)
def test_what_tells_is_found(text: str, kind: str, words: str | None) -> None:
    """As exactly one place of its kind."""
    [(found, there)] = kinds(text)

    assert found == kind
    assert words is None or there == words


@pytest.mark.parametrize(
    "text",
    [
        "at 12:34:56 it ended",
        "17:21:50.000 [warn] no",
        "std::string and tokio::net",
        "OpenSSL 3.0.17, i.e. no",
        "media_no_uplink after 25 packets, 0.5 s",
        "no answer in 10 s (allocate: generic_timeout_error)",
    ],
)
def test_what_tells_nothing_is_left_alone(text: str) -> None:
    """Times of day, versions, causes."""
    assert kinds(text) == []


@given(st.ip_addresses().map(str), st.sampled_from(FRAMES))
def test_no_address_is_left_in_whatever_it_stands(address: str, frame: str) -> None:
    """Of either family, behind labels and before ports."""
    assert address not in replaced("said " + frame.format(address) + " and ended", lambda _: "…")


@given(st.text(alphabet=string.printable + "é漢\x00", max_size=400))
@example("a:" * 60)
@example("::" * 60)
def test_any_text_can_be_looked_at(text: str) -> None:
    """In order, none over another, and nothing is lost by replacing each by itself."""
    ends = [0]
    for tale in tales(text):
        assert ends[-1] <= tale.start < tale.end
        assert text[tale.start : tale.end] == tale.words
        ends.append(tale.end)
    assert replaced(text, lambda tale: tale.words) == text
    secrets_in(text)
    hosts_in(text)


@pytest.mark.parametrize(
    ("address", "tells"),
    [
        ("8.8.4.4", True),
        ("2a00:1450::1", True),
        ("::ffff:8.8.4.4", True),
        ("192.168.1.2", False),
        ("203.0.113.4", False),
        ("fe80::1%eth0", False),
        ("2001:db8::1", False),
        ("no address", False),
    ],
)
def test_only_an_address_of_the_open_internet_tells_where(address: str, *, tells: bool) -> None:
    """Private addresses and examples are everybody's."""
    assert tells_where(address) is tells


CONFIGURATIONS = {
    "wireguard": (
        f"[Interface]\nPrivateKey = {KEY}\n[Peer]\nEndpoint = vpn.anna.net:51820\n",
        {KEY, "vpn.anna.net"},
    ),
    "openvpn": (
        "client\nremote 198.51.100.7 1194 udp\n<auth-user-pass>\nanna\nhunter2\n</auth-user-pass>\n"
        "<key>\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\n</key>\n",
        {"198.51.100.7", "anna", "hunter2", "MIIEvQIBADANBg"},
    ),
    "shadowsocks": (
        "ss://Y2hhY2hhMjAtaWV0Zi1wb2x5MTMwNTpodW50ZXIy@198.51.100.9:8388#home",
        {"hunter2", "198.51.100.9"},
    ),
    "vless": (
        "vless://b831381d-6324-4d53-ad4f-8cda48b30811@a.b.net:443?pbk=Zm9vYmFy&sid=ab12#x",
        {"b831381d-6324-4d53-ad4f-8cda48b30811", "a.b.net", "Zm9vYmFy", "ab12"},
    ),
    "json": ('{"password": "hunter2", "server": "a.b.net"}', {"hunter2", "a.b.net"}),
    "proxy": ("socks5://anna:p%40ss@198.51.100.9:1080", {"anna", "p@ss"}),
    "login": ("anna\nhunter2\n", {"anna", "hunter2"}),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_secrets_of_a_configuration_are_known(kind: str) -> None:
    """Keys, passwords, names of users, hosts."""
    text, secrets = CONFIGURATIONS[kind]

    assert secrets - secrets_in(text) == set()


def test_words_of_every_configuration_are_no_secrets() -> None:
    """They would be found everywhere."""
    assert not {"client", "true", "tcp"} & secrets_in("client\nproto tcp\nauth = true\ntoken: tcp")


@given(st.text(min_size=4, max_size=30).filter(lambda one: len(one.strip()) >= 4))
def test_a_named_secret_is_found_as_it_is_and_in_any_case(secret: str) -> None:
    """In the middle of anything."""
    pattern = any_of([secret])

    assert pattern is not None
    assert pattern.search(f"a{secret}b")


def test_nothing_is_looked_for_where_nothing_is_named() -> None:
    """Short words neither: they are in every other word."""
    assert any_of([]) is None
    assert any_of(["abc", " "]) is None
