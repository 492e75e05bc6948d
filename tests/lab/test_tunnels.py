"""Tunnels against the real servers, over real namespaces: client - middle - exit and far end."""

import asyncio
import base64
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path import Path
from circumtest.process import run
from circumtest.tunnels.isolated import Isolated
from circumtest.tunnels.none import NoTunnel
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard

EXIT = {4: "10.88.0.2", 6: "fd88::2"}
CLIENT = {4: "10.77.0.2", 6: "fd77::2"}
FAR = {4: Address("10.89.0.2", 9000), 6: Address("fd89::2", 9000)}
TIMEOUT = 5.0


@dataclass(frozen=True)
class Town:
    """The smallest place that tunnels and servers can stand in; a server's `Site`."""

    client: Netns
    middle: Netns
    exit: Netns
    far: Netns
    exit_addresses: tuple[str, ...] = tuple(EXIT.values())


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    """Build it, with an echo at the far end that says whom it saw."""
    async with (
        Netns.new("client") as client,
        Netns.new("middle") as middle,
        Netns.new("exit") as exit_,
        Netns.new("far") as far,
    ):
        for netns, number in ((client, 77), (exit_, 88), (far, 89)):
            await netns.veth("eth0", middle, f"to{number}")
            for address, gateway, mine in (
                (f"10.{number}.0.2/24", f"10.{number}.0.1", f"10.{number}.0.1/24"),
                (f"fd{number}::2/64", f"fd{number}::1", f"fd{number}::1/64"),
            ):
                await netns.address("eth0", address)
                await middle.address(f"to{number}", mine)
                if mine.startswith("fd"):
                    await middle.up(f"to{number}")
                    await netns.up("eth0")
                    await netns.route("default", via=f"10.{number}.0.1")
                    await netns.route("default", via=gateway)
        await middle.forward()
        async with echo(far):
            yield Town(client, middle, exit_, far)


