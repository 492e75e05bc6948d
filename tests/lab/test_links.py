"""What a namespace's links are told, in the kernel's own words."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from circumtest.netns import Links, Netns
from circumtest.process import run


def told(build: Callable[[Links], None], *question: str) -> str:
    """What `ip` says after `build`, in a namespace with a cable."""

    async def main() -> str:
        async with Netns.new("here") as here, Netns.new("there") as there:
            await here.veth("cable", there, "cable")
            await here.configure(build)
            return await run(here, ["ip", *question])

    return asyncio.run(main())


def test_an_address_is_in_use_when_it_is_there() -> None:
    """Not tentative, and the kernel routes it to itself."""

    def build(links: Links) -> None:
        links.address("cable", "2001:db8::1/64")
        links.address("lo", "2001:db8:1::1/128")

    for address in ("2001:db8::1", "2001:db8:1::1"):
        assert told(build, "-6", "route", "get", address).startswith(f"local {address} ")
    assert "tentative" not in told(build, "-6", "addr")


def test_an_address_on_a_link_that_is_down_is_not_waited_for() -> None:
    """It is in use when the link is up."""

    async def main() -> None:
        async with Netns.new("down") as netns:
            await netns.configure(lambda links: links.veth("one", netns.fd, "other"))
            await asyncio.wait_for(netns.address("one", "2001:db8::1/64"), 1)
            await netns.up("other")
            await netns.up("one")
            answer = await run(netns, ["ip", "-6", "route", "get", "2001:db8::1"])
            assert answer.startswith("local 2001:db8::1 ")

    asyncio.run(main())


def test_a_link_that_goes_before_its_address_is_in_use_is_forgotten() -> None:
    """Nobody waits for what can no longer come."""

    def build(links: Links) -> None:
        links.address("cable", "2001:db8::1/64")
        links.delete("cable")

    assert "cable" not in told(build, "link")


def test_routes_are_of_the_family_that_is_meant() -> None:
    """By the gateway, or by the version where there is only a device."""

    def build(links: Links) -> None:
        links.address("cable", "192.0.2.1/24")
        links.route("default", via="192.0.2.2")
        links.route("default", dev="cable", version=6)
        links.route("203.0.113.0/24", dev="cable")

    four, six = (told(build, family, "route") for family in ("-4", "-6"))
    assert "default via 192.0.2.2 dev cable" in four
    assert "203.0.113.0/24 dev cable" in four
    assert "default dev cable" in six


def test_a_known_neighbour_is_not_asked_for() -> None:
    """It is there for good, in either family."""

    def build(links: Links) -> None:
        links.neighbour("cable", "192.0.2.2", "02:00:00:00:00:02")
        links.neighbour("cable", "2001:db8::2", "02:00:00:00:00:02")

    said = told(build, "neigh").splitlines()
    for host in ("192.0.2.2", "2001:db8::2"):
        assert any(
            line.startswith(f"{host} dev cable lladdr 02:00:00:00:00:02 PERMANENT") for line in said
        )


def test_a_setting_of_an_interface_with_a_dot_is_reached(tmp_path: Path) -> None:
    """As sysctl(8) writes it: the dot of the name becomes a slash."""

    async def main() -> str:
        async with Netns.new("dots") as netns:
            await netns.configure(lambda links: links.veth("a.b", netns.fd, "c"))
            await netns.sysctl("net.ipv4.conf.a/b.rp_filter", 2)
            file = Path("/proc/sys/net/ipv4/conf/a.b/rp_filter")
            return await netns.acall(file.read_text)

    assert asyncio.run(main()) == "2\n"


def test_an_unknown_setting_is_an_error() -> None:
    """Not silently nothing."""
    with pytest.raises(OSError, match="No such file"):
        told(lambda links: links.sysctl("net.ipv4.no_such_thing", 1), "link")
