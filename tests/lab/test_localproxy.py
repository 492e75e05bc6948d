"""Local daemons with a SOCKS port, by one that leads straight on."""

import asyncio
import os
import signal

import pytest

from circumtest.errors import TunnelDown
from circumtest.lab.topology import CLIENT, Lab
from circumtest.listening import free_port
from circumtest.localproxy import HOST, STREAMS, Local, local_proxy
from circumtest.model import Transport, TunnelFault
from tests.lab.town import FAR, ask, play, until


def local(place: Lab, **more: object) -> Local:
    """microsocks in the client itself: its "server" is the client."""
    port = free_port(place.client)
    argv = ["microsocks", "-i", HOST, "-p", str(port)]
    return Local("local", argv, port, STREAMS, **more)  # type: ignore[arg-type]


def test_channels_go_through_the_daemon() -> None:
    """What it carries is what it was said to carry."""

    async def scene(place: Lab) -> None:
        async with local_proxy(place.client, local(place), CLIENT.values(), 5) as path:
            assert path.transports == STREAMS
            assert path.exits == place.client_addresses
            assert path.silence is TunnelFault.HANDSHAKE
            assert await ask(path, Transport.TCP, FAR[4]) == (CLIENT[4], b"hello")
            assert path.fault() is None

    play(scene)


def test_a_daemon_that_is_gone_is_the_binarys_fault() -> None:
    """Told by `fault`, and by the next `open`."""

    async def scene(place: Lab) -> None:
        async with local_proxy(place.client, local(place), (), 5) as path:
            os.kill(path.process.pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                await until(lambda: path.fault() is not None)
            with pytest.raises(TunnelDown, match="local ended with -9"):
                await ask(path, Transport.TCP, FAR[4])

    play(scene)


def test_a_daemon_that_does_not_open_its_port_is_told_with_its_words() -> None:
    """Whether it ends or goes on; what it must not repeat is hidden."""

    async def scene(place: Lab) -> None:
        for rest in ("exit 1", "exec sleep 30"):
            argv = ["sh", "-c", f"echo no room at 192.0.2.7 for hunter2; {rest}"]
            broken = Local("local", argv, free_port(place.client), secrets=["hunter2"])
            with pytest.raises(TunnelDown) as caught:
                async with local_proxy(place.client, broken, (), 1):
                    pass
            assert caught.value.fault is TunnelFault.BINARY
            assert caught.value.evidence == "no room at <address> for <secret>"

    play(scene)


def test_what_the_daemon_explains_is_the_fault_of_this_trial_only() -> None:
    """Only what it said since the channel was opened counts."""

    async def scene(place: Lab) -> None:
        def explain(words: str) -> tuple[TunnelFault, str] | None:
            # microsocks says whom it connects.
            return (TunnelFault.AUTH, "it said so") if "connected" in words else None

        async with local_proxy(place.client, local(place, explain=explain), (), 5) as path:
            assert path.fault() is None
            await ask(path, Transport.TCP, FAR[4])
            async with asyncio.timeout(5):
                await until(lambda: path.fault() is not None)
            down = path.fault()
            assert down is not None
            assert (down.fault, down.detail) == (TunnelFault.AUTH, "it said so")

    play(scene)
