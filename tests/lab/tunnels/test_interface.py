"""A device that is there already: what is bound to it, and what is said when it is not there."""

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.lab.topology import CLIENT, EXIT, Lab
from circumtest.model import Transport, TunnelFault
from circumtest.tunnels.interface import Interface
from tests.lab.town import FAR, ask, everything_passes, fault_of, play


def test_packets_leave_by_the_device_and_not_where_the_routes_say() -> None:
    """Both transports and families; what is not bound to it goes on leaving by the cable."""

    async def scene(place: Lab) -> None:
        async with (
            ReadyMade().serve(place) as fields,
            Interface(**fields, exits=tuple(EXIT.values())).up(place.client) as path,
        ):
            assert path.exits == set(EXIT.values())
            assert path.mtu == 1420
            await everything_passes(path, EXIT)
            await everything_passes(place.outside, CLIENT)
            assert path.fault() is None

    play(scene)


def test_what_is_there_instead_is_named() -> None:
    """A misspelt device, one that is down, one without an address."""

    async def scene(place: Lab) -> None:
        await place.client.configure(lambda links: links.veth("spare", place.censor.fd, "spare"))
        for device, said in (("wg9", "there is no device wg9"), ("spare", "spare is down")):
            down = await fault_of(Interface(device=device).up(place.client))
            assert down.fault is TunnelFault.BINARY
            assert said in down.detail
            assert "there are: lo, censor, spare" in down.detail
        await place.client.up("spare")
        down = await fault_of(Interface(device="spare").up(place.client))
        assert "has no address" in down.detail
        await place.client.address("spare", "fe80::9/64")
        assert (
            "has no address" in (await fault_of(Interface(device="spare").up(place.client))).detail
        )

    play(scene)


def test_a_device_that_is_turned_off_is_the_tunnels_fault_until_it_is_on_again() -> None:
    """Nothing is remembered."""

    async def scene(place: Lab) -> None:
        async with Interface(device="censor").up(place.client) as path:
            assert await ask(path, Transport.UDP, FAR[4]) == (CLIENT[4], b"hello")
            await place.client.configure(lambda links: links._set("censor", state="down"))
            down = path.fault()
            assert down is not None
            assert (down.fault, down.detail) == (TunnelFault.BINARY, "the device censor is down")
            with pytest.raises(TunnelDown, match="is down"):
                await ask(path, Transport.UDP, FAR[4])
            await place.client.up("censor")
            assert path.fault() is None

    play(scene)
