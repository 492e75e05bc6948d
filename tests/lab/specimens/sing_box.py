"""What sing-box speaks, sing-box at the exit; WireGuard without a TUN device."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from circumtest.lab.servers.sing_box import SingBox
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.model import TunnelFault
from circumtest.tunnels.anytls import Anytls
from circumtest.tunnels.hysteria2 import Hysteria2
from circumtest.tunnels.shadowsocks import Shadowsocks
from circumtest.tunnels.shadowtls import Shadowtls
from circumtest.tunnels.tuic import Tuic
from circumtest.tunnels.wireguard_userspace import WireguardUserspace
from tests.lab.specimens import Fields, Specimen
from tests.lab.specimens.wireguard import other_key

Protocol = Literal["hysteria2", "hysteria2-obfs", "tuic", "anytls", "ss2022", "shadowtls"]


def other_password(fields: Fields) -> Fields:
    """One that the server does not know: whatever stands last before the host."""
    login, at, rest = fields["url"].rpartition("@")
    return {**fields, "url": f"{login}x{at}{rest}"}


def other_keys(fields: Fields) -> Fields:
    """A key of Shadowsocks 2022 has a length: another one of the same."""
    key = quote(base64.b64encode(bytes(16)).decode(), safe="")
    return {"url": re.sub(r":[^:@]+@", f":{key}@", fields["url"])}


def other_disguise(fields: Fields) -> Fields:
    """Another password of ShadowTLS, which stands behind the host."""
    return {**fields, "url": fields["url"].replace("password%3D", "password%3Dx")}


def specimen(
    protocol: Protocol,
    tunnel: Callable[..., Any],
    when_wrong_key: TunnelFault = TunnelFault.HANDSHAKE,
    wrong_key: Callable[[Fields], Fields] = other_password,
    name: str = "",
    cannot: Mapping[str, str] | None = None,
) -> Specimen:
    """One of the family.  QUIC's own patience with a dead server is 30 s: it is killed before."""
    return Specimen(
        name or protocol,
        partial(SingBox, protocol),
        lambda fields: replace(tunnel(**fields), patience=4.0),
        wrong_key=wrong_key,
        without_udp=partial(SingBox, protocol, udp=False),
        when_wrong_key=when_wrong_key,
        cannot=cannot or {},
    )


SPECIMENS = (
    specimen("hysteria2", Hysteria2, TunnelFault.AUTH),
    specimen("hysteria2-obfs", Hysteria2, TunnelFault.AUTH),
    specimen("tuic", Tuic),
    specimen("anytls", Anytls),
    specimen("ss2022", Shadowsocks, wrong_key=other_keys),
    specimen("shadowtls", Shadowtls, TunnelFault.AUTH, other_disguise),
    Specimen(
        "wireguard-userspace",
        WireguardGo,
        lambda fields: replace(WireguardUserspace(**fields), patience=7.0),
        wrong_key=other_key,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot={
            "server_restarted": "wireguard-go started again has no keys; the kernel's never ends",
            "server_without_udp": "it carries packets",
        },
    ),
)
