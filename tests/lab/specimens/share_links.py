"""VMess, VLESS and Trojan by share link: V2Ray's transports, Debian's trojan, Xray's REALITY."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from circumtest.lab.servers.trojan import TrojanServer
from circumtest.lab.servers.v2ray import V2ray
from circumtest.lab.servers.xray import Xray
from circumtest.model import TunnelFault
from circumtest.tunnels.trojan import Trojan
from circumtest.tunnels.vless import Vless
from circumtest.tunnels.vmess import Vmess
from tests.lab.specimens import Fields, Specimen, elsewhere

TUNNELS: dict[str, Callable[..., Any]] = {"vmess": Vmess, "vless": Vless, "trojan": Trojan}


def tunnel(fields: Fields) -> Any:
    """As the server gave it."""
    kind = fields["url"].partition("://")[0]
    return replace(TUNNELS[kind](**fields), patience=4.0)


def inside(fields: Fields, change: Callable[[dict[str, str]], dict[str, str]]) -> Fields:
    """VMess's link with something else in its JSON."""
    text = base64.b64decode(fields["url"].removeprefix("vmess://"))
    changed = json.dumps(change(json.loads(text))).encode()
    return {**fields, "url": "vmess://" + base64.b64encode(changed).decode()}


def other_user(fields: Fields) -> Fields:
    """One that the server does not know; which of them tell is what each specimen says."""
    if fields["url"].startswith("vmess://"):
        return inside(fields, lambda given: {**given, "id": _other(given["id"])})
    scheme, _, rest = fields["url"].partition("://")
    secret, at, behind = rest.partition("@")
    return {**fields, "url": f"{scheme}://{_other(secret)}{at}{behind}"}


def nobody(fields: Fields) -> Fields:
    """The same where there is no server."""
    if fields["url"].startswith("vmess://"):
        return inside(fields, lambda given: dict(elsewhere(given)))
    return elsewhere(fields)


def _other(secret: str) -> str:
    return ("0" if secret[0] != "0" else "1") + secret[1:]


def by_v2ray(name: str, recovers: float = 20.0, **how: Any) -> Specimen:
    """One of V2Ray's.  Over QUIC it holds on to a server that is gone for 30 s, its idle time."""
    return Specimen(
        name,
        partial(V2ray, **how),
        tunnel,
        wrong_key=other_user,
        wrong_host=nobody,
        without_udp=partial(V2ray, **how, udp=False),
        when_wrong_key=TunnelFault.HANDSHAKE,
        recovers=recovers,
    )


SPECIMENS = (
    by_v2ray("vmess-tcp"),
    by_v2ray("vmess-tls", tls=True),
    by_v2ray("vmess-ws", transport="ws"),
    by_v2ray("vmess-ws-tls", transport="ws", tls=True),
    by_v2ray("vmess-h2", transport="h2", tls=True),
    by_v2ray("vmess-kcp", transport="kcp", header="wechat-video"),
    by_v2ray("vmess-quic", recovers=45.0, transport="quic", tls=True, header="utp"),
    by_v2ray("vless-tls", protocol="vless", tls=True),
    by_v2ray("vless-ws-tls", protocol="vless", transport="ws", tls=True),
    by_v2ray("trojan-v2ray", protocol="trojan", tls=True),
    Specimen(
        "trojan",
        TrojanServer,
        tunnel,
        wrong_key=other_user,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot={"server_without_udp": "trojan always relays UDP; trojan-v2ray's server need not"},
    ),
    Specimen(
        "vless-reality",
        Xray,
        tunnel,
        wrong_key=other_user,
        without_udp=partial(Xray, udp=False),
        when_wrong_key=TunnelFault.HANDSHAKE,
    ),
)
