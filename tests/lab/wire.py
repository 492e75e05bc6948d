"""Three namespaces in a row and raw datagrams between their ends: what a censor's kernel lets by.

Played through the kernel and through `Censor`, packet by packet.
"""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from typing import Any

from circumtest.censor.enforce import apply, hits
from circumtest.censor.judge import Censor
from circumtest.censor.packet import Packet
from circumtest.censor.policy import Action, Confidence, Drop, Policy, Rule, Scope, Signature
from circumtest.censor.signatures import SIGNATURES
from circumtest.model import Address, Transport
from circumtest.netns import Netns

HOSTS = {4: ("192.0.2.2", "203.0.113.2"), 6: ("2001:db8:1::2", "2001:db8:2::2")}
NEIGHBOURS = {4: "203.0.113.130", 6: "2001:db8:2::130"}
"""The server's other addresses."""
NEAR = tuple(ip_network(net) for net in ("203.0.113.0/25", "2001:db8:2::/120"))
"""The server's first addresses, not the others."""
GATES = {4: ("192.0.2.1", "203.0.113.1"), 6: ("2001:db8:1::1", "2001:db8:2::1")}
WIDTHS = {4: 24, 6: 64}
PATIENCE = 3.0
COOKIE = "2112a442" + "77" * 12
SAMPLES = {
    "stun": bytes.fromhex("00010000" + COOKIE),
    "whatsapp-call": bytes.fromhex("00030008" + COOKIE + "40000004" + "09020000"),
    "whatsapp-call ping": bytes.fromhex("08010000" + COOKIE),
    "telegram-reflector": bytes.fromhex("ab" * 16 + "ff" * 12 + "feffffff" + "00" * 7 + "7b"),
    "wireguard-initiation": bytes.fromhex("01000000" + "5a" * 144),
}
OTHERS = (b"data", b"", b"\x90\x78" + bytes(160), bytes(148), b"\x02\0\0\0" + bytes(88))


class Wire:
    """Client and server with the censor between them; sockets are made as packets need them."""

    def __init__(self, client: Netns, censor: Netns, server: Netns) -> None:
        self.client, self.censor, self.server = client, censor, server
        self._ends = {host: client for host, _ in HOSTS.values()}
        self._ends |= {host: server for _, host in HOSTS.values()}
        self._ends |= dict.fromkeys(NEIGHBOURS.values(), server)
        self._sockets: dict[Address, socket.socket] = {}
        self.arrived: Counter[tuple[Address, bytes]] = Counter()
        self._news = asyncio.Event()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        for endpoint in self._sockets.values():
            asyncio.get_running_loop().remove_reader(endpoint)
            endpoint.close()

    def send(self, packet: Packet) -> None:
        """Send a datagram; what arrives there is counted in `arrived` by destination and bytes."""
        self._socket(packet.destination)
        self._socket(packet.source).sendto(packet.payload, tuple(packet.destination))

    async def settle(self, total: int, wait: float = PATIENCE) -> None:
        """Wait until so many datagrams have arrived, or for so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self.arrived.total() < total:
                    self._news.clear()
                    await self._news.wait()

    async def until(self, rule: str, dropped: int) -> None:
        """Wait until a rule has dropped so many packets."""
        async with asyncio.timeout(PATIENCE):
            while (await hits(self.censor))[rule] < dropped:
                pass

    def bare(self, host: str, kind: socket.SocketKind) -> socket.socket:
        """A socket on the end that has this address, bound to nothing."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return self._ends[host].socket(family, kind)

    def _socket(self, address: Address) -> socket.socket:
        if address not in self._sockets:
            endpoint = self.bare(address.host, socket.SOCK_DGRAM)
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            endpoint.bind(tuple(address))
            asyncio.get_running_loop().add_reader(endpoint, self._read, address, endpoint)
            self._sockets[address] = endpoint
        return self._sockets[address]

    def _read(self, address: Address, endpoint: socket.socket) -> None:
        self.arrived[address, endpoint.recv(65536)] += 1
        self._news.set()


@asynccontextmanager
async def row() -> AsyncIterator[tuple[Netns, Netns, Netns]]:
    """Three namespaces in a row: 192.0.2.2, the censor, 203.0.113.2, and the same in IPv6.

    The censor's links are called as the lab's: by them it knows directions.
    """
    async with AsyncExitStack() as stack:
        names = ("client", "censor", "server")
        client, censor, server = [await stack.enter_async_context(Netns.new(n)) for n in names]
        for side, (end, link) in enumerate(((client, "client"), (server, "backbone"))):
            await censor.veth(link, end, "eth0")
            for version, width in WIDTHS.items():
                await censor.address(link, f"{GATES[version][side]}/{width}")
                await end.address("eth0", f"{HOSTS[version][side]}/{width}")
            await censor.up(link)
            await end.up("eth0")
            for version in WIDTHS:
                await end.route("default", via=GATES[version][side])
        await censor.forward()
        yield client, censor, server


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    """A row, whose server has a second address."""
    async with row() as (client, censor, server):
        for version, width in WIDTHS.items():
            await server.address("eth0", f"{NEIGHBOURS[version]}/{width}")
        with Wire(client, censor, server) as it:
            yield it


async def same(it: Wire, rules: Policy, packets: Sequence[Packet]) -> None:
    """Play packets through the kernel and through `Censor`; both must drop the same ones."""
    await apply(it.censor, rules)
    simulated, expected = Censor(rules, 1), Counter(it.arrived)
    for packet in packets:
        passes = simulated.judge(packet, time.monotonic()).passes
        it.send(packet)
        if passes:
            expected[packet.destination, packet.payload] += 1
    await it.settle(expected.total())
    assert await hits(it.censor) == simulated.hits
    assert it.arrived == expected


def rules(*names: str, scope: Scope, action: Action | None = None, after: int = 0) -> Policy:
    """A policy with one rule for each of the signatures."""
    made = tuple(Rule(name, (SIGNATURES[name],), action or Drop(), scope, after) for name in names)
    return Policy("made", "", (), Confidence.GUESSED, made)


def one_rule(rule: Rule) -> Policy:
    """A policy with this rule."""
    return Policy("made", "", (), Confidence.GUESSED, (rule,))


def rule(
    match: tuple[Signature, ...] = (SIGNATURES["stun"],),
    action: Action | None = None,
    **fields: Any,
) -> Rule:
    """A rule about flows, unless it says otherwise."""
    fields = {"scope": Scope.FLOW, **fields}
    return Rule("it", match, action or Drop(), **fields)


def up(
    payload: bytes, version: int, port: int = 40000, remote: int = 3478, host: str = ""
) -> Packet:
    """From the client, to the server or to another address of its."""
    mine, theirs = HOSTS[version]
    there = Address(host or theirs, remote)
    return Packet(Transport.UDP, Address(mine, port), there, payload)


def down(
    payload: bytes, version: int, port: int = 40000, remote: int = 3478, host: str = ""
) -> Packet:
    """From the server, on the same flow."""
    there = up(payload, version, port, remote, host)
    return Packet(Transport.UDP, there.destination, there.source, payload, upwards=False)


def on_a_wire(test: Callable[[Wire], Awaitable[None]]) -> None:
    """Run a test on a new wire."""

    async def run() -> None:
        async with wire() as it:
            await test(it)

    asyncio.run(run())
