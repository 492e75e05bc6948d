"""Tunnels' own programs meet each censor of theirs as it is told.

Each is also run behind the open policy and behind censors whom it does not concern.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Any

import pytest

from circumtest.censor.load import policy
from circumtest.errors import TunnelDown
from circumtest.lab.servers.openvpn import OpenvpnServer
from circumtest.lab.servers.sing_box import SingBox
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import EXIT
from circumtest.model import Transport, TunnelFault
from circumtest.process import run
from circumtest.tunnels.hysteria2 import Hysteria2
from circumtest.tunnels.openvpn import Openvpn
from circumtest.tunnels.wireguard import Wireguard
from tests.lab.outsiders import LONG, OTHER, Scene, each, shadowsocks
from tests.lab.town import FAR, ask

CHANCE = policy("gfw-fep-2023").rules[0].chance
PATIENCE = 4.0
"""Seconds that a tunnel may take until it is up; where nothing stops it, it needs a few tenths."""


@asynccontextmanager
async def wireguard(it: Scene) -> AsyncIterator[Any]:
    """wireguard-go at both ends."""
    async with WireguardGo().serve(it.town) as fields:
        tunnel = Wireguard(**fields, device="userspace", patience=PATIENCE)
        async with tunnel.up(it.town.client) as path:
            yield path


def test_wireguard_is_stopped_at_its_handshake_or_after_it() -> None:
    """By what `wg` says of the handshake, and by whether curl gets a page through the tunnel."""

    async def scene(it: Scene) -> tuple[bool, str]:
        try:
            async with wireguard(it) as path:
                told = await run(path.inside, ["wg", "show", path.device.name, "latest-handshakes"])
                page = await it.curl(f"http://{OTHER}/{LONG}", netns=path.inside)
                return int(told.split()[1]) > 0, page.end
        except TunnelDown as down:
            return False, str(down.fault)

    passing = ("open", "ru-calls-2025-09", "ru-openvpn", "uae-voip")
    acting = {"calls-and-wireguard": {"wireguard-initiation"}}
    acting |= {"ru-wireguard-2023": {"wireguard-data"}}
    assert each((*passing, *acting), scene, acting) == {
        **dict.fromkeys(passing, (True, "passes")),
        "calls-and-wireguard": (False, str(TunnelFault.HANDSHAKE)),
        "ru-wireguard-2023": (True, "silence"),
    }


@pytest.mark.parametrize(("proto", "wrap"), [("udp", ""), ("tcp", "tls-crypt")])
def test_openvpn_is_stopped_by_the_order_of_its_packets(proto: Any, wrap: Any) -> None:
    """Before it is connected, whatever its control channel is wrapped in."""

    async def scene(it: Scene) -> str:
        async with OpenvpnServer(proto=proto, wrap=wrap).serve(it.town) as fields:
            try:
                async with Openvpn(**fields, patience=PATIENCE).up(it.town.client) as path:
                    return (await it.curl(f"http://{OTHER}/{LONG}", netns=path.inside)).end
            except TunnelDown as down:
                return str(down.fault)

    passing = ("open", "calls-and-wireguard", "ru-wireguard-2023")
    assert each((*passing, "ru-openvpn"), scene, {"ru-openvpn": {"openvpn"}}) == {
        **dict.fromkeys(passing, "passes"),
        "ru-openvpn": str(TunnelFault.HANDSHAKE),
    }


def test_quic_is_stopped_on_the_port_of_the_web() -> None:
    """sing-box's, as Hysteria 2 speaks it; and on any other port it passes."""

    async def one(it: Scene, port: int) -> bool:
        async with (
            SingBox("hysteria2", port=port).serve(it.town) as fields,
            Hysteria2(**fields, patience=PATIENCE).up(it.town.client) as path,
        ):
            try:
                return await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
            except (OSError, TunnelDown, TimeoutError):
                return False

    async def scene(it: Scene) -> list[bool]:
        return list(await asyncio.gather(one(it, 443), one(it, 8443)))

    passing = ("open", "ru-wireguard-2023", "sni-iv")
    assert each((*passing, "quic-2022"), scene, {"quic-2022": {"quic"}}) == {
        **{name: [True, True] for name in passing},
        "quic-2022": [False, True],
    }


# ------------------------------------------------------------------ ss-local


def seed(*strikes: bool) -> int:
    """A seed by which these first flows are struck, or not, and the ten after them are not."""
    wanted = [*strikes, *[False] * 10]

    def draws(number: int) -> list[bool]:
        random = Random(number)
        return [random.random() < CHANCE for _ in wanted]

    return next(number for number in count() if draws(number) == wanted)


def test_the_fully_encrypted_traffic_heuristic_strikes_a_flow_and_then_its_place() -> None:
    """As chance has it; ss-server's other port, and the web, are not touched, until it is over."""

    page = f"http://{OTHER}/{LONG}"

    async def scene(it: Scene) -> list[str]:
        async with shadowsocks(it) as here, shadowsocks(it, 8389) as there:
            for _ in range(3):  # of 400 first packets of pure chance one begins with six letters
                first = await it.curl(page, proxy=here, wait=1)
                if first.end != "passes":
                    break
            ends = [
                first,
                await it.curl(page, proxy=here, wait=1),
                await it.curl(page, proxy=there),
            ]
            ends += [await it.curl(f"https://{OTHER}/{LONG}"), first]
            while ends[-1].end != "passes":
                ends[-1] = await it.curl(page, proxy=here, wait=1)
            return [one.end for one in ends]

    found = each(["gfw-fep-2023"], scene, {"gfw-fep-2023": {"fully-encrypted"}}, 0.01, seed(True))
    assert found == {"gfw-fep-2023": ["silence", "silence", "passes", "passes", "passes"]}


def test_what_the_heuristic_does_not_strike_passes() -> None:
    """The same censor on a lucky day, and those who do not look for it."""

    async def scene(it: Scene) -> list[str]:
        async with shadowsocks(it) as here:
            return [(await it.curl(f"http://{OTHER}/{LONG}", proxy=here)).end for _ in range(5)]

    passing = ("open", "gfw-fep-2023", "sni-iv", "ru-openvpn")
    assert each(passing, scene, {}, seed=seed()) == {name: ["passes"] * 5 for name in passing}


def test_tls_in_a_tunnel_is_stopped_by_its_sizes() -> None:
    """What is long up and answered: an upload. A page's few packets are not enough of that."""

    async def scene(it: Scene) -> list[str]:
        async with shadowsocks(it) as through:
            short, secure = f"http://{OTHER}/100", f"https://{OTHER}/100"
            upload = ["--data", "x" * 20_000, "--header", "Expect:"]
            ends = await asyncio.gather(
                it.curl(short, proxy=through),
                it.curl(secure, proxy=through),
                it.curl(secure, *upload, proxy=through),
                it.curl(secure, at=1),
            )
            return [one.end for one in ends]

    passing = ("open", "sni-iv", "ru-openvpn")
    assert each((*passing, "tls-in-tls-2024"), scene, {"tls-in-tls-2024": {"tls-in-tls"}}) == {
        **{name: ["passes"] * 4 for name in passing},
        "tls-in-tls-2024": ["passes", "passes", "silence", "passes"],
    }