@asynccontextmanager
async def echo(netns: Netns) -> AsyncIterator[None]:
    """UDP and TCP, IPv4 and IPv6: what comes in goes back behind the address that it came from."""
    loop, tasks = asyncio.get_running_loop(), set()

    def datagram(sock: socket.socket) -> None:
        data, source = sock.recvfrom(65536)
        sock.sendto(source[0].encode() + b"|" + data, source)

    async def stream(sock: socket.socket) -> None:
        while True:
            conn, source = await loop.sock_accept(sock)
            reader, writer = await asyncio.open_connection(sock=conn)
            writer.write(source[0].encode() + b"|" + await reader.read(65536))
            writer.close()

    sockets = []
    for version, (host, port) in FAR.items():
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        udp, tcp = netns.socket(family, socket.SOCK_DGRAM), netns.socket(family, socket.SOCK_STREAM)
        for sock in (udp, tcp):
            sock.bind((host, port))
            sockets.append(sock)
        loop.add_reader(udp, datagram, udp)
        tcp.listen()
        tasks.add(asyncio.create_task(stream(tcp)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()


async def ask(
    path: Path, transport: Transport, remote: Address, payload: bytes = b"hello", wait: float = 3
) -> tuple[str, bytes]:
    """Send, and give back whom the far end saw and what came back.  Raises what went wrong."""
    inbox: asyncio.Queue[tuple[bytes | Cause, Address]] = asyncio.Queue()
    conn = await path.open(transport, remote, lambda *what: inbox.put_nowait(what), TIMEOUT)
    try:
        conn.send(payload, remote)
        heard = b""
        async with asyncio.timeout(wait):
            while len(heard) < len(payload):
                data, source = await inbox.get()
                if isinstance(data, Cause):
                    raise ConnectionError(data)
                assert source == remote
                heard += data
    finally:
        conn.close()
    seen, _, back = heard.partition(b"|")
    return seen.decode(), back


def play(scene: Callable[[Town], Awaitable[None]]) -> None:
    """Run one scene in a town of its own, bounded."""

    async def whole() -> None:
        async with asyncio.timeout(60), town() as place:
            await scene(place)

    asyncio.run(whole())


async def everything_passes(path: Path, seen: dict[int, str]) -> None:
    """UDP and TCP, IPv4 and IPv6, with the far end seeing `seen`."""
    for transport in Transport:
        for version, remote in FAR.items():
            assert await ask(path, transport, remote) == (seen[version], b"hello")


async def until(true: Callable[[], bool]) -> None:
    """Look every 10 ms; the caller bounds it."""
    while not true():  # noqa: ASYNC110  # a foreign process has no event to wait for
        await asyncio.sleep(0.01)


async def fault_of(up: Any) -> TunnelDown:
    """The TunnelDown that a bring-up ends with."""
    with pytest.raises(TunnelDown) as caught:
        async with up:
            pass
    return caught.value


# ------------------------------------------------------------------ the tunnels that are none


def test_no_tunnel_is_the_outside_again() -> None:
    """The far end sees the client itself."""

    async def scene(place: Town) -> None:
        async with NoTunnel().up(place.client) as path:
            await everything_passes(path, CLIENT)

    play(scene)


def test_isolated_leads_nowhere_and_says_so_at_once() -> None:
    """Both transports fail with what play calls network_unreachable."""

    async def scene(place: Town) -> None:
        async with Isolated().up(place.client) as path:
            for transport in Transport:
                for remote in FAR.values():
                    with pytest.raises(OSError, match="unreachable"):
                        await ask(path, transport, remote)

    play(scene)


# ------------------------------------------------------------------ WireGuard


def test_wireguard_carries_both_transports_and_families_and_leaves_by_the_exit() -> None:
    """Preshared key, IPv6 inside, large datagrams within the MTU and beyond it."""

    async def scene(place: Town) -> None:
        async with WireguardGo().serve(place) as fields:
            tunnel = Wireguard(**fields, exits=place.exit_addresses)
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

    async def scene(place: Town) -> None:
        async with WireguardGo().serve(place) as fields:
            text = fields["text"].replace("0.0.0.0/0, ::/0", "10.89.0.0/24, 10.99.0.0/24")
            text = text.replace("MTU = 1420", "MTU = 1290\nDNS = 10.99.0.1")
            tunnel = Wireguard(text=text + "PersistentKeepalive = 25\n")
            async with tunnel.up(place.client) as path:
                assert path.dns == ("10.99.0.1",)
                assert "mtu 1290" in await run(path.inside, ["ip", "link"])
                assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.UDP, FAR[6])
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.UDP, Address("10.77.0.1", 9))

    play(scene)


