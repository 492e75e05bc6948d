"""One contract for every tunnel: the same cases, against its real server.

A case that makes no sense for a tunnel is not played; its specimen says why.  The matrix of both is
printed when the suite ends.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

from circumtest import sandbox
from circumtest.errors import TunnelDown
from circumtest.handshakes.echo import Echo
from circumtest.lab.topology import EXIT, RESOLVER, Lab
from circumtest.model import Address, Success, Transport, TunnelFault
from circumtest.path import Path
from circumtest.play import play
from circumtest.process import run
from circumtest.proof import prove
from tests.lab.exits import inhabitants, kill_all, restart
from tests.lab.specimens import Fields, Specimen, every
from tests.lab.town import CUT, FAR, ask, fault_of, look_up, town, until

BOUND = 90.0
"""Seconds that one case may take, the fifty rounds excepted."""
MARGIN = 6.0
"""Seconds beyond a tunnel's patience within which it must have said what is wrong."""
ORDINARY = sandbox.origin().uid != 0

LEAK = f"""table inet leak {{
  counter leaked {{ }}
  chain forward {{
    type filter hook forward priority -300;
    iifname "client" ip daddr != {EXIT[4]} counter name leaked
    iifname "client" ip6 daddr != {EXIT[6]} counter name leaked
  }}
}}"""
"""At the censor: what leaves the client for anywhere but the exit."""

Case = Callable[[Specimen, Lab, "Proof"], Awaitable[None]]


class Proof:
    """Brings a specimen up as a run does: ready when an exchange went there and back."""

    def __init__(self, place: Lab, targets: dict[Transport, tuple[Address, ...]]) -> None:
        self._place, self._targets = place, targets

    @asynccontextmanager
    async def up(self, specimen: Specimen, fields: Fields) -> AsyncIterator[Path]:
        tunnel = specimen.tunnel(fields)
        async with tunnel.up(self._place.client) as path:
            first = Transport.UDP if Transport.UDP in path.transports else Transport.TCP
            if Transport.UDP not in specimen.carries:
                first = Transport.TCP
            patience = getattr(tunnel, "patience", 10.0)
            stream = self.exchange(Transport.TCP) if first is Transport.UDP else None
            await prove(path, self.exchange(first), patience, stream)
            yield path

    def exchange(self, transport: Transport, size: int = 64):  # type: ignore[no-untyped-def]  # noqa: ANN201
        echo = Echo(transport, size=size)
        return lambda: echo.script(self._targets[transport], Random(1))


# ------------------------------------------------------------------ the cases


