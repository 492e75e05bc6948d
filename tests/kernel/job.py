"""What scripts/kernel-test runs inside the emulated machine: the branches that need a stock kernel.

The kernel's WireGuard, alone and held to the tunnels' contract; devices and namespaces that are on
already; a gateway by the module of a stock kernel; netem and queues.  Prints one line of JSON at
the end.  Clocks are slow there (emulation, about ten times), so everything waits patiently, and
nothing here says anything about speed.
"""

import asyncio
import json
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path as File
from typing import Literal

from circumtest import sandbox
from circumtest.censor.enforce import enforced
from circumtest.censor.middlebox.kernel import nft_has_queues
from circumtest.censor.middlebox.netlink import Counters
from circumtest.censor.policy import Conditions, Confidence, Delay, Drop, Policy, Rule, Scope, Way
from circumtest.censor.signatures import ALL
from circumtest.errors import EnvironmentUnfit, TunnelDown
from circumtest.impair import Impairment
from circumtest.lab.network import conditions
from circumtest.lab.servers.chain import ChainServers
from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.path import Path
from circumtest.process import run
from circumtest.tunnels.chain import Chain
from circumtest.tunnels.interface import Interface
from circumtest.tunnels.netns import NamedNetns
from circumtest.tunnels.wireguard import Wireguard
from circumtest.wireguard.amnezia import Amnezia
from circumtest.wireguard.amnezia_device import amnezia_device
from tests.lab import test_tunnel_contract as contract
from tests.lab.specimens import Specimen
from tests.lab.specimens.chain import DANTE
from tests.lab.specimens.standing import nowhere
from tests.lab.specimens.wireguard import other_key

PATIENCE = 30.0
SHAKING = 15.0
"""Seconds for a handshake, WireGuard's own second attempt after 5 s included."""
FAR = {4: Address("192.0.2.10", 9000), 6: Address("2001:db8:4::2", 9000)}
DELAY = 0.2
SEED = 7
SERVER = {"kind": "wireguard-go", "device": "kernel"}
WIREGUARD = {"kind": "wireguard", "device": "kernel", "server": SERVER}


@asynccontextmanager
async def echo(place: Lab) -> AsyncIterator[None]:
    """In the services' namespace, UDP: what comes in goes back behind the address it came from."""
    loop = asyncio.get_running_loop()
    sockets = []
    for remote in FAR.values():
        family = socket.AF_INET6 if remote.version == 6 else socket.AF_INET
        sock = place.services.socket(family, socket.SOCK_DGRAM)
        sock.bind(remote)
        loop.add_reader(sock, _back, sock)
        sockets.append(sock)
    try:
        yield
    finally:
        for sock in sockets:
            loop.remove_reader(sock)
            sock.close()


def _back(sock: socket.socket) -> None:
    data, source = sock.recvfrom(4096)
    sock.sendto(source[0].encode() + b"|" + data, source)


async def ask(path: Path, remote: Address) -> tuple[str, float]:
    """Whom the far end saw, and after how many seconds its answer came."""
    answer: asyncio.Future[bytes | Cause] = asyncio.get_running_loop().create_future()

    def sink(data: bytes | Cause, source: Address) -> None:
        if not answer.done():
            answer.set_result(data)

    conn = await path.open(Transport.UDP, remote, sink, PATIENCE)
    try:
        begun = time.monotonic()
        conn.send(b"hello", remote)
        data = await asyncio.wait_for(answer, PATIENCE)
    finally:
        conn.close()
    assert isinstance(data, bytes), data
    return data.partition(b"|")[0].decode(), time.monotonic() - begun


async def wireguard(place: Lab, device: Literal["auto", "kernel"]) -> str:
    """A tunnel between two kernel devices carries both families and leaves by the exit."""
    async with WireguardGo(device=device).serve(place) as fields:
        tunnel = Wireguard(**fields, device=device, patience=PATIENCE)
        async with tunnel.up(place.client) as path:
            assert path.device.kind == "kernel", path.device.kind
            assert not _running("wireguard-go"), "wireguard-go runs"
            for remote in FAR.values():
                seen, _ = await ask(path, remote)
                assert seen in place.exit_addresses, seen
            told = path.device.counters()
            assert told.handshake, "no handshake is told of"
            assert path.fault() is None
            inside = set(await path.inside.links())
            assert inside == {"lo", path.device.name}, inside
    left = set(await place.client.links()) | set(await place.exit.links())
    assert not [name for name in left if name.startswith("wg")], left
    return "handshake, IPv4 and IPv6 by the exit"


