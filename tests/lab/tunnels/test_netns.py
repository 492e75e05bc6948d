"""A namespace that is there already: entered, used, and left as it was found."""

import os
from pathlib import Path as File

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.process import daemon, run
from circumtest.tunnels.netns import NAMES, NamedNetns
from tests.lab.exits import inhabitants
from tests.lab.town import FAR, ask, everything_passes, fault_of, play


def test_what_lives_in_it_lives_on() -> None:
    """Only our own thread and descriptor go; the devices and the processes are not ours."""

    async def scene(place: Lab) -> None:
        async with (
            ReadyMade(form="netns").serve(place) as fields,
            NamedNetns(**fields).up(place.client) as path,
        ):
            await everything_passes(path, EXIT)
            assert path.mtu == 1420
            devices = await path.inside.links()
            async with daemon(path.inside, ["sleep", "60"]) as sleeper:
                pass
            assert not sleeper.alive
            async with daemon(path.inside, ["sleep", "60"]) as sleeper:
                async with NamedNetns(**fields).up(place.client) as again:
                    assert sleeper.pid in inhabitants(again.inside)
                assert sleeper.alive
                assert await path.inside.links() == devices

    play(scene)


def test_the_whole_path_of_its_file_does_as_well_as_its_name() -> None:
    """Whoever has not named it has a process that lives in it."""

    async def scene(place: Lab) -> None:
        async with ReadyMade(form="netns").serve(place) as fields:
            file = str(NAMES / fields["netns"])
            async with NamedNetns(netns=file).up(place.client) as path:
                assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
            async with (
                NamedNetns(**fields).up(place.client) as path,
                daemon(path.inside, ["sleep", "60"]) as sleeper,
            ):
                file = f"/proc/{sleeper.pid}/ns/net"
                async with NamedNetns(netns=file).up(place.client) as other:
                    home, there = os.fstat(path.inside.fd), os.fstat(other.inside.fd)
                    assert os.path.samestat(home, there)

    play(scene)


def test_what_cannot_be_entered_or_leads_nowhere_is_told() -> None:
    """With the names that there are, as they are seen here."""

    async def scene(place: Lab) -> None:
        await run(place.client, ["ip", "netns", "add", "empty"])
        try:
            for netns, said in (
                ("none", "there is no namespace none; in /run/netns, as it is seen here: empty"),
                ("empty", "no route leads out of the namespace empty"),
                ("/etc/passwd", "is no network namespace's file"),
            ):
                down = await fault_of(NamedNetns(netns=netns).up(place.client))
                assert down.fault is TunnelFault.BINARY
                assert said in down.detail
            assert File("/run/netns/empty").exists()
        finally:
            await run(place.client, ["ip", "netns", "delete", "empty"])

    play(scene)


def test_a_way_out_that_is_gone_is_the_tunnels_fault() -> None:
    """Not "unreachable": that would be read as a block."""

    async def scene(place: Lab) -> None:
        async with (
            ReadyMade(form="netns").serve(place) as fields,
            NamedNetns(**fields).up(place.client) as path,
        ):
            assert path.fault() is None
            _, device = await path.inside.links()
            await path.inside.configure(lambda links: links.delete(device))
            down = path.fault()
            assert down is not None
            assert down.fault is TunnelFault.BINARY
            with pytest.raises(TunnelDown, match="no route leads out"):
                await ask(path, Transport.UDP, FAR[4])

    play(scene)
