"""Waiting for a port."""

import asyncio

import pytest

from circumtest.listening import listening
from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, daemon

AT = Address("127.0.0.1", 1081)


def test_a_port_that_opens_is_waited_for() -> None:
    """It returns when a connection is accepted, not before."""

    async def scene() -> None:
        async with Netns.new("home") as home:
            late = 'sleep 0.2; exec microsocks -i "$0" -p "$1"'
            async with daemon(home, ["sh", "-c", late, AT.host, str(AT.port)]) as process:
                await listening(home, AT, process)

    asyncio.run(scene())


def test_a_server_that_ends_instead_is_told() -> None:
    """Its own words, at once."""

    async def scene() -> None:
        argv = ["sh", "-c", "echo no such luck; exit 3"]
        async with Netns.new("home") as home, daemon(home, argv) as process:
            with pytest.raises(ProcessEnded, match="no such luck"):
                await listening(home, AT, process)

    asyncio.run(scene())
