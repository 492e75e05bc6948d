"""The WireGuard tunnel against a real server, over real namespaces."""

import asyncio
import base64
import os
import re
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path as File

import pytest

from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.process import run
from circumtest.tunnels.wireguard import Wireguard
from circumtest.wireguard.tunnel import SILENCE
from tests.lab.exits import inhabitants
from tests.lab.town import CUT, FAR, ask, everything_passes, fault_of, play, town, until


def test_wireguard_carries_both_transports_and_families_and_leaves_by_the_exit() -> None:
    """Preshared key, IPv6 inside, large datagrams within the MTU and beyond it."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            tunnel = Wireguard(**fields, exits=tuple(place.exit_addresses))
            async with tunnel.up(place.client) as path:
                assert path.transports == set(Transport)
                assert path.exits == set(EXIT.values())
                await everything_passes(path, EXIT)
                for size in (1300, 4000):
                    big = os.urandom(size)
                    assert await ask(path, Transport.UDP, FAR[4], big) == (EXIT[4], big)
                assert path.fault() is None
                assert await path.inside.links() == ("lo", path.device.name)

    play(scene)


def test_wireguard_honours_mtu_keepalive_and_networks() -> None:
    """A route a network and no more; the MTU of the file; a keepalive opens the handshake."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = fields["text"].replace("0.0.0.0/0, ::/0", "192.0.2.8/30, 10.99.0.0/24")
            text = re.sub("DNS = .*", "DNS = 10.99.0.1", text.replace("MTU = 1420", "MTU = 1290"))
            tunnel = Wireguard(text=text + "PersistentKeepalive = 25\n")
            async with tunnel.up(place.client) as path:
                assert path.dns == ("10.99.0.1",)
                assert "mtu 1290" in await run(path.inside, ["ip", "link"])
                assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.UDP, FAR[6])
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.UDP, Address("198.51.100.1", 9))

    play(scene)


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("10.99.0.2/24", "10.99.0.0/24"),
        ("10.99.0.2/32", "10.99.0.2/32, 10.99.0.1/32"),
        ("fd00:99::2/64", "fd00:99::/64"),
        ("10.99.0.2/32, fd00:99::2/128", "fd00:99::1/128"),
    ],
)
def test_whatever_is_allowed_in_brings_the_handshake_about(address: str, networks: str) -> None:
    """Without a default route there is still somewhere harmless to send to."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = re.sub("Address = .*", f"Address = {address}", fields["text"])
            text = re.sub("AllowedIPs = .*", f"AllowedIPs = {networks}", text)
            async with Wireguard(text=text, patience=2).up(place.client) as path:
                assert path.device.counters().handshake

    play(scene)


def test_a_tunnel_that_nothing_can_enter_is_down_with_its_reason() -> None:
    """AllowedIPs of another family than Address: WireGuard itself would stay silent for ever."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = re.sub("Address = .*", "Address = 10.99.0.2/32", fields["text"])
            text = re.sub("AllowedIPs = .*", "AllowedIPs = fd00::/8", text)
            down = await fault_of(Wireguard(text=text).up(place.client))
            assert "AllowedIPs" in down.detail

    play(scene)


