"""kamailio as the lab's proxy: what it starts with, and what it keeps to itself."""

import asyncio
from pathlib import Path

import pytest

from circumtest.handshakes.sip import Sip
from circumtest.lab.kamailio import agent_address, proxy
from circumtest.lab.topology import RESOLVER, lab
from circumtest.model import Address, Carrier
from circumtest.process import ProcessEnded
from circumtest.sip import password

BOUND = 30.0


def test_no_password_stands_on_a_command_line() -> None:
    """Nor the secret; they are in files that only their owner reads, and gone afterwards."""
    call = Sip(Carrier.TLS, secret="a very secret secret")
    words = (call.secret, password(call.secret, call.user))

    async def scene() -> None:
        async with asyncio.timeout(BOUND), lab() as town:
            target = await town.place(call, "sip")
            behind = agent_address(town, target)
            assert behind.host == RESOLVER[4]
            async with proxy(town, call, target, behind):
                lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
                (ours,) = {line for line in lines if line.startswith(b"/") and b"kamailio" in line}
                assert not any(word.encode() in line for word in words for line in lines)
                file = Path(ours.split(b"\0")[-2].decode())
                assert file.stat().st_mode & 0o077 == 0
                assert (file.parent / "key.pem").stat().st_mode & 0o077 == 0
            assert not file.exists()

    asyncio.run(scene())


def test_a_proxy_that_cannot_listen_says_so_in_its_own_words() -> None:
    """At an address that is not the lab's."""

    async def scene() -> None:
        async with asyncio.timeout(BOUND), lab() as town:
            nowhere = [Address("198.51.100.77", 5060)]
            async with proxy(town, Sip(), nowhere, Address(RESOLVER[4], 5070)):
                pass

    with pytest.raises((ProcessEnded, OSError)):
        asyncio.run(scene())
