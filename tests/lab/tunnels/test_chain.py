"""Tunnels through tunnels, beyond the contract: whose fault it is, and daemons behind a gateway."""

import asyncio
import os
import signal
from pathlib import Path as File
from typing import Any

from circumtest.lab.servers.chain import ChainServers
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.process import run
from circumtest.tunnels.chain import Chain
from tests.lab.exits import inhabitants
from tests.lab.specimens.chain import DANTE, MICROSOCKS, SHADOWSOCKS, WIREGUARD
from tests.lab.town import CUT, FAR, ask, everything_passes, fault_of, play, until


def second(table: dict[str, Any]) -> dict[str, Any]:
    """dante again, at a port of its own."""
    return {**table, "server": {"kind": "dante", "port": 1082}}


def daemons(place: Lab) -> set[int]:
    """Our own children, those at the exit left out: where they live is not known here."""
    children = set()
    for file in File(f"/proc/{os.getpid()}/task").glob("*/children"):
        children |= set(map(int, file.read_text().split()))
    return children - inhabitants(place.exit)


def test_three_tunnels_nest() -> None:
    """A device through a proxy, and a proxy through that: both kinds of underlay in one chain."""

    async def scene(place: Lab) -> None:
        servers = ChainServers((DANTE, WIREGUARD, second(DANTE)))
        async with servers.serve(place) as fields:
            chain = Chain(**fields, exits=tuple(EXIT.values()))
            async with chain.up(place.client) as path:
                await everything_passes(path, EXIT)
                assert path.exits == set(EXIT.values())
                assert path.inside is None
                assert path.mtu is None

    play(scene)


def test_a_chain_that_ends_in_a_device_has_its_namespace_and_mtu() -> None:
    """So that it can be a hop's underlay, and its size told."""

    async def scene(place: Lab) -> None:
        async with (
            ChainServers((DANTE, WIREGUARD)).serve(place) as fields,
            Chain(**fields).up(place.client) as path,
        ):
            assert path.mtu == 1420
            assert path.inside is not None
            assert len(await path.inside.links()) == 2

    play(scene)


def test_a_device_that_is_on_already_is_a_hop_like_any_other() -> None:
    """What is bound to it goes through a gateway too: it has no namespace of its own."""

    async def scene(place: Lab) -> None:
        async with ReadyMade().serve(place) as device, Dante().serve(place) as proxy:
            hops = (f"iface:{device['device']}", {"kind": "socks", **proxy})
            async with Chain(hops=hops).up(place.client) as path:
                await everything_passes(path, EXIT)
                assert path.words == ""
                assert path.silence is TunnelFault.NO_DATA

    play(scene)


def test_a_daemon_that_dies_behind_a_gateway_is_the_binarys_fault_with_its_hop() -> None:
    """wireguard-go, and ss-local."""

    async def scene(place: Lab) -> None:
        for hop, name in ((WIREGUARD, "hop 2 (wireguard)"), (SHADOWSOCKS, "hop 2 (shadowsocks)")):
            async with (
                ChainServers((DANTE, hop)).serve(place) as fields,
                Chain(**fields).up(place.client) as path,
            ):
                assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
                (pid,) = daemons(place)
                os.kill(pid, signal.SIGKILL)
                async with asyncio.timeout(5):
                    await until(lambda: path.fault() is not None)
                down = path.fault()
                assert down is not None
                assert down.fault is TunnelFault.BINARY
                assert down.detail.startswith(name)

    play(scene)


def test_each_hop_that_is_down_is_named() -> None:
    """The first one, a wrong login at the last, and a last one that is not there."""

    async def scene(place: Lab) -> None:
        async with ChainServers((DANTE, second(DANTE))).serve(place) as fields:
            first, last = fields["hops"]
            wrong = {**last, "url": last["url"].replace("caller:", "caller:x")}
            gone = {**last, "url": last["url"].replace("1082", "1083")}
            for hops, fault, said in (
                ((wrong, last), TunnelFault.AUTH, "hop 1 (socks): "),
                ((first, wrong), TunnelFault.AUTH, "hop 2 (socks): "),
                ((first, gone), TunnelFault.HANDSHAKE, "hop 2 (socks): "),
            ):
                down = await fault_of(Chain(hops=hops, patience=3.0).up(place.client))
                assert down.fault is fault
                assert down.detail.startswith(said)

    play(scene)


def test_a_hop_without_udp_is_blamed_for_the_one_behind_it() -> None:
    """The one behind saw only silence."""

    async def scene(place: Lab) -> None:
        quick = {**WIREGUARD, "patience": 2.0}
        async with ChainServers((MICROSOCKS, quick)).serve(place) as fields:
            down = await fault_of(Chain(**fields).up(place.client))
            assert down.fault is TunnelFault.NO_UDP
            assert down.detail.startswith("hop 1 (socks): the proxy refuses UDP ASSOCIATE")
        socks4 = {"kind": "socks", "server": {"kind": "dante", "login": False}}
        async with ChainServers((socks4, quick)).serve(place) as fields:
            first, last = fields["hops"]
            first = {**first, "url": first["url"].replace("socks5", "socks4")}
            down = await fault_of(Chain(hops=(first, last)).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "hop 2 (wireguard)" in down.detail
            assert "(hop 1 (socks) carries no UDP to it)" in down.detail

    play(scene)


def test_a_cut_in_the_middle_is_the_first_hops_and_forgotten_when_it_is_over() -> None:
    """What one trial has learnt never taints the next."""

    async def scene(place: Lab) -> None:
        async with (
            ChainServers((DANTE, second(DANTE))).serve(place) as fields,
            Chain(**fields, patience=2.0).up(place.client) as path,
        ):
            await everything_passes(path, EXIT)
            await run(place.censor, ["nft", "-f", "-"], input=CUT)
            down = await fault_of(_Asking(path))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "hop" in down.detail
            await run(place.censor, ["nft", "delete", "table", "inet", "cut"])
            await everything_passes(path, EXIT)
            assert path.fault() is None

    play(scene)


class _Asking:
    """An exchange as something to be entered."""

    def __init__(self, path: Any) -> None:
        self._path = path

    async def __aenter__(self) -> None:
        await self._path.open(Transport.TCP, FAR[4], lambda *_: None, 30.0)

    async def __aexit__(self, *_: object) -> None:
        return
