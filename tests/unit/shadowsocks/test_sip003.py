"""Plugins and their options: what is given on, what is left out, what is refused."""

import pytest

from circumtest.errors import ConfigError
from circumtest.shadowsocks.sip003 import OBFS, V2RAY, plugin_of


@pytest.mark.parametrize(
    ("plugin", "options", "wanted"),
    [
        ("", "", ("", "", ())),
        (
            "obfs-local",
            "obfs=http;obfs-host=a.example",
            (OBFS, "obfs=http;obfs-host=a.example", ()),
        ),
        ("simple-obfs", "obfs=tls", (OBFS, "obfs=tls", ())),
        ("v2ray-plugin", "", (V2RAY, "", ())),
        ("ss-v2ray-plugin", "mode=quic;host=a", (V2RAY, "mode=quic;host=a", ())),
        ("v2ray-plugin", r"path=/a\;b;tls", (V2RAY, r"path=/a\;b;tls", ())),
        (
            "obfs-local",
            "fast-open;obfs=http",
            (OBFS, "obfs=http", ("plugin option fast-open: ignored",)),
        ),
    ],
)
def test_a_plugin_is_known_by_its_names(
    plugin: str, options: str, wanted: tuple[str, str, tuple[str, ...]]
) -> None:
    """Tuning is left out and said; an escaped semicolon is no end (SIP003)."""
    assert plugin_of(plugin, options, "p", "q") == wanted


@pytest.mark.parametrize(
    ("plugin", "options", "said"),
    [
        ("", "obfs=http", "no plugin"),
        ("cloak", "", "not known"),
        ("/tmp/evil", "", "not known"),
        ("obfs-local", "", "which obfs"),
        ("obfs-local", "obfs=quic", "neither http nor tls"),
        ("obfs-local", "obfs=http;failover=192.0.2.1:80", "no option 'failover'"),
        ("v2ray-plugin", "server", "no option 'server'"),
        ("v2ray-plugin", "fwmark=7", "no option 'fwmark'"),
        ("v2ray-plugin", "mode=grpc", "neither websocket nor quic"),
    ],
)
def test_what_would_be_another_protocol_is_refused(plugin: str, options: str, said: str) -> None:
    """Also what is a server's option, and what changes where packets go."""
    with pytest.raises(ConfigError, match=said):
        plugin_of(plugin, options, "p", "q")
