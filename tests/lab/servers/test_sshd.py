"""sshd at the exit: nothing of it outlives it."""

import asyncio

from circumtest.lab.servers.sshd import Sshd
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Transport
from circumtest.tunnels.ssh import Ssh
from tests.lab.exits import inhabitants
from tests.lab.town import FAR, ask, play, until


def test_sessions_end_with_the_server_and_its_keys_are_new_each_time() -> None:
    """An sshd of its own accord leaves its sessions running."""

    async def scene(place: Lab) -> None:
        seen = set()
        for _ in range(2):
            server = Sshd().serve(place)
            fields = await server.__aenter__()
            async with Ssh(**fields).up(place.client) as path:
                assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")
                await server.__aexit__(None, None, None)
                async with asyncio.timeout(3):
                    await until(lambda: not inhabitants(place.exit))
            seen |= {fields["key_text"], fields["known_hosts_text"]}
        assert len(seen) == 4

    play(scene)
