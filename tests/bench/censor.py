"""What a censor costs: the same router with no rules, with kernel rules, with the middlebox.

    throughput  megabytes a second of one TCP stream through the router
    p50, p95    microseconds of the round trip of a datagram of speech
    cpu         microseconds of the processor that a datagram takes from the sender through router
                and receiver's socket, the least of all rounds: the surest number on a busy
                machine.  What the middlebox does is not in it
    visits      packets that the middlebox was asked about, of all that went through

Rounds of all are interleaved, so that what else the machine does hits all; the others are medians,
and ratios the median of the ratios within the rounds.  Offloads are off, as in the lab: packets
are those that a real router sees.  At last, how many packets a second the middlebox bears.  Run
inside the sandbox.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from statistics import median, quantiles

from tabulate import tabulate

from circumtest.censor.enforce import Enforced, enforced
from circumtest.censor.middlebox.netlink import Counters
from circumtest.censor.policy import Confidence, Drop, Policy, Rule, Scope
from circumtest.censor.signatures import ALL
from circumtest.netns import Links
from circumtest.process import daemon
from tests.bench.censor_far import ECHOED
from tests.lab.wire import HOSTS, Wire, wire

HERE = Path(__file__).parent
PORT = 5201
ROUNDS, BULK, ECHOES, BURST = 15, 0.4, 500, 3000
LOOKED_AT = 8
"""Packets of a flow that visit the middlebox before it is handed over to the kernel."""
RATES = (5_000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000)
FLOOD = 1.0
BEARABLE = 0.001
"""The share of packets without room from which on the middlebox loses."""
SPEECH = b"\x80\x78" + os.urandom(ECHOED - 2)
_NEAR = (ip_network("203.0.113.0/25"), ip_network("2001:db8:2::/64"))


def kernel_rules(number: int) -> Policy:
    """Rules about protocols, about packets and flows by turns, half of them for a prefix only.

    Nothing that is sent here matches any: every packet is put to all that might concern it.
    """
    kinds = [s for s in ALL.values() if s.sees is None and any(shape.bits for shape in s.shapes)]
    rules = tuple(
        Rule(
            f"r{n}",
            (kinds[n % len(kinds)],),
            Drop(),
            (Scope.FLOW, Scope.PACKET)[n // 2 % 2],
            to=_NEAR if n % 2 else (),
            ports=((1, 1023),),
        )
        for n in range(number)
    )
    return Policy(f"{number} rules", "", (), Confidence.GUESSED, rules)


def place_rules(number: int) -> Policy:
    """As many rules about everything that goes to a port: nothing sorts these out beforehand."""
    rules = tuple(
        Rule(f"r{n}", (ALL["any"],), Drop(), Scope.PACKET, ports=((n + 1, n + 1),))
        for n in range(number)
    )
    return Policy(f"{number} rules by port", "", (), Confidence.GUESSED, rules)


def boxed(name: str, first: int) -> Policy:
    """A rule for the middlebox that never acts, and looks at so many packets of a flow, or all."""
    hidden = Rule("r", (ALL["any"],), Drop(), Scope.FLOW, names=("no.invalid",), first=first)
    return Policy(name, "", (), Confidence.GUESSED, (hidden,))


POLICIES = (
    Policy("no rules", "", (), Confidence.GUESSED, ()),
    kernel_rules(1),
    kernel_rules(10),
    kernel_rules(100),
    place_rules(100),
    boxed(f"middlebox, {LOOKED_AT} packets of a flow", LOOKED_AT),
    boxed("middlebox, all packets", 0),
)


@dataclass
class Row:
    """What was measured of one policy, a number each round."""

    bulk: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    visits: int = 0


@asynccontextmanager
async def road() -> AsyncIterator[Wire]:
    """The router between two ends, without offloads, and the far end's process."""
    async with wire() as it:
        for netns in (it.client, it.censor, it.server):
            await netns.configure(_plain)
        argv = [sys.executable, str(HERE / "censor_far.py"), HOSTS[4][1], str(PORT)]
        async with daemon(it.server, argv) as far:
            await far.line("^ready$", 10)
            yield it


def _plain(links: Links) -> None:
    for name in links.names():
        if name != "lo":
            links.offloads_off(name)


