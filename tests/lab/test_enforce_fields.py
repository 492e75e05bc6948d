"""Every field and action of a simple rule: the kernel does to each packet what `Censor` says."""

import asyncio
import errno
import socket
import time
from dataclasses import replace

import pytest

from circumtest.censor.enforce import apply, check, hits
from circumtest.censor.judge import Censor
from circumtest.censor.packet import Packet
from circumtest.censor.policy import Confidence, Police, Policy, Reject, Scope, Way
from circumtest.censor.signatures import ALL
from circumtest.errors import EnvironmentUnfit
from tests.lab.wire import (
    HOSTS,
    NEAR,
    NEIGHBOURS,
    PATIENCE,
    SAMPLES,
    Wire,
    down,
    on_a_wire,
    one_rule,
    rule,
    same,
    up,
)

HELLO = SAMPLES["stun"]
ANY = (ALL["any"],)


def everywhere(version: int, ports: tuple[int, ...] = (3478, 1400)) -> list[Packet]:
    """Hellos and data both ways, to two hosts and some ports, in flows begun by either side."""
    packets, mine = [], iter(range(30000, 40000))
    for host in (HOSTS[version][1], NEIGHBOURS[version]):
        for remote in ports:
            for first, second in ((up, down), (down, up)):
                where = (version, next(mine), remote, host)
                packets += [make(HELLO, *where) for make in (first, second)]
                packets += [make(b"data", *where) for make in (first, second)]
    return packets


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("scope", list(Scope))
def test_only_servers_in_the_prefixes_are_concerned(version: int, scope: Scope) -> None:
    """By the server's address, whichever way the packet goes; a family without prefixes is free."""
    for to in (NEAR, NEAR[:1], NEAR[1:]):
        it_is = one_rule(rule(scope=scope, to=to))
        on_a_wire(lambda it, it_is=it_is: same(it, it_is, everywhere(version)))  # type: ignore[misc]


@pytest.mark.parametrize("ports", [((3478, 3478),), ((1, 1399), (1401, 65535)), ((1400, 3477),)])
@pytest.mark.parametrize("scope", list(Scope))
def test_only_servers_ports_are_concerned(scope: Scope, ports: tuple[tuple[int, int], ...]) -> None:
    """By the server's port, with prefixes and without; a client's port is nobody's business."""
    packets = everywhere(4) + everywhere(6) + [up(HELLO, 4, port=1400, remote=443)]
    for to in ((), NEAR):
        it_is = one_rule(rule(scope=scope, ports=ports, to=to))
        on_a_wire(lambda it, it_is=it_is: same(it, it_is, packets))  # type: ignore[misc]


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("scope", [Scope.TRIPLE, Scope.ADDRESS])
def test_a_place_is_dead_for_flows_that_never_matched(scope: Scope, version: int, way: Way) -> None:
    """The triple's other client ports; of an address every port; another host lives."""
    hello = [up(HELLO, version, 30000), down(HELLO, version, 30001)]
    around = [
        make(b"data", version, port, remote, host)
        for host in (HOSTS[version][1], NEIGHBOURS[version])
        for port, remote in ((30000, 3478), (30002, 3478), (30003, 1400))
        for make in (up, down)
    ]
    it_is = one_rule(rule(scope=scope, direction=way))
    on_a_wire(lambda it: same(it, it_is, [*around, *hello, *around]))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("scope", list(Scope))
def test_bytes_are_counted_with_headers_in_both_directions(scope: Scope, version: int) -> None:
    """Around the boundary to the byte: 48 and 28 are the headers of either family."""
    header = 48 if version == 6 else 28
    sizes = [100, 20, 30, 50]
    packets = [
        make(HELLO + bytes(size), version, port)
        for port in (30000, 30001)
        for size in sizes
        for make in (up, down)
    ]
    total = sum(2 * (header + len(HELLO) + size) for size in sizes)
    for limit in (1, 300, total - header - len(HELLO) - 50, total - 1, total):
        it_is = one_rule(rule(ANY, scope=scope, after_bytes=limit))
        on_a_wire(lambda it, it_is=it_is: same(it, it_is, packets))  # type: ignore[misc]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("admin", [False, True])
def test_a_sender_is_told_by_icmp(version: int, *, admin: bool) -> None:
    """Of a datagram both ways, of a connection its SYN: the error that ICMP's code stands for."""
    told = {
        (4, False): errno.ECONNREFUSED,
        (6, False): errno.ECONNREFUSED,
        (4, True): errno.EHOSTUNREACH,
        (6, True): errno.EACCES,
    }[version, admin]

    async def test(it: Wire) -> None:
        await apply(it.censor, one_rule(rule(ANY, Reject(admin))))
        for here, there in (HOSTS[version], HOSTS[version][::-1]):
            with it.bare(here, socket.SOCK_DGRAM) as ours:
                ours.bind((here, 30000))
                ours.connect((there, 3478))
                ours.send(b"data")
                with pytest.raises(OSError) as caught:
                    async with asyncio.timeout(PATIENCE):
                        await asyncio.get_running_loop().sock_recv(ours, 10)
                assert caught.value.errno == told
        with it.bare(HOSTS[version][0], socket.SOCK_STREAM) as ours:
            with pytest.raises(OSError) as caught:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.get_running_loop().sock_connect(ours, (HOSTS[version][1], 443))
            assert caught.value.errno == told
        assert (await hits(it.censor))["it"] >= 3  # a SYN may be sent again before it is told

    on_a_wire(test)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("scope", [Scope.TRIPLE, Scope.ADDRESS])
