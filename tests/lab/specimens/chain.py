"""Tunnels through tunnels: a namespace inside as the next underlay, and a gateway as one."""

from collections.abc import Callable
from functools import partial
from typing import Any

from circumtest.lab.servers.chain import ChainServers
from circumtest.model import TunnelFault
from circumtest.tunnels.chain import Chain
from tests.lab.specimens import BOTH, TCP, Fields, Specimen
from tests.lab.specimens.shadowsocks import other_password as other_secret
from tests.lab.specimens.socks import other_password
from tests.lab.specimens.wireguard import other_key

WIREGUARD = {"kind": "wireguard", "device": "userspace", "patience": 7.0, "server": "wireguard-go"}
DANTE = {"kind": "socks", "server": "dante"}
MICROSOCKS = {"kind": "socks", "server": "microsocks"}
SHADOWSOCKS = {"kind": "shadowsocks", "server": "shadowsocks-libev"}

NO_KEYS = "wireguard-go started again has no keys; the kernel's never ends"
NO_DAEMON = "its daemons, where it has any, are behind the first hop: a test of its own kills them"


def server(*hops: dict[str, Any]) -> Callable[[], ChainServers]:
    """Those servers side by side."""
    return partial(ChainServers, hops)


def tunnel(fields: Fields) -> Chain:
    """As the servers gave it."""
    return Chain(**fields, patience=5.0)


def last_hop(change: Callable[[Fields], Fields]) -> Callable[[Fields], Fields]:
    """Another key or password at the last hop only."""

    def changed(fields: Fields) -> Fields:
        *others, last = fields["hops"]
        return {"hops": (*others, {**last, **change(last)})}

    return changed


SPECIMENS = (
    Specimen(
        "chain-wireguard-socks",
        server(WIREGUARD, DANTE),
        tunnel,
        wrong_key=last_hop(other_password),
        without_udp=server(WIREGUARD, MICROSOCKS),
        cannot={"server_restarted": NO_KEYS},
    ),
    Specimen(
        "chain-socks-wireguard",
        server(DANTE, WIREGUARD),
        tunnel,
        wrong_key=last_hop(other_key),
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot={
            "server_restarted": NO_KEYS,
            "server_without_udp": "it carries packets",
            "daemon_killed": NO_DAEMON,
        },
    ),
    Specimen(
        "chain-socks-socks",
        server(DANTE, {**DANTE, "server": {"kind": "dante", "port": 1082}}),
        tunnel,
        carries=BOTH,
        wrong_key=last_hop(other_password),
        without_udp=server(DANTE, MICROSOCKS),
        cannot={"daemon_killed": NO_DAEMON},
    ),
    Specimen(
        "chain-socks-shadowsocks",
        server(DANTE, SHADOWSOCKS),
        tunnel,
        wrong_key=last_hop(other_secret),
        when_wrong_key=TunnelFault.HANDSHAKE,
        without_udp=server(
            DANTE, {**SHADOWSOCKS, "server": {"kind": "shadowsocks-libev", "udp": False}}
        ),
        cannot={"daemon_killed": NO_DAEMON},
    ),
    Specimen(
        "chain-microsocks-socks",
        server(MICROSOCKS, DANTE),
        tunnel,
        carries=TCP,
        wrong_key=last_hop(other_password),
        cannot={"daemon_killed": NO_DAEMON, "server_without_udp": "the first hop has none"},
    ),
)
