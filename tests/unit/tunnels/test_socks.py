"""Proxy URLs: what is one, and what is refused before anything starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.path.socks import Version
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.socks import Socks


def wrong(url: str) -> ConfigError:
    """The error that `url` is refused with; it tells no password."""
    with pytest.raises(ConfigError) as caught:
        Socks(url=url)
    assert "sesame" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        ("socks4", Version.SOCKS4),
        ("socks4a", Version.SOCKS4),
        ("socks5", Version.SOCKS5),
        ("socks5h", Version.SOCKS5),
    ],
)
def test_every_scheme_is_known(scheme: str, version: Version) -> None:
    """The `a` and `h` forms differ in who resolves names, and there are none."""
    parts = Socks(url=f"{scheme}://proxy.example:1080/").parts
    assert parts == (version, "proxy.example", 1080, "", "")


def test_a_login_is_decoded_and_never_shown() -> None:
    """Percent-encoding as in any URL; repr keeps the password to itself."""
    tunnel = Socks(url="socks5://me%40home:open%3Asesame@[2001:db8::1]:9050")
    assert tunnel.parts == (Version.SOCKS5, "2001:db8::1", 9050, "me@home", "open:sesame")
    assert "sesame" not in repr(tunnel)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is no URL"),
        ("192.0.2.1:1080", "is no URL"),
        ("socks5:192.0.2.1:1080", "is no URL"),
        ("sock5://192.0.2.1:1080", "did you mean 'socks5'"),
        ("http://192.0.2.1:8080", "unknown scheme 'http'"),
        ("socks5://192.0.2.1", "no port"),
        ("socks5://192.0.2.1:0", "no port"),
        ("socks5://192.0.2.1:65536", "no port"),
        ("socks5://192.0.2.1:x", "no port"),
        ("socks5://[2001:db8::1:1080", "malformed"),
        ("socks5://:1080", "no host"),
        ("socks5://a b:1080", "no host"),
        ("socks5://me:sesame@:1080", "no host"),
        ("socks5://192.0.2.1:1080/path", "behind the port"),
        ("socks5://192.0.2.1:1080?x=sesame", "behind the port"),
        ("socks5://me@192.0.2.1:1080", "only one of user and password"),
        ("socks5://:sesame@192.0.2.1:1080", "only one of user and password"),
        ("socks4://me:sesame@192.0.2.1:1080", "no password"),
        ("socks5://me:sesame%C3%A9@192.0.2.1:1080", "ASCII"),
        ("socks5://me:" + "x" * 256 + "@192.0.2.1:1080", "255"),
        ("socks4://m%00e@192.0.2.1:1080", "ASCII"),
    ],
)
def test_what_is_no_proxy_is_refused(url: str, said: str) -> None:
    """Each mistake in its own words."""
    assert said in str(wrong(url))


def test_a_patience_that_is_none_is_refused() -> None:
    """Zero and NaN seconds wait for nothing."""
    for patience in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="patience"):
            Socks(url="socks5://192.0.2.1:1080", patience=patience)


def test_a_plans_table_makes_one() -> None:
    """Found by entry point; unknown keys are told with what was meant."""
    table = {"kind": "socks", "url": "socks5://192.0.2.1:1080", "exits": ["192.0.2.1"]}
    assert build(TUNNELS, table, "plan.toml", "tunnel") == Socks(
        url="socks5://192.0.2.1:1080", exits=("192.0.2.1",)
    )
    with pytest.raises(ConfigError, match="did you mean 'exits'"):
        build(TUNNELS, {**table, "exit": []}, "plan.toml", "tunnel")


@given(st.text(max_size=40))
def test_any_text_is_a_proxy_or_a_config_error(text: str) -> None:
    """No other exception comes out of a URL."""
    for url in (text, "socks5://" + text):
        try:
            Socks(url=url)
        except ConfigError:
            continue
