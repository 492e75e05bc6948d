"""Shadowsocks by shadowsocks-libev, plain and behind its plugins."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from circumtest.lab.servers.shadowsocks import SsServer
from circumtest.model import TunnelFault
from circumtest.tunnels.shadowsocks import Shadowsocks
from tests.lab.specimens import BOTH, TCP, Fields, Specimen

NO_UDP_ANYWAY = {
    "server_without_udp": "UDP goes around a plugin: it carries TCP only unless that is asked for"
}


def tunnel(fields: Fields) -> Shadowsocks:
    """As the server gave it."""
    return replace(Shadowsocks(**fields), patience=4.0)


def other_password(fields: Fields) -> Fields:
    """A server is silent to what it cannot decrypt: silence is all that there is to tell."""
    head, at, tail = fields["url"].partition("@")
    return {"url": f"{head}x{at}{tail}"}


def specimen(
    name: str,
    plugin: Literal["", "obfs-http", "obfs-tls", "v2ray"] = "",
    cannot: Mapping[str, str] = NO_UDP_ANYWAY,
    without_udp: Callable[[], SsServer] | None = None,
) -> Specimen:
    """One of the family."""
    return Specimen(
        name,
        partial(SsServer, plugin=plugin),
        tunnel,
        carries=TCP if plugin else BOTH,
        wrong_key=other_password,
        when_wrong_key=TunnelFault.HANDSHAKE,
        without_udp=without_udp,
        cannot=cannot,
    )


SPECIMENS = (
    specimen("shadowsocks", cannot={}, without_udp=partial(SsServer, udp=False)),
    specimen("shadowsocks-obfs-http", "obfs-http"),
    specimen("shadowsocks-obfs-tls", "obfs-tls"),
    specimen("shadowsocks-v2ray-plugin", "v2ray"),
)