def test_an_address_is_dead_for_streams_too_and_a_triple_is_of_one_transport(
    scope: Scope, version: int
) -> None:
    """A datagram betrays it; then a connection is refused by the censor, or by the server."""
    here, there = HOSTS[version]

    async def test(it: Wire) -> None:
        await apply(it.censor, one_rule(rule(action=Reject(admin=True), scope=scope)))
        it.send(up(HELLO, version))
        await it.until("it", 1)
        with it.bare(here, socket.SOCK_STREAM) as ours, pytest.raises(OSError) as caught:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_connect(ours, (there, 3478))
        told = {4: errno.EHOSTUNREACH, 6: errno.EACCES}[version]
        assert caught.value.errno == (told if scope is Scope.ADDRESS else errno.ECONNREFUSED)

    on_a_wire(test)


@pytest.mark.parametrize("version", [4, 6])
def test_each_direction_of_each_flow_has_a_bucket_of_its_own(version: int) -> None:
    """100 bytes a second and 1500 at once: eight datagrams of 200 bytes pass, and then none."""
    payload = bytes(200 - (48 if version == 6 else 28))
    packets = [
        make(payload, version, port)
        for _ in range(20)
        for port in (30000, 30001)
        for make in (up, down)
    ]
    on_a_wire(lambda it: same(it, one_rule(rule(ANY, Police(100, 1500))), packets))


@pytest.mark.parametrize("burst", [1500, 60000])
def test_a_policed_flow_gets_its_rate_and_its_burst(burst: int) -> None:
    """In a second and a half of flooding, within a tenth of what the bucket of Censor gives."""
    rate, seconds = 50000, 1.5
    packet = up(bytes(172), 4)

    async def test(it: Wire) -> None:
        it_is = one_rule(rule(ANY, Police(rate, burst)))
        await apply(it.censor, it_is)
        judge, expected, sent, begun = Censor(it_is, 1), 0, 0, time.monotonic()
        while (now := time.monotonic() - begun) < seconds:
            it.send(packet)
            sent += 1
            expected += judge.judge(packet, now).passes
            await asyncio.sleep(0)
        passed = sent - (await hits(it.censor))["it"]
        await it.settle(passed)
        assert it.arrived.total() == passed == pytest.approx(expected, rel=0.1)
        assert passed == pytest.approx((rate * (1 + seconds) + burst) / packet.size, rel=0.1)

    on_a_wire(test)


@pytest.mark.parametrize("version", [4, 6])
def test_a_stream_freezes_after_so_many_bytes(version: int) -> None:
    """Of 100 kB a little less than 16384 arrive, headers and acknowledgements count; none later."""
    here, there = HOSTS[version]

    async def test(it: Wire) -> None:
        await apply(it.censor, one_rule(rule(ANY, ports=((443, 443),), after_bytes=16384)))
        loop = asyncio.get_running_loop()
        for port, whole in ((443, False), (8443, True)):
            listening = it.bare(there, socket.SOCK_STREAM)
            with listening, it.bare(here, socket.SOCK_STREAM) as ours:
                listening.bind((there, port))
                listening.listen()
                await loop.sock_connect(ours, (there, port))
                theirs, _ = await loop.sock_accept(listening)
                with theirs:
                    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                    await loop.sock_sendall(theirs, bytes(100_000))
                    got = await _received(it, ours, 100_000 if whole else None)
                    assert got == 100_000 if whole else 8_000 < got < 16384

    on_a_wire(test)


async def _received(it: Wire, ours: socket.socket, total: int | None) -> int:
    """How much comes, until all has or the censor has dropped what was sent again, too."""
    loop, got = asyncio.get_running_loop(), 0
    dropped = 0
    while got != total:
        try:
            got += len(await asyncio.wait_for(loop.sock_recv(ours, 65536), 0.2))
        except TimeoutError:
            before, dropped = dropped, (await hits(it.censor))["it"]
            if total is None and dropped > before > 0:
                break
    return got


def test_a_long_policy_is_carried_out_whoever_loads_it() -> None:
    """A hundred rules, the last of which is met: an ordinary user's go in several transactions."""
    many = [replace(rule(), id=f"r{n}") for n in range(100)]
    last = replace(rule((ALL["sip"],), scope=Scope.PACKET), id="last")
    policy = Policy("long", "", (), Confidence.GUESSED, (*many, last))

    async def test(it: Wire) -> None:
        await check(it.censor, policy)
        sip = b"OPTIONS sip:a@example.com SIP/2.0"
        await same(it, policy, [up(sip, 4), up(HELLO, 4, 30000), down(b"x", 4, 30000), up(b"x", 4)])
        bad = replace(policy, rules=(*many, replace(last, id="two words")))
        with pytest.raises(EnvironmentUnfit, match="the policy long"):
            await apply(it.censor, bad)

    on_a_wire(test)