async def wrong_key(place: Lab) -> str:
    """A stranger gets no handshake from the kernel either."""
    async with WireguardGo(device="kernel").serve(place) as fields:
        text = re.sub("PresharedKey = .*", f"PresharedKey = {'A' * 43}=", fields["text"])
        try:
            async with Wireguard(text=text, device="kernel", patience=3).up(place.client):
                pass
        except TunnelDown as down:
            if down.fault is TunnelFault.HANDSHAKE:
                return "no handshake"
            raise
    raise AssertionError("it came up")


async def netem(place: Lab) -> str:
    """A constant delay is the kernel's own, both ways, and nothing of it is left."""
    async with conditions(place, [Conditions(delay=DELAY / 2)]) as network:
        assert not network.emulators, "an emulator runs"
        said = await run(place.censor, ["tc", "qdisc", "show", "dev", "client"], timeout=PATIENCE)
        assert "netem" in said, said
        _, seconds = await ask(place.outside, FAR[4])
        assert seconds >= DELAY, seconds
    said = await run(place.censor, ["tc", "qdisc", "show", "dev", "client"], timeout=PATIENCE)
    assert "netem" not in said, said
    return f"{seconds:.3f} s"


async def links(place: Lab) -> str:
    """What is chance is ours by nft's own queue: the datagrams that the seed lets through."""
    asked = Conditions("services", loss=0.3, delay=0.05)
    wanted = Impairment(asked, SEED, Way.UP)
    through = [number for number in range(50) if wanted.leaves(100, 0.0) is not None]
    came: list[int] = []
    with place.services.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind((FAR[4].host, FAR[4].port + 1))
        async with conditions(place, [asked], SEED) as network:
            assert len(network.emulators) == 1
            with place.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
                for number in range(50):
                    near.sendto(bytes([number]), far.getsockname())
            async with asyncio.timeout(PATIENCE):
                while not came or came[-1] != through[-1]:
                    data = await asyncio.get_running_loop().sock_recv(far, 100)
                    came.append(data[0])
            assert (network.fault(), network.lost()) == (None, 0)
    assert came == through, (came, through)
    return f"{50 - len(came)} of 50 lost, as in the simulator"


async def middlebox(place: Lab) -> str:
    """By nft's own queue: what a rule delays is late both ways, what another drops is gone."""
    assert await nft_has_queues(place.censor)
    slow = Rule("slow", (ALL["udp"],), Delay(DELAY), Scope.FLOW, ports=((9000, 9000),))
    gone = replace(slow, id="gone", match=(ALL["stun"],), action=Drop(), first=9)
    policy = Policy("made", "", (), Confidence.GUESSED, (gone, slow))
    async with enforced(place.censor, policy) as force:
        _, seconds = await ask(place.outside, FAR[4])
        assert seconds >= 2 * DELAY, seconds
        with place.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(bytes.fromhex("000100002112a442") + bytes(12), FAR[4])
        async with asyncio.timeout(PATIENCE):
            while not (hits := await force.hits())["gone"]:
                pass
        assert hits == {"gone": 1, "slow": 2}, hits
        assert force.counters() == Counters(seen=3), force.counters()
        assert force.fault() is None
    await ask(place.outside, FAR[4])
    return f"{seconds:.3f} s"


async def amneziawg(place: Lab) -> str:
    """Its module is not in a stock kernel: that is said, and is no failure."""
    try:
        async with amnezia_device(place.client, "kernel", Amnezia()) as device:
            return f"there is one: {device.name}"
    except EnvironmentUnfit as unfit:
        return f"missing: {unfit}"


ON_ALREADY = {
    "parallel_flows",
    "dns_inside",
    "server_restarted",
    "daemon_killed",
    "wrong_key",
    "server_without_udp",
    "slow_server",
}
"""What is left out for the two arms: they have neither a daemon nor keys of ours."""

