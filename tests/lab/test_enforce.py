"""A compiled policy in the real kernel does to each packet what `Censor` says.

Raw datagrams between two namespaces with the censor between them, IPv4 and IPv6, both ways.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from circumtest import configs
from circumtest.censor.enforce import apply, check, hits
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.policy import (
    Action,
    Confidence,
    Drop,
    Lose,
    Packet,
    Policy,
    Rule,
    Scope,
    Shape,
    Signature,
    Verdict,
    Way,
    octets,
)
from circumtest.censor.signatures import SIGNATURES
from circumtest.errors import EnvironmentUnfit
from circumtest.model import Address, Transport
from circumtest.netns import Netns
from circumtest.process import ProcessEnded

HOSTS = {4: ("192.0.2.2", "203.0.113.2"), 6: ("2001:db8:1::2", "2001:db8:2::2")}
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
        self.censor = censor
        self._ends = {host: client for host, _ in HOSTS.values()}
        self._ends |= {host: server for _, host in HOSTS.values()}
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

    async def settle(self, total: int) -> None:
        """Wait until so many datagrams have arrived, or there is no hope any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.arrived.total() < total:
                    self._news.clear()
                    await self._news.wait()

    async def until(self, rule: str, dropped: int) -> None:
        """Wait until a rule has dropped so many packets."""
        async with asyncio.timeout(PATIENCE):
            while (await hits(self.censor))[rule] < dropped:
                pass

    def tcp(self, host: str) -> socket.socket:
        """A TCP socket on the end that has this address."""
        return self._ends[host].socket(socket.AF_INET, socket.SOCK_STREAM)

    def _socket(self, address: Address) -> socket.socket:
        if address not in self._sockets:
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            endpoint = self._ends[address.host].socket(family, socket.SOCK_DGRAM)
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            endpoint.bind(tuple(address))
            asyncio.get_running_loop().add_reader(endpoint, self._read, address, endpoint)
            self._sockets[address] = endpoint
        return self._sockets[address]

    def _read(self, address: Address, endpoint: socket.socket) -> None:
        self.arrived[address, endpoint.recv(65536)] += 1
        self._news.set()


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
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
        with Wire(client, censor, server) as it:
            yield it


async def same(it: Wire, rules: Policy, packets: Sequence[Packet]) -> None:
    """Play packets through the kernel and through `Censor`; both must drop the same ones."""
    await apply(it.censor, rules)
    simulated, expected = Censor(rules, 1), Counter(it.arrived)
    for n, packet in enumerate(packets):
        it.send(packet)
        if simulated.judge(packet, n / 1000) is Verdict.PASS:
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


def up(payload: bytes, version: int, port: int = 40000, remote: int = 3478) -> Packet:
    """From the client."""
    mine, theirs = HOSTS[version]
    return Packet(Transport.UDP, Address(mine, port), Address(theirs, remote), payload)


def down(payload: bytes, version: int, port: int = 40000, remote: int = 3478) -> Packet:
    """From the server, on the same flow."""
    there = up(payload, version, port, remote)
    return Packet(Transport.UDP, there.destination, there.source, payload, upwards=False)


def on_a_wire(test: Callable[[Wire], Awaitable[None]]) -> None:
    """Run a test on a new wire."""

    async def run() -> None:
        async with wire() as it:
            await test(it)

    asyncio.run(run())


@pytest.mark.parametrize("name", configs.names("policies"))
def test_the_kernel_drops_what_the_policy_says(name: str) -> None:
    """Every sample and its neighbours, to 3478 and 1400, first up or first down, IPv4 and IPv6.

    Loss is switched to certain drop here, so that each single packet has one right answer.
    """
    shipped = policy(name)
    certain = tuple(Rule(r.id, r.match, Drop(), r.scope, r.after) for r in shipped.rules)
    it_is = Policy(name, "", (), Confidence.GUESSED, certain)
    ports = iter(range(20000, 30000))
    packets = []
    for version in (4, 6):
        for sample in (*SAMPLES.values(), *OTHERS):
            for remote in (3478, 1400):
                flow = (version, next(ports), remote)
                packets += [up(sample, *flow), down(b"answer", *flow), up(b"more", *flow)]
                flow = (version, next(ports), remote)
                packets += [down(sample, *flow), up(b"more", *flow), down(b"answer", *flow)]
    on_a_wire(lambda it: same(it, it_is, packets))