@pytest.mark.parametrize("what", ["PublicKey", "PresharedKey", "PrivateKey"])
def test_a_wrong_key_is_no_handshake_in_bounded_time(what: str) -> None:
    """WireGuard answers strangers with silence: the detail says what that may mean."""
    other = base64.b64encode(os.urandom(32)).decode()

    async def scene(place: Town) -> None:
        async with WireguardGo().serve(place) as fields:
            text = re.sub(rf"{what} = \S+", f"{what} = {other}", fields["text"])
            begun = time.monotonic()
            down = await fault_of(Wireguard(text=text, patience=1).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert time.monotonic() - begun < 3
            assert "key" in down.detail
            assert "10.88" not in down.evidence
            assert "andshake" in down.evidence

    play(scene)


def test_a_name_that_cannot_be_resolved_is_said_to_be_one() -> None:
    """There is no resolver in the lab: a name costs its own cell, with a reason."""

    async def scene(place: Town) -> None:
        async with WireguardGo().serve(place) as fields:
            text = fields["text"].replace(EXIT[4], "vpn.example")
            down = await fault_of(Wireguard(text=text, patience=1).up(place.client))
            assert down.fault is TunnelFault.HANDSHAKE
            assert "cannot resolve vpn.example" in down.detail

    play(scene)


def test_a_killed_wireguard_go_is_reported_as_such() -> None:
    """The path's fault is the daemon's end, not the call's."""

    async def scene(place: Town) -> None:
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

    play(scene)


def test_twenty_tunnels_in_a_row_leave_nothing() -> None:
    """No process, no link, no socket file, and each is as good as the first."""

    async def scene(place: Town) -> None:
        async with WireguardGo().serve(place) as fields:
            before = _processes(), await place.client.links(), _descriptors()
            for _ in range(20):
                async with Wireguard(**fields).up(place.client) as path:
                    assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
            assert (_processes(), await place.client.links(), _descriptors()) == before
            assert _uapi_sockets() == 1

    play(scene)


def test_bring_ups_side_by_side_do_not_wait_for_each_other() -> None:
    """Eight that never come up take as long as one."""

    async def scene(place: Town) -> None:
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


# ------------------------------------------------------------------ SOCKS


def test_dante_carries_both_transports_and_families_and_leaves_by_the_exit() -> None:
    """User and password, UDP ASSOCIATE, IPv4 and IPv6, several remotes over one channel."""

    async def scene(place: Town) -> None:
        async with (
            Dante().serve(place) as fields,
            Socks(**fields, exits=place.exit_addresses).up(place.client) as path,
        ):
            assert path.transports == set(Transport)
            await everything_passes(path, EXIT)
            big = os.urandom(1300)
            assert await ask(path, Transport.UDP, FAR[4], big) == (EXIT[4], big)
            assert path.fault() is None

    play(scene)


def test_a_relay_talks_to_several_remotes_over_one_channel() -> None:
    """A WhatsApp call asks three to five relays from one socket."""

    async def scene(place: Town) -> None:
        others = [Address("10.89.0.1", 9001), Address("10.88.0.1", 9002)]
        for remote in others:
            _answer(place.middle, remote)
        async with Dante().serve(place) as fields, Socks(**fields).up(place.client) as path:
            heard: asyncio.Queue[Address] = asyncio.Queue()
            conn = await path.open(
                Transport.UDP, FAR[4], lambda _, source: heard.put_nowait(source), TIMEOUT
            )
            for remote in (FAR[4], *others):
                conn.send(b"x", remote)
            async with asyncio.timeout(3):
                assert {await heard.get() for _ in range(3)} == {FAR[4], *others}
            conn.close()

    play(scene)


def test_dante_refuses_a_wrong_password_and_no_password() -> None:
    """Both are the tunnel's fault: auth."""

    async def scene(place: Town) -> None:
        async with Dante().serve(place) as fields:
            for login in ("caller:wrong@", ""):
                url = re.sub(r"//.*@", "//" + login, fields["url"])
                down = await fault_of(Socks(url=url).up(place.client))
                assert down.fault is TunnelFault.AUTH
                assert "wrong" not in str(down)

    play(scene)


@pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
def test_socks4_carries_tcp_over_ipv4_and_nothing_else(scheme: str) -> None:
    """UDP is not among its transports by nature; IPv6 is a network that it does not reach."""

    async def scene(place: Town) -> None:
        async with Dante(login=False).serve(place) as fields:
            url = fields["url"].replace("socks5", scheme).replace("//", "//someone@")
            async with Socks(url=url).up(place.client) as path:
                assert path.transports == {Transport.TCP}
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
                with pytest.raises(OSError, match="IPv4 only"):
                    await ask(path, Transport.TCP, FAR[6])
                with pytest.raises(ConnectionRefusedError):
                    await ask(path, Transport.TCP, Address(FAR[4].host, 9))

    play(scene)


def test_what_the_proxy_says_of_the_target_is_what_the_network_said() -> None:
    """A closed port is refused, a network that is not there unreachable: no fault of the tunnel."""

    async def scene(place: Town) -> None:
        for server in (Dante(), Microsocks()):
            async with server.serve(place) as fields, Socks(**fields).up(place.client) as path:
                with pytest.raises(ConnectionRefusedError):
                    await ask(path, Transport.TCP, Address(FAR[4].host, 9))
                with pytest.raises(OSError, match="unreachable"):
                    await ask(path, Transport.TCP, Address("192.168.9.9", 9))
                assert path.fault() is None

    play(scene)


def test_microsocks_carries_tcp_and_has_no_udp() -> None:
    """NO_UDP is said when UDP is asked for; TCP goes on."""

    async def scene(place: Town) -> None:
        async with Microsocks().serve(place) as fields, Socks(**fields).up(place.client) as path:
            for version in (4, 6):
                assert await ask(path, Transport.TCP, FAR[version]) == (EXIT[version], b"hello")
            with pytest.raises(TunnelDown) as caught:
                await ask(path, Transport.UDP, FAR[4])
            assert caught.value.fault is TunnelFault.NO_UDP
            assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")

    play(scene)


def test_a_proxy_that_is_not_there_is_no_handshake() -> None:
    """Refused at once, silent within patience."""

    async def scene(place: Town) -> None:
        down = await fault_of(Socks(url=f"socks5://{EXIT[4]}:1080").up(place.client))
        assert (down.fault, "refused" in down.detail) == (TunnelFault.HANDSHAKE, True)
        await run(
            place.middle,
            [
                "nft",
                "add table ip block; add chain ip block f { type filter "
                "hook forward priority 0; policy drop; }",
            ],
        )
        begun = time.monotonic()
        down = await fault_of(Socks(url=f"socks5://{EXIT[4]}:1080", patience=1).up(place.client))
        assert (down.fault, "no answer" in down.detail) == (TunnelFault.HANDSHAKE, True)
        assert time.monotonic() - begun < 2

    play(scene)


def test_the_end_of_the_proxy_ends_its_associations() -> None:
    """The channel is told, and the fault is the tunnel's."""

    async def scene(place: Town) -> None:
        async with through_dante(place) as (path, stop):
            inbox: asyncio.Queue[bytes | Cause] = asyncio.Queue()
            conn = await path.open(
                Transport.UDP, FAR[4], lambda data, _: inbox.put_nowait(data), TIMEOUT
            )
            conn.send(b"x", FAR[4])
            async with asyncio.timeout(3):
                assert (await inbox.get()) == f"{EXIT[4]}|x".encode()
            await stop()
            async with asyncio.timeout(5):
                assert await inbox.get() is Cause.EOF
            conn.close()
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.NO_DATA

    play(scene)


@asynccontextmanager
async def through_dante(place: Town) -> AsyncIterator[tuple[Path, Callable[[], Awaitable[None]]]]:
    """A path through dante, and what stops dante."""
    server = Dante().serve(place)
    fields = await server.__aenter__()
    stopped = False

    async def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            await server.__aexit__(None, None, None)

    try:
        async with Socks(**fields).up(place.client) as path:
            yield path, stop
    finally:
        await stop()


def _answer(netns: Netns, at: Address) -> None:
    """A UDP echo at `at` for as long as the namespace's tests run."""
    sock = netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(at)
    loop = asyncio.get_running_loop()

    def back() -> None:
        data, source = sock.recvfrom(2048)
        sock.sendto(data, source)
        loop.remove_reader(sock)
        sock.close()

    loop.add_reader(sock, back)


def _processes() -> set[int]:
    return {int(file.name) for file in File("/proc").glob("[0-9]*")}


def _descriptors() -> int:
    return len(list(File("/proc/self/fd").iterdir()))


def _uapi_sockets() -> int:
    return len(list(File("/var/run/wireguard").glob("*.sock")))


def _pid_of(words: str) -> int:
    for file in File("/proc").glob("[0-9]*/cmdline"):
        if words in file.read_bytes().replace(b"\0", b" ").decode():
            return int(file.parent.name)
    raise LookupError(words)
