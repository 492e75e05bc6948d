"""dante at the exit, as a client meets it."""

import asyncio
import os
import re
import socket

from circumtest.lab.servers.dante import Dante
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.tunnels.socks import Socks
from tests.lab.town import FAR, TIMEOUT, ask, everything_passes, fault_of, play


def test_dante_carries_both_transports_and_families_and_leaves_by_the_exit() -> None:
    """User and password, UDP ASSOCIATE, IPv4 and IPv6, several remotes over one channel."""

    async def scene(place: Lab) -> None:
        async with (
            Dante().serve(place) as fields,
            Socks(**fields, exits=tuple(place.exit_addresses)).up(place.client) as path,
        ):
            assert path.transports == set(Transport)
            await everything_passes(path, EXIT)
            big = os.urandom(1300)
            assert await ask(path, Transport.UDP, FAR[4], big) == (EXIT[4], big)
            assert path.fault() is None

    play(scene)


def test_a_relay_talks_to_several_remotes_over_one_channel() -> None:
    """A WhatsApp call asks three to five relays from one socket."""

    async def scene(place: Lab) -> None:
        others = [Address("192.0.2.9", 9001), Address("198.51.100.1", 9002)]
        for remote in others:
            _answer(place.backbone, remote)
        async with Dante().serve(place) as fields, Socks(**fields).up(place.client) as path:
            heard: asyncio.Queue[Address] = asyncio.Queue()
            conn = await path.open(
                Transport.UDP, FAR[4], lambda _, source: heard.put_nowait(source), TIMEOUT
            )
            for remote in (FAR[4], *others):
                conn.send(b"x", remote)
            async with asyncio.timeout(3):
                assert {await heard.get() for _ in range(3)} == {FAR[4], *others}
            conn.close()

    play(scene)


def test_dante_refuses_a_wrong_password_and_no_password() -> None:
    """Both are the tunnel's fault: auth."""

    async def scene(place: Lab) -> None:
        async with Dante().serve(place) as fields:
            for login in ("caller:wrong@", ""):
                url = re.sub(r"//.*@", "//" + login, fields["url"])
                down = await fault_of(Socks(url=url).up(place.client))
                assert down.fault is TunnelFault.AUTH
                assert "wrong" not in str(down)

    play(scene)


def _answer(netns: Netns, at: Address) -> None:
    """A UDP echo at `at` for as long as the namespace's tests run."""
    sock = netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(at)
    loop = asyncio.get_running_loop()

    def back() -> None:
        data, source = sock.recvfrom(2048)
        sock.sendto(data, source)
        loop.remove_reader(sock)
        sock.close()

    loop.add_reader(sock, back)
