"""Shadowsocks links and files: every form that is about, and what is refused."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.shadowsocks.sip002 import AEAD, BLAKE3, Access, from_file, from_link, is_file

METHOD = "chacha20-ietf-poly1305"
WANTED = Access("192.0.2.1", 8388, METHOD, "open:sesame/@")


def safe(text: str, alphabet: bytes = b"-_") -> str:
    """Base64 for links, without its padding."""
    return base64.b64encode(text.encode(), alphabet).decode().rstrip("=")


def told(link: str) -> str:
    """The message that a link is refused with; it tells no password."""
    with pytest.raises(ConfigError) as caught:
        from_link(link)
    assert "sesame" not in str(caught.value)
    return str(caught.value)


def file_told(**changed: Any) -> str:
    """The message that a file is refused with; None takes a key out."""
    whole = {"server": "192.0.2.1", "server_port": 8388, "method": METHOD, "password": "sesame"}
    whole |= changed
    with pytest.raises(ConfigError) as caught:
        from_file(json.dumps({k: v for k, v in whole.items() if v is not None}), "mine.json")
    assert "sesame" not in str(caught.value)
    assert "mine.json" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "link",
    [
        f"ss://{safe(METHOD + ':open:sesame/@')}@192.0.2.1:8388",
        f"ss://{safe(METHOD + ':open:sesame/@')}@192.0.2.1:8388/#home%20one",
        f"ss://{safe(METHOD + ':open:sesame/@')}==@192.0.2.1:8388/?outline=1",
        f"ss://{METHOD}:open%3Asesame%2F%40@192.0.2.1:8388",
        f"ss://{METHOD}%3Aopen%3Asesame%2F%40@192.0.2.1:8388",
        f"SS://{safe(METHOD + ':open:sesame/@@192.0.2.1:8388')}#older",
        f"ss://{safe(METHOD + ':open:sesame/@@192.0.2.1:8388', b'+/')}=",
        f"ss://{METHOD.upper()}:open%3Asesame%2F%40@192.0.2.1:8388/?group=x",
        "ss://chacha20-poly1305:open%3Asesame%2F%40@192.0.2.1:8388",
    ],
)
def test_every_form_of_a_link_says_the_same(link: str) -> None:
    """SIP002 with base64 or percent-encoding, the older form, Outline's, other names of ciphers."""
    assert from_link(link) == WANTED


def test_hosts_are_names_or_addresses_of_both_families() -> None:
    """IPv6 in brackets, written anew in its shortest form."""
    assert from_link("ss://aes-256-gcm:x@[2001:DB8::0:1]:1/").host == "2001:db8::1"
    assert from_link("ss://aes-256-gcm:x@vpn.example.com:1").host == "vpn.example.com"


def test_a_plugin_keeps_the_options_that_matter() -> None:
    """Encoded once, as SIP002 says."""
    plugin = "v2ray-plugin%3Btls%3Bhost%3Dwww.example.com%3Bpath%3D%2Fws%3Bloglevel%3Dnone"
    access = from_link(f"ss://aes-256-gcm:x@192.0.2.1:443/?plugin={plugin}#t")
    assert access.plugin == "v2ray-plugin"
    assert access.options == "tls;host=www.example.com;path=/ws"
    assert access.notes == ("plugin option loglevel: ignored",)


@pytest.mark.parametrize("method", BLAKE3)
def test_shadowsocks_2022_wants_keys_of_the_right_length(method: str) -> None:
    """One, or one for the server and one for the user (SIP022)."""
    key = base64.b64encode(bytes(range(BLAKE3[method]))).decode()
    for password in (key, f"{key}:{key}"):
        link = f"ss://{method}:{password.replace('+', '%2B').replace('/', '%2F')}@192.0.2.1:1"
        assert from_link(link).password == password
    assert "is base64 of" in told(f"ss://{method}:sesame@192.0.2.1:1")
    assert "is base64 of" in told(f"ss://{method}:{key[4:]}@192.0.2.1:1")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("", "no Shadowsocks link"),
        ("ss://", "no Shadowsocks link"),
        ("ssr://xyz", "no Shadowsocks link"),
        ("ssconf://example.com/sesame", "https://"),
        ("ss://sesame", "not base64"),
        ("ss://!!!!@192.0.2.1:1", "not base64"),
        (f"ss://{safe('sesame')}@192.0.2.1:1", "no method and password"),
        ("ss://aes-256-gcm:@192.0.2.1:1", "no password"),
        ("ss://aes-256-gcm:sesame@192.0.2.1", "no host and port"),
        ("ss://aes-256-gcm:sesame@192.0.2.1:0", "no port"),
        ("ss://aes-256-gcm:sesame@192.0.2.1:65536", "no port"),
        ("ss://aes-256-gcm:sesame@:1", "no host"),
        ("ss://aes-256-gcm:sesame@-x:1", "no host"),
        ("ss://aes-256-gcm:sesame@[::g]:1", "no host"),
        ("ss://aes-256-gcm:sesame@[:::]:1", "malformed IPv6"),
        ("ss://sesame:aes-256-gcm@192.0.2.1:1", "unknown method"),
        ("ss://rc4-md5:sesame@192.0.2.1:1", "rc4-md5 is a stream cipher"),
        ("ss://aes-256-cfb:sesame@192.0.2.1:1", "aes-256-cfb is a stream cipher"),
        ("ss://chacha20-ietf:sesame@192.0.2.1:1", "chacha20-ietf is a stream cipher"),
        ("ss://none:sesame@192.0.2.1:1", "encrypts nothing"),
        ("ss://aes-256-gcm:sesame@192.0.2.1:1/?plugin=kcptun", "plugin is not known"),
        ("ss://aes-256-gcm:sesame@192.0.2.1:1/?prefix=POST%20", "prefix"),
        ("ss://aes-256-gcm:sesame@192.0.2.1:1/?type=ws", "'type' is not known"),
    ],
)
def test_what_is_no_link_is_refused(link: str, said: str) -> None:
    """Each mistake in its own words, and what to do."""
    assert said in told(link)


