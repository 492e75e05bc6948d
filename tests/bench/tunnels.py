"""Every tunnel of the contract, measured in one run against its own daemon.

    up       milliseconds from the configuration to the first reply through the path, and beside it
             the recipe: the same daemon started with the same command, its port or its device taken
             up by hand with bare sockets, to the first reply
    rtt      microseconds of a 64-byte echo through the path, and beside it the floor: the same echo
             by a blocking socket of the namespace inside, or through the daemon's SOCKS port
    memory   megabytes (PSS) of the client's processes

Medians; rounds of ours and of the recipe are interleaved.  Then fifty WireGuard tunnels side by
side.  Run inside the sandbox; arguments are names of specimens, none for all.
"""

import asyncio
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from random import Random
from statistics import median

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tabulate import tabulate

from circumtest.errors import TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport
from circumtest.path import Path
from circumtest.process import run
from circumtest.proof import Exchange, prove
from circumtest.tunnels.wireguard import Wireguard
from circumtest.wireguard.device import wireguard_device
from circumtest.wireguard.quick import Peer
from tests.bench.floor import Recipe, far_end, far_of, floor
from tests.lab.exits import inhabitants
from tests.lab.specimens import Fields, Specimen, every
from tests.lab.town import town

ROUNDS, ECHOES, MANY = 5, 300, 50


@asynccontextmanager
async def up(
    specimen: Specimen, fields: Fields, place: Lab, asked: Exchange
) -> AsyncIterator[tuple[Path, float]]:
    """The path, and the seconds until the first reply through it."""
    tunnel = specimen.tunnel(fields)
    begun = time.perf_counter()
    async with tunnel.up(place.client) as path:
        await prove(path, asked, getattr(tunnel, "patience", 10.0))
        yield path, time.perf_counter() - begun


async def round_trip(path: Path, specimen: Specimen) -> float:
    """The median of ECHOES echoes over one channel, in seconds."""
    transport = Transport.UDP if Transport.UDP in specimen.carries else Transport.TCP
    remote = far_of(specimen)
    inbox: asyncio.Queue[object] = asyncio.Queue()
    conn = await path.open(transport, remote, lambda data, _: inbox.put_nowait(data), 5.0)
    taken = []
    for _ in range(ECHOES):
        begun = time.perf_counter()
        conn.send(b"x" * 64, remote)
        await asyncio.wait_for(inbox.get(), 5.0)
        taken.append(time.perf_counter() - begun)
    conn.close()
    return median(taken)


def memory(place: Lab) -> float:
    """Megabytes of the client's processes, shared pages divided (proc(5), smaps_rollup)."""
    total = 0
    for pid in inhabitants(place.client):
        for line in File(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


async def measure(specimen: Specimen) -> list[object]:
    """One row of the table."""
    async with (
        town() as place,
        far_end(place.services),
        specimen.server().serve(place) as fields,
    ):
        transport = Transport.UDP if Transport.UDP in specimen.carries else Transport.TCP
        echo = Echo(transport)
        target = await place.serve(echo, "bench")

        def asked():  # type: ignore[no-untyped-def]  # noqa: ANN202
            return echo.script(target, Random(1))

        ours, theirs = [], []
        async with up(specimen, fields, place, asked) as (path, _):
            recipe = Recipe.taken_from(place, path)
            trip, bare = await round_trip(path, specimen), await floor(path, specimen)
            used = memory(place)
        for _ in range(ROUNDS):
            async with up(specimen, fields, place, asked) as (_, seconds):
                ours.append(seconds)
            if recipe is not None:
                theirs.append(await recipe.play(specimen))
        known = median(theirs) if theirs else None
        return [
            specimen.name,
            median(ours) * 1e3,
            known and known * 1e3,
            known and median(ours) / known,
            trip * 1e6,
            bare and bare * 1e6,
            bare and trip / bare,
            used,
        ]


async def side_by_side() -> str:
    """Fifty WireGuard tunnels at once, from nothing to the first reply of the last one."""
    async with town() as place, fifty_peers(place) as configurations:
        echo = Echo(Transport.UDP)
        target = await place.serve(echo, "bench")

        async def one(text: str) -> float:
            tunnel = Wireguard(text=text, device="userspace", patience=30.0)
            begun = time.perf_counter()
            async with tunnel.up(place.client) as path:
                await prove(path, lambda: echo.script(target, Random(1)), 30.0)
                return time.perf_counter() - begun

        alone = median([await one(configurations[0]) for _ in range(ROUNDS)])
        begun = time.perf_counter()
        await asyncio.gather(*map(one, configurations))
        whole = time.perf_counter() - begun
    ratio = whole / (MANY * alone)
    return (
        f"{MANY} WireGuard tunnels side by side: {whole:.2f} s in all, {ratio:.2f} of"
        f" {MANY} times one alone ({alone * 1e3:.0f} ms)"
    )


@asynccontextmanager
async def fifty_peers(place: Lab) -> AsyncIterator[list[str]]:
    """One server with as many peers; their configurations."""
    server, keys = X25519PrivateKey.generate(), [X25519PrivateKey.generate() for _ in range(MANY)]
    hosts = [f"10.99.0.{number}" for number in range(2, MANY + 2)]
    peers = tuple(
        Peer(key.public_key().public_bytes_raw(), (f"{host}/32",))
        for key, host in zip(keys, hosts, strict=True)
    )
    async with wireguard_device(place.exit, "userspace") as device:
        await device.configure(server.private_bytes_raw(), 51820, peers)
        await place.exit.address(device.name, "10.99.0.1/24")
        await place.exit.up(device.name)
        await place.exit.forward()
        rules = f"""table inet many {{ chain out {{ type nat hook postrouting priority srcnat
            iifname "{device.name}" masquerade; }}; }}"""
        await run(place.exit, ["nft", "-f", "-"], input=rules.encode())
        public = b64encode(server.public_key().public_bytes_raw()).decode()
        yield [
            f"[Interface]\nPrivateKey = {b64encode(key.private_bytes_raw()).decode()}\n"
            f"Address = {host}/32\n[Peer]\nPublicKey = {public}\nAllowedIPs = 0.0.0.0/0\n"
            f"Endpoint = {EXIT[4]}:51820\n"
            for key, host in zip(keys, hosts, strict=True)
        ]


def main(names: list[str]) -> None:
    """Print the table, a row as soon as it is measured on stderr."""
    rows = []
    for specimen in every():
        if names and specimen.name not in names:
            continue
        try:
            rows.append(asyncio.run(measure(specimen)))
        except TunnelDown as down:
            rows.append([specimen.name, str(down)])
        print(rows[-1], file=sys.stderr)
    heads = ["tunnel", "up ms", "recipe", "ratio", "rtt us", "floor", "ratio", "MB"]
    print(tabulate(rows, heads, floatfmt=("", ".1f", ".1f", ".2f", ".0f", ".0f", ".2f", ".1f")))
    if not names or "wireguard" in names:
        print(asyncio.run(side_by_side()))


if __name__ == "__main__":
    main(sys.argv[1:])
