"""WireGuard, with wireguard-go at both ends."""

from dataclasses import replace

from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.model import TunnelFault
from circumtest.tunnels.wireguard import Wireguard
from tests.lab.specimens import Fields, Specimen


def tunnel(fields: Fields) -> Wireguard:
    """Patient enough for its own second attempt, after 5 s."""
    return replace(Wireguard(**fields), device="userspace", patience=7.0)


def other_key(fields: Fields) -> Fields:
    """WireGuard answers a stranger with silence."""
    lines = fields["text"].splitlines()
    changed = [f"PresharedKey = {'A' * 43}=" if "PresharedKey" in one else one for one in lines]
    return {"text": "\n".join(changed)}


SPECIMENS = (
    Specimen(
        "wireguard",
        WireguardGo,
        tunnel,
        wrong_key=other_key,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot={
            "server_restarted": "wireguard-go started again has no keys; the kernel's never ends",
            "server_without_udp": "it carries packets",
        },
    ),
)
