"""What is on already when circumtest comes: a VPN that somebody else has brought up in the client.

By wireguard-go towards the exit (a device of the client's, or one in a namespace with a name), or
as commands that somebody would have typed.  Unlike other servers it has a half at the client, which
stays there while it serves: that is the point.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from circumtest.inside import EVERYTHING, device_name
from circumtest.lab.servers import Site
from circumtest.lab.servers.shadowsocks import SsServer
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.listening import free_port
from circumtest.netns import Netns
from circumtest.process import private_dir, run
from circumtest.wireguard.device import wireguard_device
from circumtest.wireguard.quick import Quick, parse

_LAST_RESORT = 9999
"""The metric of the device's routes: what is not bound to it goes on leaving by the cable."""
_TABLE = 9998
"""The routing table of what comes from the device's addresses: the kernel's own answers too."""

_UP = """\
set -e
wireguard-go -f {name} &
until wg show {name} >/dev/null 2>&1; do sleep 0.02; done
wg setconf {name} {place}/wg.conf
{settle}
wg set {name} peer {peer} endpoint "$1" preshared-key "$2" persistent-keepalive 25
wait
"""
_DOWN = """\
ip link delete {name}
{rules}
"""
_READY = "wg show {name} latest-handshakes | grep -q '[1-9][0-9]*$'\n"


_OURS = ("Address", "DNS", "MTU", "Endpoint", "PresharedKey")
"""What the script does by itself, `wg setconf` not knowing the first three."""


@dataclass(frozen=True)
class ReadyMade:
    """`form` is what is there: a device, a namespace with a name, or a command to be started.

    `device` is as for WireGuard.  The command of `command-socks` is ss-local, without UDP where
    `udp` is false.
    """

    form: Literal["interface", "netns", "command-socks", "command-interface"] = "interface"
    device: Literal["auto", "kernel", "userspace"] = "userspace"
    udp: bool = True

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when the server at the exit is, and what is on at the client is configured."""
        async with AsyncExitStack() as stack:
            if self.form == "command-socks":
                server = await stack.enter_async_context(SsServer(udp=self.udp).serve(lab))
                place = stack.enter_context(private_dir())
                yield _socks(server["url"], place, free_port(lab.client))
                return
            server = await stack.enter_async_context(WireguardGo(device=self.device).serve(lab))
            text = server["text"]
            if self.form == "command-interface":
                yield _script(text, stack.enter_context(private_dir()))
                return
            quick = parse(text, "what the server gave")
            yield await self._wireguard(stack, lab.client, quick)

    async def _wireguard(
        self, stack: AsyncExitStack, client: Netns, quick: Quick
    ) -> dict[str, Any]:
        """A device of the client's, or of a namespace that outlives it there."""
        home, name = client, ""
        if self.form == "netns":
            name = device_name("ns")
            home = await stack.enter_async_context(_named(client, name))
        device = await stack.enter_async_context(wireguard_device(client, self.device))
        await device.configure(quick.private_key, quick.listen_port, quick.peers)
        if name:
            await device.move(home)
        await _settle(home, device.name, quick)
        if name:
            return {"netns": name}
        stack.push_async_callback(_ip, client, _rules("del", quick))
        return {"device": device.name}


@asynccontextmanager
async def _named(anywhere: Netns, name: str) -> AsyncIterator[Netns]:
    """A namespace as `ip netns add` makes it; gone on exit."""
    await run(anywhere, ["ip", "netns", "add", name])
    try:
        async with Netns.enter(f"/run/netns/{name}", name) as inside:
            yield inside
    finally:
        await run(anywhere, ["ip", "netns", "delete", name])


async def _settle(netns: Netns, name: str, quick: Quick) -> None:
    await _ip(netns, _steps(name, quick))


async def _ip(netns: Netns, commands: Iterable[str]) -> None:
    for command in commands:
        await run(netns, command.split())


def _steps(name: str, quick: Quick) -> Iterator[str]:
    """What `ip` is told by whoever wants a VPN for some of their packets only."""
    yield f"ip link set {name} mtu {quick.mtu} up"
    yield from (f"ip address add {address} dev {name}" for address in quick.addresses)
    for network in EVERYTHING:
        yield f"ip route add {network} dev {name} metric {_LAST_RESORT}"
        yield f"ip route add {network} dev {name} table {_TABLE}"
    yield from _rules("add", quick)


def _rules(word: str, quick: Quick) -> Iterator[str]:
    for address in quick.addresses:
        family = "-6" if ":" in address else "-4"
        yield f"ip {family} rule {word} from {address} lookup {_TABLE}"


def _socks(url: str, place: Path, port: int) -> dict[str, Any]:
    """ss-local with a file for its password; where the server is stands beside it, to be read."""
    link = urlsplit(url)
    settings = {
        "local_address": "127.0.0.1",
        "local_port": port,
        "server_port": link.port,
        "method": link.username,
        "password": unquote(link.password or ""),
        "mode": "tcp_and_udp",
    }
    file = place / "client.json"
    file.write_text(json.dumps(settings))
    return {
        "start": ("ss-local", "-c", str(file), "-s", link.hostname),
        "leaves": {"kind": "socks", "url": f"socks5://127.0.0.1:{port}"},
    }


def _script(text: str, place: Path) -> dict[str, Any]:
    """Somebody's own script: what wg-quick does, and no more routes than they want.

    It is told where the server is, and in which file the preshared key.
    """
    name, quick = device_name("wg"), parse(text, "what the server gave")
    values = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    lines = [line for line in text.splitlines() if line.split(" ")[0] not in _OURS]
    script = _UP.format(
        name=name,
        place=place,
        settle="\n".join(_steps(name, quick)),
        peer=values["PublicKey"],
    )
    files = {
        "wg.conf": "\n".join([*lines, ""]),
        "shared": values["PresharedKey"],
        "up": script,
        "ready": _READY.format(name=name),
        "down": _DOWN.format(name=name, rules="\n".join(_rules("del", quick))),
    }
    for file, content in files.items():
        (place / file).write_text(content)
    return {
        "start": ("sh", str(place / "up"), values["Endpoint"], str(place / "shared")),
        "ready": ("sh", str(place / "ready")),
        "stop": ("sh", str(place / "down")),
        "leaves": f"interface:{name}",
    }
