"""WireGuard devices: the kind that was asked for, or a reason."""

import asyncio
import errno
from pathlib import Path

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.wireguard.device import Kind, wireguard_device
from circumtest.wireguard.quick import Peer


def run(kind: Kind) -> str:
    """The kind of device that came; configured, moved, asked and gone."""

    async def scene() -> str:
        async with Netns.new("home") as home, Netns.new("inside") as inside:
            async with wireguard_device(home, kind) as device:
                await device.configure(b"\1" * 32, 0, (Peer(b"\2" * 32, ("10.0.0.0/8",)),))
                await device.move(inside)
                assert device.name in await inside.links()
                assert device.name not in await home.links()
                told = device.counters()
                assert (told.handshake, told.received, told.sent) == (0, 0, 0)
                assert device.ended() is None
            assert await home.links() == await inside.links() == ("lo",)
            assert f"{device.name}.sock" not in uapi_sockets()
            return device.kind

    return asyncio.run(scene())


def uapi_sockets() -> set[str]:
    """The daemons' configuration sockets."""
    return {file.name for file in Path("/var/run/wireguard").glob("*.sock")}


def test_userspace_is_wireguard_go() -> None:
    """Asked for, it is used even where the kernel could."""
    assert run("userspace") == "userspace"


def test_auto_takes_the_kernels_where_there_is_one() -> None:
    """Where there is none, asking for it is an unfit environment with what to type."""
    if run("auto") == "kernel":
        assert run("kernel") == "kernel"
    else:
        with pytest.raises(EnvironmentUnfit, match="modprobe wireguard"):
            run("kernel")


def test_what_the_daemon_refuses_is_an_error() -> None:
    """A configuration never half-works in silence."""

    async def scene() -> None:
        async with Netns.new("home") as home, wireguard_device(home, "userspace") as device:
            with pytest.raises(OSError) as caught:
                await device.configure(b"\1" * 32, 0, (Peer(b"\2" * 32, ("nonsense",)),))
            assert caught.value.errno in (errno.EINVAL, errno.EPROTO)

    asyncio.run(scene())
