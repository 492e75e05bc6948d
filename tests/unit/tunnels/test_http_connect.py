"""Proxy URLs and certificates: what is one, and what is refused before anything starts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.lab.pki import certified
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.http_connect import HttpConnect


def wrong(url: str) -> str:
    """The message that `url` is refused with; it tells no password."""
    with pytest.raises(ConfigError) as caught:
        HttpConnect(url=url)
    assert "sesame" not in str(caught.value)
    return str(caught.value)


def test_a_url_is_taken_apart() -> None:
    """Percent-encoding as in any URL; repr keeps the password to itself."""
    tunnel = HttpConnect(url="https://me%40home:open%3Asesame@[2001:db8::1]:8443/")
    assert tunnel.parts == (True, "2001:db8::1", 8443, "me@home", "open:sesame")
    assert "sesame" not in repr(tunnel)
    assert HttpConnect(url="http://me@p.example:80").parts == (False, "p.example", 80, "me", "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is no URL"),
        ("192.0.2.1:8080", "is no URL"),
        ("htp://192.0.2.1:8080", "did you mean 'http'"),
        ("socks5://192.0.2.1:1080", "unknown scheme 'socks5'"),
        ("http://192.0.2.1", "no port"),
        ("http://192.0.2.1:65536", "no port"),
        ("http://[2001:db8::1:80", "malformed"),
        ("http://me:sesame@:80", "no host"),
        ("http://192.0.2.1:80/path", "behind the port"),
        ("http://192.0.2.1:80?x=sesame", "behind the port"),
        ("http://:sesame@192.0.2.1:80", "only a password"),
        ("http://m%3Ae:sesame@192.0.2.1:80", "no colon"),
        ("http://me:sesame%0D%0Ax@192.0.2.1:80", "printable"),
        ("http://me:" + "x" * 1100 + "@192.0.2.1:80", "1024"),
    ],
)
def test_what_is_no_proxy_is_refused(url: str, said: str) -> None:
    """Each mistake in its own words."""
    assert said in wrong(url)


def test_links_with_a_port_and_no_path_are_claimed() -> None:
    """Others lead to pages, or to subscriptions."""
    for link in ("http://192.0.2.1:8080", "https://me:pw@p.example:8443/", "HTTP://[::1]:1"):
        assert HttpConnect.claims(link) == {"url": link}
    for link in ("http://p.example", "https://p.example:1/sub?x", "socks5://p.example:1", "http"):
        assert HttpConnect.claims(link) is None


def test_authorities_are_read_or_refused(tmp_path: Path) -> None:
    """A file or its content; for TLS only; PEM only."""
    pem = certified(["192.0.2.1"]).authority
    url, file = "https://192.0.2.1:443", tmp_path / "ca.pem"
    with pytest.raises(ConfigError, match="cannot be read"):
        HttpConnect(url=url, ca=str(file))
    for content in (b"", b"nothing", b"\xff", pem.replace("M", "N", 1).encode()):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"ca.pem"):
            HttpConnect(url=url, ca=str(file))
    file.write_text(pem)
    assert HttpConnect(url=url, ca=str(file)).authorities == pem
    assert HttpConnect(url=url, ca_text=pem).notes() == ()
    with pytest.raises(ConfigError, match="twice"):
        HttpConnect(url=url, ca=str(file), ca_text=pem)
    with pytest.raises(ConfigError, match="without TLS"):
        HttpConnect(url="http://192.0.2.1:80", ca_text=pem)


def test_an_authority_that_is_over_is_noted() -> None:
    """It is refused by the other end's certificate check anyway: here is why."""
    over = certified(["192.0.2.1"], over=True).certificate
    (note,) = HttpConnect(url="https://192.0.2.1:443", ca_text=over).notes()
    assert "is over since" in note


def test_a_plans_table_makes_one() -> None:
    """Found by entry point."""
    table = {"kind": "http-connect", "url": "http://192.0.2.1:80", "patience": 3.0}
    assert build(TUNNELS, table, "p", "t") == HttpConnect(url="http://192.0.2.1:80", patience=3.0)
    for patience in (0.0, float("nan")):
        with pytest.raises(ConfigError, match="patience"):
            HttpConnect(url="http://192.0.2.1:80", patience=patience)


@given(st.text(max_size=40))
def test_any_text_is_a_proxy_or_a_config_error(text: str) -> None:
    """No other exception comes out of a URL."""
    for url in (text, "http://" + text, "https://" + text):
        try:
            HttpConnect(url=url)
        except ConfigError:
            continue
