"""Devices that are moved inside: what they are given, and what is said without their daemon."""

import asyncio
import os
import signal

import pytest

from circumtest.errors import TunnelDown
from circumtest.inside import InsidePath, Settings, device_name, moved_inside, of_daemon
from circumtest.lab.topology import Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.process import daemon, run
from tests.lab.town import ask, play, until


async def device(place: Lab) -> str:
    """One without a program behind it."""
    name = device_name("x")
    await run(place.client, ["ip", "tuntap", "add", "dev", name, "mode", "tun"])
    return name


def test_a_device_gets_its_addresses_routes_and_mtu_inside() -> None:
    """Networks of a family that it has no address of are left out."""

    async def scene(place: Lab) -> None:
        name = await device(place)
        settings = Settings(("10.9.0.2/24",), ("0.0.0.0/0", "::/0", "10.9.0.0/24"), mtu=1300)
        async with moved_inside(place.client, name, settings, "test") as inside:
            assert set(await inside.links()) == {"lo", name}
            assert name not in await place.client.links()
            routes = await run(inside, ["ip", "route"])
            assert f"default dev {name}" in routes
            assert "10.9.0.0/24" in routes
            assert "default" not in await run(inside, ["ip", "-6", "route"])
            assert "mtu 1300" in await run(inside, ["ip", "link", "show", name])

    play(scene)


def test_what_the_kernel_refuses_is_an_oserror() -> None:
    """With the operation that it refused."""

    async def scene(place: Lab) -> None:
        name = await device(place)
        twice = Settings(("10.9.0.2/24", "10.9.0.2/24"))
        with pytest.raises(OSError, match="add address"):
            async with moved_inside(place.client, name, twice, "test"):
                pass

    play(scene)


def test_without_its_daemon_a_path_is_down_for_the_binary() -> None:
    """No route would be the wrong word for a device that went with its daemon."""

    async def scene(place: Lab) -> None:
        settings = Settings(("10.9.0.2/24",), mtu=1400, dns=("10.9.0.1",))
        argv = ["sh", "-c", "echo bye 192.0.2.3; exec sleep 60"]
        async with (
            daemon(place.client, argv, name="vpnd") as process,
            moved_inside(place.client, await device(place), settings, "test") as inside,
        ):
            path = InsidePath("test", inside, settings, ("192.0.2.9",), of_daemon(process))
            assert path.mtu == 1400
            assert path.dns == ("10.9.0.1",)
            assert path.exits == {"192.0.2.9"}
            assert path.fault() is None
            os.kill(process.pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                await until(lambda: path.fault() is not None)
            with pytest.raises(TunnelDown, match="vpnd ended with -9") as caught:
                await ask(path, Transport.UDP, Address("10.9.0.1", 9))
            assert caught.value.fault is TunnelFault.BINARY
            assert caught.value.evidence == "bye <address>"

    play(scene)


def test_names_of_devices_differ() -> None:
    """And fit the kernel's fifteen characters."""
    names = {device_name("ovp") for _ in range(50)}

    assert len(names) == 50
    assert max(map(len, names)) <= 15
