"""A namespace whose only way out is a path: what lets one tunnel be brought up through another.

Every address is its own there (`ip route add local 0.0.0.0/0 dev lo`), so whatever a program sends
comes back in, and is handed by nft's tproxy to two listeners a family, which open a channel on the
path for each flow.  It has no cable and no other route: what the path does not carry goes nowhere.

A TCP connection is accepted before it is opened beyond, because nothing else can be done in user
space: one that is refused there is reset here.  It refuses what is neither UDP nor TCP: a ping is
dropped, or the namespace would answer it itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from circumtest.errors import TunnelDown
from circumtest.gateway.relay import Relay
from circumtest.model import Transport
from circumtest.netns import Links, Netns
from circumtest.path import Path
from circumtest.process import run

__all__ = ["OWN", "Gateway", "gateway"]

OWN = {4: "192.0.0.8", 6: "100::8"}
"""What programs there are seen with: the dummy address (RFC 7600), one to be discarded (6666)."""

_RULES = """\
table inet circumtest-gateway {{
    chain in {{
        type filter hook prerouting priority mangle; policy drop;
        ip daddr {{ 127.0.0.0/8, {own4} }} accept
        ip6 daddr {{ ::1, {own6}, fe80::/10, ff00::/8 }} accept
        meta l4proto tcp tproxy to :{tcp} accept
        meta l4proto udp tproxy to :{udp} accept
    }}
    chain out {{
        type filter hook output priority filter;
        ip daddr {{ 127.0.0.0/8, {own4} }} accept
        ip6 daddr {{ ::1, {own6}, fe80::/10, ff00::/8 }} accept
        {refused}
    }}
}}
"""


@asynccontextmanager
async def gateway(path: Path, name: str) -> AsyncIterator["Gateway"]:
    """A new namespace from which everything leaves through `path`, as far as that carries it.

    A transport that it does not carry is refused at once, as an administrator would.
    """
    async with Netns.new(name) as netns:
        relay = Relay(netns, path)
        try:
            ports = await netns.acall(relay.listen)
            await netns.configure(_furnish)
            await run(netns, ["nft", "-f", "-"], input=_rules(path, ports).encode())
            relay.start()
            yield Gateway(netns, relay)
        finally:
            await relay.close()


@dataclass(frozen=True)
class Gateway:
    """What is made: the namespace, and what its flows have learnt of the path."""

    netns: Netns
    _relay: Relay

    def fault(self) -> TunnelDown | None:
        """What the path said for itself when a channel could not be opened on it.

        None once one could, or `forget` was called: one trial's evidence never taints the next.
        """
        return self._relay.known

    def forget(self) -> None:
        self._relay.known = None


def _furnish(links: Links) -> None:
    for version, own in OWN.items():
        links.address("lo", f"{own}/{32 if version == 4 else 128}")
    for version, own in OWN.items():
        links.route("default", dev="lo", version=version, own=own)


def _rules(path: Path, ports: dict[Transport, int]) -> str:
    refused = [
        f"meta l4proto {transport} reject with icmpx admin-prohibited"
        for transport in Transport
        if transport not in path.transports
    ]
    return _RULES.format(
        own4=OWN[4],
        own6=OWN[6],
        tcp=ports[Transport.TCP],
        udp=ports[Transport.UDP],
        refused="\n        ".join(refused),
    )
