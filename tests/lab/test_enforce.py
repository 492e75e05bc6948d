"""A compiled policy in the real kernel does to each packet what `Censor` says.

Raw datagrams between two namespaces with the censor between them, IPv4 and IPv6, both ways.
"""

import asyncio
import random
import socket
import time
from dataclasses import replace

import pytest

from circumtest import configs
from circumtest.censor.enforce import apply, check, hits
from circumtest.censor.load import policy
from circumtest.censor.policy import (
    Confidence,
    Drop,
    Lose,
    Policy,
    Rule,
    Scope,
    Shape,
    Signature,
    Way,
    octets,
)
from circumtest.censor.signatures import SIGNATURES
from circumtest.errors import EnvironmentUnfit
from circumtest.model import Transport
from circumtest.netns import Netns
from circumtest.process import ProcessEnded
from tests.lab.wire import HOSTS, OTHERS, SAMPLES, Wire, down, on_a_wire, one_rule, rules, same, up


@pytest.mark.parametrize("name", configs.names("policies"))
def test_the_kernel_drops_what_the_policy_says(name: str) -> None:
    """Every sample and its neighbours, to 3478 and 1400, first up or first down, IPv4 and IPv6.

    Loss is switched to certain drop here, and at once, so that each single packet has one right
    answer; what the middlebox does is not asked here.
    """
    shipped = policy(name)
    simple = [rule for rule in shipped.rules if rule.simple]
    certain = tuple(replace(rule, action=Drop(), seconds=0.0) for rule in simple)
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
    names = tuple(n for n, of in SIGNATURES.items() if n != "stun" and of.sees is None)
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
        with it.bare(server, socket.SOCK_STREAM) as listening:
            listening.bind((server, 2222))
            listening.listen()
            for hello, arrives in ((b"GET / HTTP/1.1", True), (b"SSH-2.0-x", False)):
                with it.bare(client, socket.SOCK_STREAM) as ours:
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