# ------------------------------------------------------------------ on the client's thread


def bulk(seconds: float) -> float:
    """Bytes a second of one stream of bytes of all kinds."""
    data = os.urandom(1 << 18)
    with socket.create_connection((HOSTS[4][1], PORT), 10) as sock:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        total = int.from_bytes(sock.recv(8), "big")
        return total / (time.perf_counter() - begun)


def echoes(number: int) -> list[float]:
    """Seconds that each round trip took."""
    taken = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((HOSTS[4][1], PORT))
        for _ in range(number):
            begun = time.perf_counter()
            sock.send(SPEECH)
            sock.recv(2048)
            taken.append(time.perf_counter() - begun)
    return taken


def burst(number: int) -> float:
    """Seconds of processor time a datagram: a cable's other end runs in the sender's own call."""
    payload = SPEECH[:-1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((HOSTS[4][1], PORT))
        begun = time.thread_time()
        for _ in range(number):
            sock.send(payload)
        return (time.thread_time() - begun) / number


def flood(rate: int, seconds: float) -> tuple[int, float]:
    """Send datagrams evenly; how many, and how long it took."""
    payload, sent = SPEECH[:-1], 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((HOSTS[4][1], PORT))
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            for _ in range(min(int(now * rate) - sent, 64)):
                sock.send(payload)
                sent += 1
    return sent, time.perf_counter() - begun


# ------------------------------------------------------------------ tables


async def costs(it: Wire) -> str:
    """One row a policy."""
    rows = {policy.name: Row() for policy in POLICIES}
    for number in range(ROUNDS):
        for policy in POLICIES:
            row = rows[policy.name]
            async with enforced(it.censor, policy) as censor:
                taken = await it.client.acall(echoes, ECHOES)
                speed = await it.client.acall(bulk, BULK)
                row.cpu.append(await it.client.acall(burst, BURST))
                row.visits = censor.counters().seen
                assert censor.fault() is None
            row.bulk.append(speed)
            row.p50.append(median(taken))
            row.p95.append(quantiles(taken, n=20)[-1])
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
    plain = rows[POLICIES[0].name]
    table = [
        [
            name,
            median(row.bulk) / 1e6,
            _ratio(row.bulk, plain.bulk),
            median(row.p50) * 1e6,
            _ratio(row.p50, plain.p50),
            median(row.p95) * 1e6,
            _ratio(row.p95, plain.p95),
            min(row.cpu) * 1e6,
            min(row.cpu) / min(plain.cpu),
            row.visits,
        ]
        for name, row in rows.items()
    ]
    heads = [
        "censor",
        "MB/s",
        "ratio",
        "p50 us",
        "ratio",
        "p95 us",
        "ratio",
        "cpu us",
        "ratio",
        "visits",
    ]
    formats = ("", ".0f", ".2f", ".0f", ".2f", ".0f", ".2f", ".1f", ".2f", "")
    return tabulate(table, heads, floatfmt=formats)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(one / other for one, other in zip(ours, theirs, strict=True))


async def breaking(it: Wire) -> str:
    """Offered, borne and lost packets a second, rate by rate, until the middlebox loses some."""
    rows: list[list[object]] = []
    for rate in RATES:
        async with enforced(it.censor, POLICIES[-1]) as censor:
            sent, seconds = await it.client.acall(flood, rate, FLOOD)
            seen, _, lost = await _quiet(censor)
            rows.append([rate, round(sent / seconds), seen, lost, lost / max(sent, 1)])
        if lost > BEARABLE * sent:
            break
    heads = ["wanted a second", "sent a second", "judged", "no room", "share"]
    return tabulate(rows, heads, floatfmt=".4f")


async def _quiet(censor: Enforced) -> Counters:
    """The middlebox's counts once nothing waits for it any more."""
    while (now := censor.counters()).waiting:  # noqa: ASYNC110  # the kernel has no event for it
        await asyncio.sleep(0.01)
    return now


async def main() -> None:
    """Print both tables."""
    async with road() as it:
        print(await costs(it))
        print()
        print(await breaking(it))


if __name__ == "__main__":
    asyncio.run(main())