def test_packets_around_every_signature_get_the_same_verdict() -> None:
    """Each sample spoilt in one bit or by one byte, 40 times, under rules for all signatures."""
    rng, packets = random.Random(5), []
    names = tuple(name for name in SIGNATURES if name != "stun")
    for number in range(40 * len(SAMPLES)):
        payload = bytearray(list(SAMPLES.values())[number % len(SAMPLES)])
        match rng.randrange(4):
            case 0:
                payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
            case 1:
                del payload[-1]
            case 2:
                payload.append(0)
        port, remote = 20000 + number, rng.choice((1400, 3478))
        packets.append(up(bytes(payload), rng.choice((4, 6)), port, remote))
    everything = rules(*names, "stun", scope=Scope.PACKET)
    on_a_wire(lambda it: same(it, everything, packets))


@pytest.mark.parametrize("version", [4, 6])
def test_after_counts_both_directions_from_the_first_packet_that_passed(version: int) -> None:
    """With 25 the 26th packet is the first to go, also when other rules ate earlier ones."""
    voice = [
        [up(SAMPLES["stun"], version)],
        [packet for _ in range(20) for packet in (up(b"m", version), down(b"m", version))],
        [up(SAMPLES["stun"], version), up(b"m", version, 40001)],
    ]
    packets = [packet for part in voice for packet in part]
    on_a_wire(lambda it: same(it, rules("stun", scope=Scope.FLOW, after=25), packets))


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("version", [4, 6])
def test_a_direction_is_the_client_s_side_or_the_other(
    version: int, way: Way, scope: Scope
) -> None:
    """Hellos and data both ways, on a flow that begins up and one that begins down."""
    hello, packets = SAMPLES["stun"], []
    for port, order in ((40000, (up, down)), (40001, (down, up))):
        for payload in (hello, b"data", hello, b"more"):
            packets += [make(payload, version, port) for make in order]
    (whole,) = rules("stun", scope=scope).rules
    on_a_wire(lambda it: same(it, one_rule(replace(whole, direction=way)), packets))


@pytest.mark.parametrize("version", [4, 6])
def test_an_action_begins_so_long_after_the_flow_s_first_packet(version: int) -> None:
    """A busy flow passes for that long, and from then on nothing of it; a new one passes."""
    (whole,) = rules("stun", scope=Scope.FLOW).rules
    seconds = 0.4

    async def test(it: Wire) -> None:
        await apply(it.censor, one_rule(replace(whole, seconds=seconds)))
        begun = time.monotonic()
        sent = 0
        while not (await hits(it.censor))["stun"]:
            it.send((up, down)[sent % 2](SAMPLES["stun"], version))
            sent += 1
        assert time.monotonic() - begun >= seconds
        dropped = (await hits(it.censor))["stun"]
        await it.settle(sent - dropped)
        assert it.arrived.total() == sent - dropped > 1
        it.send(down(b"data", version))
        it.send(up(SAMPLES["stun"], version, port=40001))
        await it.settle(sent - dropped + 1)
        assert (await hits(it.censor))["stun"] == dropped + 1

    on_a_wire(test)


def test_a_flow_that_is_always_dropped_is_counted_anew() -> None:
    """What the first rule always drops never reaches the count of the second."""
    first = rules("telegram-turn", scope=Scope.PACKET).rules
    second = rules("stun", scope=Scope.FLOW, after=1).rules
    both = Policy("made", "", (), Confidence.GUESSED, (*first, *second))
    packets = [up(SAMPLES["stun"], 4, remote=1400)] * 5 + [up(SAMPLES["stun"], 4)] * 3
    on_a_wire(lambda it: same(it, both, packets))


