"""The Shadowsocks tunnel's configuration: what it carries, what it says it does not honour."""

import json
from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.model import Transport
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.shadowsocks import Shadowsocks

PLAIN = "ss://chacha20-ietf-poly1305:sesame@192.0.2.1:8388"
BEHIND = PLAIN + "/?plugin=obfs-local%3Bobfs%3Dhttp"
FILE = {"server": "h.example", "server_port": 1, "method": "aes-256-gcm", "password": "sesame"}


def test_plain_shadowsocks_carries_both_and_has_nothing_to_say() -> None:
    """TCP and UDP."""
    tunnel = Shadowsocks(url=PLAIN)
    assert tunnel.carries == set(Transport)
    assert tunnel.notes() == ()
    assert "sesame" not in repr(tunnel)


def test_udp_goes_around_a_plugin_only_when_asked_and_it_is_said() -> None:
    """What is seen of that UDP says nothing of the plugin."""
    assert Shadowsocks(url=BEHIND).carries == {Transport.TCP}
    assert "only TCP is carried" in Shadowsocks(url=BEHIND).notes()[0]
    around = Shadowsocks(url=BEHIND, plugin_udp=True)
    assert around.carries == set(Transport)
    assert "says nothing of the plugin" in around.notes()[0].replace("\n", " ")


def test_a_file_that_carries_tcp_only_does() -> None:
    """`mode` is honoured."""
    tunnel = Shadowsocks(text=json.dumps(FILE | {"mode": "tcp_only"}))
    assert tunnel.carries == {Transport.TCP}


def test_links_and_files_are_claimed() -> None:
    """ssconf too, to be told what to do with it."""
    assert Shadowsocks.claims(PLAIN) == {"url": PLAIN}
    assert Shadowsocks.claims("ssconf://example.com/x") == {"url": "ssconf://example.com/x"}
    assert Shadowsocks.claims(json.dumps(FILE)) == {"text": json.dumps(FILE)}
    for other in ("ssr://x", "ss", "socks5://192.0.2.1:1", "{}", f"{PLAIN}\n{PLAIN}"):
        assert Shadowsocks.claims(other) is None


def test_exactly_one_source_is_given(tmp_path: Path) -> None:
    """A file is read by its name, which messages tell."""
    for url, text in (("", ""), (PLAIN, json.dumps(FILE))):
        with pytest.raises(ConfigError, match="give one"):
            Shadowsocks(url=url, text=text)
    file = tmp_path / "mine.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        Shadowsocks(config=str(file))
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ConfigError, match="is not text"):
        Shadowsocks(config=str(file))
    file.write_text(json.dumps(FILE))
    assert Shadowsocks(config=str(file)).access.host == "h.example"


def test_what_makes_no_sense_is_refused() -> None:
    """UDP around no plugin, a patience that is none."""
    with pytest.raises(ConfigError, match="plugin_udp"):
        Shadowsocks(url=PLAIN, plugin_udp=True)
    for patience in (0.0, float("nan")):
        with pytest.raises(ConfigError, match="patience"):
            Shadowsocks(url=PLAIN, patience=patience)


def test_a_plans_table_makes_one() -> None:
    """Found by entry point."""
    table = {"kind": "shadowsocks", "url": BEHIND, "plugin_udp": True}
    assert build(TUNNELS, table, "p", "t") == Shadowsocks(url=BEHIND, plugin_udp=True)