def test_a_clients_file_is_read() -> None:
    """shadowsocks-libev's keys; those of the local end change nothing; SIP008 with one server."""
    whole = {
        "server": ["2001:db8::1"],
        "server_port": "8388",
        "method": METHOD,
        "password": "x",
        "mode": "tcp_only",
        "local_port": 1080,
        "timeout": 300,
    }
    access = from_file(json.dumps(whole), "mine.json")
    assert access == Access("2001:db8::1", 8388, METHOD, "x", udp=False, notes=access.notes)
    assert access.notes == ("timeout: ignored",)
    assert from_file(json.dumps({"version": 1, "servers": [whole]}), "mine.json") == access
    plugin = {"plugin": "obfs-local", "plugin_opts": "obfs=tls"}
    assert from_file(json.dumps(whole | plugin), "x").options == "obfs=tls"


def test_a_wrong_file_is_told_by_name_and_key() -> None:
    """What is wrong, and where."""
    assert "is not one host" in file_told(server=["a", "b"])
    assert "is not one host" in file_told(server=None)
    assert "`server_port`" in file_told(server_port=True)
    assert "`server_port`" in file_told(server_port=None)
    assert "`method`" in file_told(method=None)
    assert "`password`: is not text" in file_told(password=7)
    assert "`mode`" in file_told(mode="udp_only")
    assert "`acl`" in file_told(acl="bypass.acl")
    assert "`prefix`" in file_told(prefix="POST ")
    assert "no plugin" in file_told(plugin_opts="obfs=http")
    for text, said in (("{", "not JSON"), ("[]", "no Shadowsocks"), ('{"servers": []}', "0 serv")):
        with pytest.raises(ConfigError, match=said):
            from_file(text, "mine.json")


def test_only_its_own_files_are_claimed() -> None:
    """Other tools' JSON has other keys."""
    whole = {"server": "h", "server_port": 1, "method": "m", "password": "p"}
    assert is_file(json.dumps(whole))
    assert is_file(json.dumps({"servers": [whole]}))
    for text in ("", "[" * 100_000, "{}", '{"servers": []}', '{"server": "h", "auth": "x"}', "7"):
        assert not is_file(text)


def test_the_password_is_not_shown() -> None:
    """repr keeps it to itself."""
    assert "sesame" not in repr(WANTED)
    assert METHOD in AEAD


@given(st.text(max_size=60))
def test_any_text_is_an_access_or_a_config_error(text: str) -> None:
    """No other exception comes out of a link or a file."""
    makes: tuple[Callable[[], Access], ...] = (
        lambda: from_link(text),
        lambda: from_link("ss://" + text),
        lambda: from_link("ss://" + safe(text)),
        lambda: from_link(f"ss://aes-256-gcm:x@192.0.2.1:1/?plugin=obfs-local;{text}"),
        lambda: from_file(text, "mine.json"),
    )
    for make in makes:
        try:
            make()
        except ConfigError:
            continue


VALUES = st.none() | st.booleans() | st.integers() | st.text()


@given(VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(st.text(), VALUES, max_size=2))
def test_any_value_in_a_file_is_taken_or_a_config_error(value: Any) -> None:
    """Whatever type a key has."""
    whole = {"server": "192.0.2.1", "server_port": 1, "method": METHOD, "password": "x"}
    for key in (*whole, "plugin", "plugin_opts", "mode", "servers"):
        try:
            from_file(json.dumps(whole | {key: value}), "mine.json")
        except ConfigError:
            continue
