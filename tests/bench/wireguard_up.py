"""Seconds until a WireGuard path is up: the tunnel of ours against the same steps typed in a shell.

Both use wireguard-go, both end with the first handshake with the same server.  Rounds are
interleaved; medians are told.  Run inside the sandbox.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.netns import Netns
from circumtest.process import daemon, private_dir
from circumtest.tunnels.wireguard import Wireguard

ROUNDS = 7
SCRIPT = Path(__file__).with_suffix(".sh")


@dataclass(frozen=True)
class Site:
    """An exit, one cable away from the client."""

    client: Netns
    exit: Netns
    exit_addresses: tuple[str, ...] = ("10.0.0.1",)


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[Netns, Site]]:
    """The client's namespace and the site of the server."""
    async with Netns.new("client") as client, Netns.new("exit") as far:
        await client.veth("veth0", far, "veth1")
        for netns, link, address in ((client, "veth0", "10.0.0.2"), (far, "veth1", "10.0.0.1")):
            await netns.address(link, f"{address}/24")
            await netns.up(link)
        yield client, Site(client, far)


async def ours(client: Netns, text: str) -> float:
    """Seconds from the configuration's text to a path that is ready."""
    begun = time.perf_counter()
    async with Wireguard(text=text, device="userspace").up(client):
        return time.perf_counter() - begun


async def typed(client: Netns, text: str, room: Path, name: str) -> float:
    """Seconds that the shell needs for the same."""
    values = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    key, shared = room / "key", room / "shared"
    key.write_text(values["PrivateKey"])
    shared.write_text(values["PresharedKey"])
    argv = ["sh", str(SCRIPT), name, str(key), values["PublicKey"], str(shared)]
    argv += [values["Endpoint"], values["Address"].split(",")[0], values["MTU"]]
    begun = time.perf_counter()
    async with daemon(client, argv) as shell:
        await shell.line("^up$", 20)
        return time.perf_counter() - begun


async def main() -> None:
    """Print both medians and their ratio."""
    seconds: dict[str, list[float]] = {"ours": [], "typed": []}
    async with cable() as (client, site), WireguardGo().serve(site) as fields:
        with private_dir() as room:
            for round_ in range(ROUNDS):
                seconds["ours"].append(await ours(client, fields["text"]))
                name = f"typed{round_}"
                seconds["typed"].append(await typed(client, fields["text"], room, name))
    print(f"WireGuard path up, milliseconds, median of {ROUNDS}")
    for name, taken in seconds.items():
        spread = f"{min(taken) * 1000:.0f} to {max(taken) * 1000:.0f}"
        print(f"  {name:<14} {median(taken) * 1000:>7.0f}  ({spread})")
    print(f"  ours / typed   {median(seconds['ours']) / median(seconds['typed']):>7.2f}")


if __name__ == "__main__":
    asyncio.run(main())
