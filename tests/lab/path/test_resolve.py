"""Names of servers: resolved in the underlay, or said not to be."""

import asyncio
import time

import pytest

from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.path.resolve import resolve


def test_an_address_is_given_back_as_it_is() -> None:
    """No resolver is asked."""

    async def scene() -> None:
        async with Netns.new("home") as home:
            assert await resolve(home, "192.0.2.1", 7, 1) == Address("192.0.2.1", 7)
            assert await resolve(home, "2001:DB8::1", 7, 1) == Address("2001:db8::1", 7)

    asyncio.run(scene())


def test_a_name_of_this_machine_needs_no_network() -> None:
    """The look-up works as everybody's does: /etc/hosts first."""

    async def scene() -> None:
        async with Netns.new("home") as home:
            found = await resolve(home, "localhost", 7, 2)
            assert found in (Address("127.0.0.1", 7), Address("::1", 7))

    asyncio.run(scene())


def test_a_name_that_nobody_knows_is_an_error_in_bounded_time() -> None:
    """In an empty namespace there is nobody to ask."""

    async def scene() -> None:
        async with Netns.new("home") as home:
            begun = time.monotonic()
            with pytest.raises(OSError):
                await resolve(home, "vpn.example", 7, 1)
            assert time.monotonic() - begun < 2

    asyncio.run(scene())