SPECIMENS = (
    (
        Specimen(
            "wireguard",
            lambda: WireguardGo(device="kernel"),
            lambda fields: Wireguard(**fields, device="kernel", patience=SHAKING),
            wrong_key=other_key,
            when_wrong_key=TunnelFault.HANDSHAKE,
            recovers=60.0,
            rounds=10,
        ),
        {"server_restarted", "daemon_killed", "server_without_udp", "slow_server"},
    ),
    (
        Specimen(
            "interface",
            lambda: ReadyMade(form="interface", device="kernel"),
            lambda fields: Interface(**fields, patience=SHAKING),
            wrong_host=nowhere,
            when_wrong_host=TunnelFault.BINARY,
            when_blocked=TunnelFault.NO_DATA,
            recovers=60.0,
            rounds=5,
        ),
        ON_ALREADY,
    ),
    (
        Specimen(
            "netns",
            lambda: ReadyMade(form="netns", device="kernel"),
            lambda fields: NamedNetns(**fields, patience=SHAKING),
            wrong_host=nowhere,
            when_wrong_host=TunnelFault.BINARY,
            when_blocked=TunnelFault.NO_DATA,
            recovers=60.0,
            rounds=5,
        ),
        ON_ALREADY,
    ),
    (
        Specimen(
            "chain-socks-wireguard",
            lambda: ChainServers((DANTE, WIREGUARD)),
            lambda fields: Chain(**fields, patience=SHAKING),
            recovers=60.0,
        ),
        {case.__name__ for case in contract.CASES} - {"carries", "large_datagrams"},
    ),
)
"""On the kernel's own devices: a specimen, and the contract's cases that are left out for it."""


async def held_to_the_contract() -> AsyncIterator[tuple[str, str]]:
    """Each case that makes sense for a kernel's device: its name, and what came of it."""
    contract.MARGIN, contract.BOUND = 30.0, 150.0
    for specimen, without in SPECIMENS:
        for case in contract.CASES:
            if case.__name__ in without:
                continue
            name = f"contract-{specimen.name}-{case.__name__}"
            try:
                await contract.played(specimen, case)
                yield name, "ok"
            except Exception as error:  # noqa: BLE001  # the next one still has something to say
                traceback.print_exc()
                yield name, f"FAILED {type(error).__name__}: {error}"


async def everything() -> dict[str, str]:
    """Each check by name: what it found, or how it failed."""
    checks: dict[str, Callable[[Lab], Awaitable[str]]] = {
        "wireguard-kernel": lambda place: wireguard(place, "kernel"),
        "wireguard-auto": lambda place: wireguard(place, "auto"),
        "wireguard-wrong-key": wrong_key,
        "netem": netem,
        "links": links,
        "middlebox": middlebox,
        "amneziawg-kernel": amneziawg,
    }
    found: dict[str, str] = {}
    async with lab() as place, echo(place):
        for name, check in checks.items():
            try:
                found[name] = await asyncio.wait_for(check(place), 2 * PATIENCE)
            except Exception as error:  # noqa: BLE001  # the next check still has something to say
                traceback.print_exc()
                found[name] = f"FAILED {type(error).__name__}: {error}"
            _tell(name, found[name])
    async for name, said in held_to_the_contract():
        found[name] = said
        _tell(name, said)
    return found


def _tell(name: str, said: str) -> None:
    print(f"{name}: {said}", flush=True)  # noqa: T201  # should the whole be cut short


def _running(name: str) -> bool:
    return any(file.read_text().strip() == name for file in File("/proc").glob("[0-9]*/comm"))


def main() -> int:
    """Run everything and print the line."""
    begun = time.monotonic()
    found = asyncio.run(everything())
    ok = not any(said.startswith("FAILED") for said in found.values())
    seconds = round(time.monotonic() - begun, 1)
    line = {"kernel-test": os.uname().release, "ok": ok, "seconds": seconds, "checks": found}
    print(json.dumps(line))  # noqa: T201  # the console is all that comes back
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(sandbox.run_inside(main))