@pytest.mark.parametrize("version", [4, 6])
def test_loss_is_as_probable_as_the_policy_says(version: int) -> None:
    """Of 2000 packets after the 25th, 90 % are lost, within 5 standard deviations."""

    async def test(it: Wire) -> None:
        lossy = rules("telegram-reflector", scope=Scope.FLOW, action=Lose(0.9), after=25)
        await apply(it.censor, lossy)
        it.send(up(SAMPLES["telegram-reflector"], version))
        for _ in range(1012):
            it.send(up(b"m", version))
            it.send(down(b"m", version))
        lost = (await hits(it.censor))["telegram-reflector"]
        assert abs(lost - 1800) < 5 * (2000 * 0.9 * 0.1) ** 0.5
        await it.settle(2025 - lost)
        assert it.arrived.total() == 2025 - lost

    on_a_wire(test)


def test_a_signature_in_a_stream_is_found_behind_the_tcp_header() -> None:
    """The first segment of an SSH connection never arrives; an HTTP one does, with options both."""
    ssh = Signature(
        "ssh", (Shape(Transport.TCP, (octets(0, "5353482d"),)),), "RFC 4253", Confidence.MEASURED
    )
    rule = Rule("ssh", (ssh,), Drop(), Scope.FLOW)

    async def test(it: Wire) -> None:
        await apply(it.censor, Policy("made", "", (), Confidence.GUESSED, (rule,)))
        loop, (client, server) = asyncio.get_running_loop(), HOSTS[4]
        with it.tcp(server) as listening:
            listening.bind((server, 2222))
            listening.listen()
            for hello, arrives in ((b"GET / HTTP/1.1", True), (b"SSH-2.0-x", False)):
                with it.tcp(client) as ours:
                    await loop.sock_connect(ours, (server, 2222))
                    theirs, _ = await loop.sock_accept(listening)
                    with theirs:
                        await loop.sock_sendall(ours, hello)
                        if arrives:
                            assert await loop.sock_recv(theirs, 100) == hello
                        else:
                            await it.until(rule="ssh", dropped=2)  # it was sent again, in vain
                            with pytest.raises(BlockingIOError):
                                theirs.recv(100)

    on_a_wire(test)


def test_a_policy_replaces_the_one_before() -> None:
    """Rules, counters and the memory of flows are those of the new policy only."""

    async def test(it: Wire) -> None:
        hello = [up(SAMPLES["telegram-reflector"], 4), up(b"data", 4)]
        await same(it, policy("ru-calls-2025-09"), hello)
        assert (await hits(it.censor))["telegram-reflector"] == 2
        await same(it, policy("open"), hello)
        assert await hits(it.censor) == {}
        await same(it, policy("ru-calls-2025-09"), [up(b"data", 4)])

    on_a_wire(test)


@pytest.mark.parametrize("name", configs.names("policies"))
def test_the_kernel_is_asked_without_loading_anything(name: str) -> None:
    """`check` accepts every shipped policy and leaves no table behind."""

    async def test() -> None:
        async with Netns.new("censor") as censor:
            await check(censor, policy(name))
            with pytest.raises(ProcessEnded):
                await hits(censor)

    asyncio.run(test())


def test_what_the_kernel_refuses_is_said_by_the_policys_name() -> None:
    """A rule's id that is no identifier to nft: nothing is loaded, and the policy is named."""
    rule = replace(rules("stun", scope=Scope.PACKET).rules[0], id="two words")
    bad = Policy("bad", "", (), Confidence.GUESSED, (rule,))

    async def test() -> None:
        async with Netns.new("censor") as censor:
            with pytest.raises(EnvironmentUnfit, match="the policy bad"):
                await apply(censor, bad)

    asyncio.run(test())
