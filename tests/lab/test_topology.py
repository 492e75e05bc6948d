"""The lab's ground: who reaches whom, by which way, and how soon."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from circumtest.lab.capture import capture
from circumtest.lab.topology import CLIENT, EXIT, Lab, lab
from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.path.direct import family
from circumtest.process import run


async def ask(here: Netns, there: Netns, host: str, port: int = 9) -> str:
    """Send a datagram and return the address that the far end saw; within a second."""
    loop = asyncio.get_running_loop()
    kind = family(Address(host, port))
    with (
        here.socket(kind, socket.SOCK_DGRAM) as near,
        there.socket(kind, socket.SOCK_DGRAM) as far,
    ):
        far.bind((host, port))
        near.sendto(b"from", (host, port))
        _, source = await asyncio.wait_for(loop.sock_recvfrom(far, 10), 0.5)
        far.sendto(b"back", source)
        assert await asyncio.wait_for(loop.sock_recv(near, 10), 0.5) == b"back"
    return str(source[0])


@pytest.mark.parametrize("version", [4, 6])
def test_the_first_packet_arrives_at_once(version: int) -> None:
    """No lost solicitation and no sleeping link: a second's delay would look like a censor."""

    async def main() -> None:
        for _ in range(5):
            async with lab() as here:
                assert await ask(here.client, here.exit, EXIT[version]) == CLIENT[version]

    asyncio.run(main())


def test_client_packets_pass_the_censor_and_exit_packets_do_not() -> None:
    """What the censor's links show is the client's traffic only."""

    async def main(folder: Path) -> None:
        async with lab() as here:
            await here.services.address("lo", "203.0.113.10/32")
            file = folder / "censor.pcap"
            async with capture(here.censor, "client", file) as seen:
                await ask(here.exit, here.services, "203.0.113.10")
                assert seen.take() == seen.packets == 0
                await ask(here.client, here.services, "203.0.113.10")
            assert seen.packets == 2

    asyncio.run(main(Path("/run")))


def test_a_tunnelled_client_may_have_a_route_of_its_own() -> None:
    """A prefix can be led to the exit, for servers that do not masquerade."""

    async def main() -> None:
        async with lab() as here:
            await here.services.address("lo", "203.0.113.10/32")
            await here.exit.address("lo", "100.64.0.1/32")
            await here.backbone.route("100.64.0.0/10", via=EXIT[4])
            with here.exit.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
                near.bind(("100.64.0.1", 0))
                near.sendto(b"from", ("203.0.113.10", 9))
            assert await ask(here.client, here.exit, "100.64.0.1") == CLIENT[4]

    asyncio.run(main())


def test_only_what_routes_forwards() -> None:
    """The client, the services and the exit are hosts."""

    async def main() -> dict[str, str]:
        async with lab() as here:
            file = Path("/proc/sys/net/ipv4/ip_forward")
            rooms = here.rooms.items()
            return {name: (await netns.acall(file.read_text)).strip() for name, netns in rooms}

    forwards = {"censor": "1", "backbone": "1", "client": "0", "services": "0", "exit": "0"}
    assert asyncio.run(main()) == forwards


def test_a_lab_is_built_in_no_time() -> None:
    """Well under a tenth of a second on an idle machine; ten times that is a mistake anywhere."""

    async def build() -> float:
        begun = time.perf_counter()
        async with lab():
            return time.perf_counter() - begun

    assert min(asyncio.run(build()) for _ in range(3)) < 0.3


def test_labs_live_side_by_side() -> None:
    """Two labs have the same addresses and know nothing of each other."""

    async def main() -> None:
        async with lab() as one, lab() as other:
            await one.services.address("lo", "203.0.113.10/32")
            await ask(one.client, one.services, "203.0.113.10")
            with pytest.raises(TimeoutError):
                await misdirected(one, other)

    asyncio.run(main())


async def misdirected(one: Lab, other: Lab) -> None:
    """A packet of one lab that would be received in the other."""
    await other.services.address("lo", "203.0.113.10/32")
    await ask(one.client, other.services, "203.0.113.10")


def test_addresses_run_out_with_a_word() -> None:
    """More services than addresses is an OSError, not a collision."""

    async def main() -> None:
        async with lab() as here:
            with pytest.raises(OSError, match="no IPv4 addresses left"):
                await here.addresses(300, 7, 4)

    asyncio.run(main())


def test_the_lab_is_seen_by_tools_too() -> None:
    """Programs can be started in every room."""

    async def main() -> None:
        async with lab() as here:
            for netns in here.rooms.values():
                assert "192.0.2." in await run(netns, ["ip", "-4", "addr"]) or netns is here.exit

    asyncio.run(main())
