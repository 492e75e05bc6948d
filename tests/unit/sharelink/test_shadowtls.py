"""ShadowTLS in Shadowsocks links: both ways of writing it, and what is left without it."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.sharelink.shadowtls import Disguise, claimed, disguise, read

BARE = "ss://bm9uZTp4@h.example:443"
OPTIONS = "shadow-tls%3Bhost%3Dn.example%3Bpassword%3Ds3cret%3Bversion%3D3"
LINK = f"{BARE}/?plugin={OPTIONS}#home"
WANTED = Disguise("n.example", "s3cret")


def rocket(**changed: Any) -> str:
    """Shadowrocket's."""
    whole = {"version": "3", "host": "n.example", "password": "s3cret"} | changed
    return f"{BARE}?shadow-tls={base64.b64encode(json.dumps(whole).encode()).decode()}#home"


def told(url: str) -> str:
    """The message that it is refused with; it tells no secret."""
    with pytest.raises(ConfigError) as caught:
        read(url)
    for secret in ("s3cret", "n.example"):
        assert secret not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        LINK,
        f"{BARE}?plugin=shadow-tls;host=n.example;password=s3cret;version=3#home",
        f"{BARE}?plugin=shadowtls;sni=n.example;passwd=s3cret;v3=1#home",
        rocket(),
        rocket(version=3),
    ],
)
def test_every_way_of_writing_it_means_the_same(url: str) -> None:
    """And leaves a Shadowsocks link behind."""
    found, left = read(url)

    assert found == WANTED
    assert left.replace("/#", "#") == f"{BARE}#home"
    assert claimed(url)


def test_a_semicolon_in_a_password_is_written_with_a_backslash() -> None:
    """SIP003."""
    found, _ = read(LINK.replace("s3cret", "s3%5C%3Bcret"))

    assert found == Disguise("n.example", "s3;cret")


def test_it_may_stand_elsewhere_than_shadowsocks() -> None:
    """Shadowrocket's link names the place of each."""
    found, _ = read(rocket(address="192.0.2.1", port="8443"))

    assert found == Disguise("n.example", "s3cret", ("192.0.2.1", 8443))


def test_datagrams_in_a_stream_and_an_unverified_certificate_are_asked_for() -> None:
    """The latter is told."""
    found, left = read(LINK.replace("version%3D3", "version%3D3%3Bskip-cert-verify%3D1&uot=1"))

    assert found is not None
    assert (found.over_tcp, found.insecure) == (True, True)
    assert "not verified" in found.notes[0]
    assert "uot" not in left


def test_another_plugin_is_left_where_it_is() -> None:
    """It is somebody else's."""
    url = f"{BARE}?plugin=obfs-local%3Bobfs%3Dtls"

    assert read(url) == (None, url)
    assert not claimed(url)
    assert not claimed(LINK.replace("ss://", "vless://"))
    assert not claimed(f"{LINK}\n{LINK}")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (LINK.replace("version%3D3", "version%3D2"), "not version 3"),
        (LINK.replace("%3Bversion%3D3", ""), "its version"),
        (LINK.replace("host%3Dn.example%3B", ""), "whom it claims"),
        (LINK.replace("password%3Ds3cret%3B", ""), "no password"),
        (LINK.replace("host%3D", "prefix%3Dx%3Bhost%3D"), "prefix"),
        (LINK.replace("#", "&shadow-tls=e30#"), "twice"),
        (LINK.replace("#", "&uot=often#"), "uot"),
        (rocket(address="192.0.2.1"), "port"),
        (f"{BARE}?shadow-tls=%21", "base64 of JSON"),
        (f"{BARE}?shadow-tls=W10=", "base64 of JSON"),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, word: str) -> None:
    """With a word that helps."""
    assert word in told(url)


def test_its_parts_can_be_given_one_by_one() -> None:
    """What is missing is named."""
    assert disguise("n.example", "s3cret", over_tcp=False) == WANTED
    for name, password, word in (("", "x", "whom"), ("n", "", "`password`"), ("n n", "x", "host")):
        with pytest.raises(ConfigError, match=word):
            disguise(name, password, over_tcp=False)


@given(st.text(max_size=80))
def test_garbage_is_refused_and_nothing_else_is_raised(text: str) -> None:
    """A link or a ConfigError."""
    for url in (text, f"ss://{text}", f"{BARE}?plugin=shadow-tls;{text}", f"{BARE}?{text}"):
        claimed(url)
        with suppress(ConfigError):
            read(url)