async def carries(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """Every transport and family that it says, seen by the far end with the exit's address."""
    async with specimen.server().serve(place) as fields, proof.up(specimen, fields) as path:
        for transport in specimen.carries:
            for version in specimen.versions:
                answer = await ask(path, transport, FAR[version])
                assert answer == (EXIT[version], b"hello"), (transport, version)
        assert path.fault() is None


async def large_datagrams(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """1200 octets pass, as much as its MTU allows passes, and 16 KiB of a stream do."""
    async with specimen.server().serve(place) as fields, proof.up(specimen, fields) as path:
        version = min(specimen.versions)
        # The echo puts an address before what it sends back.
        header = 48 if version == 6 else 28
        largest = {path.mtu - header - len(f"{EXIT[version]}|")} if path.mtu else set()
        for size in {1200} | largest if Transport.UDP in specimen.carries else ():
            payload = os.urandom(size)
            answer = await ask(path, Transport.UDP, FAR[version], payload)
            assert answer == (EXIT[version], payload), size
        if Transport.TCP in specimen.carries:
            record = await play(proof.exchange(Transport.TCP, 16384)(), path)
            assert isinstance(record.outcome, Success), record.outcome


async def dns_inside(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """The resolver that the tunnel names, or else the lab's, answers through it."""
    async with specimen.server().serve(place) as fields, proof.up(specimen, fields) as path:
        assert set(path.dns) <= set(RESOLVER.values())
        for transport in specimen.carries:
            for host in path.dns or (RESOLVER[min(specimen.versions)],):
                if (6 if ":" in host else 4) in specimen.versions:
                    assert await look_up(path, transport, host) == EXIT[6 if ":" in host else 4]


async def parallel_flows(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """Twenty of each transport at once, none mistaken for another."""
    version = min(specimen.versions)
    async with specimen.server().serve(place) as fields, proof.up(specimen, fields) as path:
        asked = [(t, str(n).encode() * 9) for t in specimen.carries for n in range(10, 30)]
        answers = await asyncio.gather(
            *(ask(path, transport, FAR[version], text, wait=10) for transport, text in asked)
        )
        assert answers == [(EXIT[version], text) for _, text in asked]


async def up_and_down(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """Again and again, with nothing left over."""
    rounds = min(5, specimen.rounds) if ORDINARY else specimen.rounds
    async with specimen.server().serve(place) as fields:
        others = inhabitants(place.client)  # what was on already, where the server is such
        async with proof.up(specimen, fields):
            pass
        before = await _left(place, others)
        for _ in range(rounds - 1):
            async with proof.up(specimen, fields):
                pass
        assert await _left(place, others) == before


async def blocked_at_start(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """The censor lets nothing through: down in bounded time, with the right cause."""
    async with specimen.server().serve(place) as fields:
        await run(place.censor, ["nft", "-f", "-"], input=CUT)
        await _down(proof.up(specimen, fields), specimen, fields, specimen.when_blocked)


async def blocked_midway(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """What is asked while it is blocked fails; afterwards it carries again, or says what is up."""
    async with specimen.server().serve(place) as fields, proof.up(specimen, fields) as path:
        await run(place.censor, ["nft", "-f", "-"], input=CUT)
        with pytest.raises((OSError, TunnelDown)):
            await _ask(specimen, path)
        await run(place.censor, ["nft", "delete", "table", "inet", "cut"])
        await _recovered(specimen, path)


async def server_restarted(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """With the same keys: it carries again, or says that it does not."""
    async with (
        specimen.server().serve(place) as fields,
        proof.up(specimen, fields) as path,
        restart(place.exit),
    ):
        await _recovered(specimen, path)


async def daemon_killed(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """kill -9: at once it is the binary's fault, and nobody else's."""
    async with specimen.server().serve(place) as fields, proof.up(specimen, fields) as path:
        killed = inhabitants(place.client)
        assert killed
        kill_all(killed)
        async with asyncio.timeout(5):
            await until(lambda: path.fault() is not None)
        down = path.fault()
        assert down is not None
        assert down.fault is TunnelFault.BINARY
        with pytest.raises((OSError, TunnelDown)):
            await _ask(specimen, path)


async def wrong_key(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """Another key or password."""
    assert specimen.wrong_key is not None
    async with specimen.server().serve(place) as fields:
        wrong = specimen.wrong_key(fields)
        assert wrong != fields
        await _down(proof.up(specimen, wrong), specimen, wrong, specimen.when_wrong_key)


async def wrong_host(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """Nothing listens there."""
    async with specimen.server().serve(place) as fields:
        wrong = specimen.wrong_host(fields)
        assert wrong != fields
        await _down(proof.up(specimen, wrong), specimen, wrong, specimen.when_wrong_host)


async def server_without_udp(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """A server that carries TCP only: no-udp, while TCP passes."""
    assert specimen.without_udp is not None
    async with specimen.without_udp().serve(place) as fields:
        await _down(proof.up(specimen, fields), specimen, fields, TunnelFault.NO_UDP)


async def slow_server(specimen: Specimen, place: Lab, proof: Proof) -> None:
    """A server that is frozen for a second at first is only slow."""
    async with specimen.server().serve(place) as fields:
        servers = inhabitants(place.exit)
        for pid in servers:
            os.kill(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(1.0, _thaw, servers)
        async with proof.up(specimen, fields) as path:
            await _ask(specimen, path)


CASES: tuple[Case, ...] = (
    carries,
    large_datagrams,
    dns_inside,
    parallel_flows,
    up_and_down,
    blocked_at_start,
    blocked_midway,
    server_restarted,
    daemon_killed,
    wrong_key,
    wrong_host,
    server_without_udp,
    slow_server,
)
DOABLE = [
    pytest.param(specimen, case, id=f"{specimen.name}-{case.__name__}")
    for specimen in every()
    for case in CASES
    if case.__name__ not in specimen.cannot
]


@pytest.mark.parametrize(("specimen", "case"), DOABLE)
def test_tunnel(specimen: Specimen, case: Case) -> None:
    """The case's own docstring says what is asked of every tunnel."""
    asyncio.run(played(specimen, case))


def test_every_specimen_says_of_every_case_why_it_cannot_be_played() -> None:
    """A reason for each, and none for a case that there is not."""
    names = {case.__name__ for case in CASES}
    for specimen in every():
        assert set(specimen.cannot) <= names
        assert all(specimen.cannot.values())


# ------------------------------------------------------------------ how they are played


async def played(specimen: Specimen, case: Case) -> None:
    """One case in a town of its own, bounded; afterwards nothing runs, and nothing has leaked."""
    bound = BOUND if case is not up_and_down else 6 * BOUND
    async with asyncio.timeout(bound), town() as place:
        targets = {
            transport: await place.serve(Echo(transport), f"echo-{transport}")
            for transport in Transport
        }
        if case is not wrong_host:
            await run(place.censor, ["nft", "-f", "-"], input=LEAK.encode())
        await case(specimen, place, Proof(place, targets))
        async with asyncio.timeout(3):  # the last ones are on their way
            await until(lambda: not inhabitants(place.client))
        if case is not wrong_host:
            said = await run(place.censor, ["nft", "list", "counter", "inet", "leak", "leaked"])
            assert "packets 0 " in said, said


async def _ask(specimen: Specimen, path: Path) -> None:
    transport = Transport.UDP if Transport.UDP in specimen.carries else Transport.TCP
    await ask(path, transport, FAR[min(specimen.versions)], wait=1.5)


async def _recovered(specimen: Specimen, path: Path) -> None:
    """It carries again within `recovers` seconds, or its path says that it is at fault."""
    end = time.monotonic() + specimen.recovers
    while True:
        try:
            return await _ask(specimen, path)
        except TunnelDown:
            return None
        except OSError:
            if path.fault() is not None:
                return None
            assert time.monotonic() < end, "it neither carries again nor says why not"
            await asyncio.sleep(0.1)


async def _down(up: object, specimen: Specimen, fields: Fields, fault: TunnelFault) -> None:
    """`up` ends with `fault`, in bounded time, with words that tell no secret and no address."""
    patience = getattr(specimen.tunnel(fields), "patience", 10.0)
    begun = time.monotonic()
    down = await fault_of(up)
    spent = time.monotonic() - begun
    assert down.fault is fault, (down, down.evidence)
    assert spent < patience + MARGIN, spent
    for address in (*EXIT.values(), "198.51.100.1"):
        assert address not in f"{down.detail} {down.evidence}"


async def _left(place: Lab, others: set[int]) -> dict[str, object]:
    """What could be left over: processes but those of `others`, links, directories, descriptors.

    Sockets are not counted: namespaces keep some in stock, and far ends close theirs later.
    """
    async with asyncio.timeout(3):
        await until(lambda: inhabitants(place.client) <= others)
    return {
        "links": set(await place.client.links()),
        "directories": sorted(name for name in os.listdir("/run") if f"-{os.getpid()}-" in name),
        "descriptors": sorted(filter(lambda what: what != "socket", _descriptors())),
    }


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{name}").split(":")[0])
    return found


def _thaw(pids: set[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