@pytest.mark.parametrize("what", ["PublicKey", "PresharedKey", "PrivateKey"])
def test_a_wrong_key_is_no_handshake_in_bounded_time(what: str) -> None:
    """WireGuard answers strangers with silence: the detail says what that may mean."""
    other = base64.b64encode(os.urandom(32)).decode()

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = re.sub(rf"{what} = \S+", f"{what} = {other}", fields["text"])
            begun = time.monotonic()
            down = await fault_of(Wireguard(text=text, patience=1).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert time.monotonic() - begun < 3
            assert "key" in down.detail
            assert "198.51" not in down.evidence
            assert "andshake" in down.evidence

    play(scene)


def test_a_name_that_cannot_be_resolved_is_said_to_be_one() -> None:
    """There is no resolver in the lab: a name costs its own cell, with a reason."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = fields["text"].replace(EXIT[4], "vpn.example")
            down = await fault_of(Wireguard(text=text, patience=1).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "cannot resolve vpn.example" in down.detail

    play(scene)


def test_a_port_that_is_taken_costs_its_own_cell() -> None:
    """What the device does not take is the tunnel's fault, with the system's words."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            text = fields["text"].replace("[Peer]", "ListenPort = 7777\n[Peer]")
            taken = place.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
            taken.bind(("0.0.0.0", 7777))
            down = await fault_of(Wireguard(text=text).up(place.client))
            taken.close()
            assert down.fault is TunnelFault.BINARY
            assert "in use" in down.detail

    play(scene)


def test_a_killed_wireguard_go_is_reported_as_such() -> None:
    """The path's fault is the daemon's end, not the call's."""

    async def scene(place: Lab) -> None:
        async with (
            WireguardGo().serve(place) as fields,
            Wireguard(**fields, device="userspace").up(place.client) as path,
        ):
            assert path.fault() is None
            os.kill(_pid_of(f"wireguard-go -f {path.device.name}"), signal.SIGKILL)
            async with asyncio.timeout(5):
                await until(lambda: path.device.ended() is not None)
            with pytest.raises(OSError):
                await ask(path, Transport.UDP, FAR[4], wait=1)
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.BINARY
            assert down.detail == "wireguard-go ended with -9"

    play(scene)


def test_a_peer_that_falls_silent_is_told_from_a_target_that_is() -> None:
    """A live peer sends keepalives 10 s after getting data; a cut tunnel nothing.  Takes 13 s."""

    nobody = Address(FAR[4].host, 9)

    async def silent_target(place: Lab) -> None:
        async with (
            WireguardGo().serve(place) as fields,
            Wireguard(**fields).up(place.client) as path,
        ):
            mute = place.services.socket(socket.AF_INET, socket.SOCK_DGRAM)
            mute.bind(nobody)
            with pytest.raises(TimeoutError):
                await ask(path, Transport.UDP, nobody, wait=SILENCE + 1)
            mute.close()
            assert path.fault() is None

    async def silent_peer(place: Lab) -> None:
        async with (
            WireguardGo().serve(place) as fields,
            Wireguard(**fields).up(place.client) as path,
        ):
            await run(place.censor, ["nft", "-f", "-"], input=CUT)
            with pytest.raises(TimeoutError):
                await ask(path, Transport.UDP, FAR[4], wait=SILENCE + 1)
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA

    async def both() -> None:
        async with asyncio.timeout(60), town() as one, town() as other:
            await asyncio.gather(silent_target(one), silent_peer(other))

    asyncio.run(both())


def test_twenty_tunnels_in_a_row_leave_nothing() -> None:
    """No process, no link, no socket file, and each is as good as the first."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            before = inhabitants(place.client), await place.client.links(), _descriptors()
            for _ in range(20):
                async with Wireguard(**fields).up(place.client) as path:
                    assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
            async with asyncio.timeout(5):
                await until(lambda: inhabitants(place.client) == before[0])
            assert (await place.client.links(), _descriptors()) == before[1:]
            assert _uapi_sockets() == 1

    play(scene)


def test_bring_ups_side_by_side_do_not_wait_for_each_other() -> None:
    """Eight that never come up take as long as one."""

    async def scene(place: Lab) -> None:
        async with WireguardGo().serve(place) as fields:
            nowhere = replace(
                Wireguard(**fields, patience=2),
                text=fields["text"].replace(":51820", ":51821"),
            )
            begun = time.monotonic()
            faults = await asyncio.gather(*(fault_of(nowhere.up(place.client)) for _ in range(8)))
            assert {down.fault for down in faults} == {TunnelFault.HANDSHAKE}
            assert time.monotonic() - begun < 5

    play(scene)


def _descriptors() -> int:
    return len(list(File("/proc/self/fd").iterdir()))


def _uapi_sockets() -> int:
    """Ours: other workers have theirs in the same place."""
    return len(list(File("/var/run/wireguard").glob(f"*{os.getpid()}-*.sock")))


def _pid_of(words: str) -> int:
    for file in File("/proc").glob("[0-9]*/cmdline"):
        if words in file.read_bytes().replace(b"\0", b" ").decode():
            return int(file.parent.name)
    raise LookupError(words)
