"""An observer sees the tunnel's own flows, from their first packet on, and no more than needed."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from circumtest.detect.frames import frame
from circumtest.lab.observer import PER_FLOW, Frames, Observer, observing
from circumtest.netns import Netns

Scene = Callable[[Observer, "Talk"], Awaitable[None]]
Talk = Callable[[int, int], Awaitable[None]]
"""So many datagrams to a port, the last of them awaited there."""


def watched(scene: Scene) -> Frames:
    """What is seen on a cable while a scene is played over it."""

    async def main() -> Frames:
        async with (
            asyncio.timeout(20),
            Netns.new("near") as near,
            Netns.new("far") as far,
        ):
            await near.veth("client", far, "cable")
            await near.address("client", "192.0.2.1/24")
            await far.address("cable", "192.0.2.2/24")
            loop = asyncio.get_running_loop()

            async def talk(port: int, datagrams: int) -> None:
                with (
                    near.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
                    far.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
                ):
                    one.bind(("192.0.2.1", 1000 + port))
                    other.bind(("192.0.2.2", port))
                    for _ in range(datagrams):
                        one.sendto(b"%d" % port, ("192.0.2.2", port))
                        await loop.sock_recvfrom(other, 10)

            with observing(near) as observer:
                await scene(observer, talk)
                seen = observer.end()
                await talk(9, 1)
                assert observer.end() == seen
                return seen

    return asyncio.run(main())


def ports(frames: Frames) -> list[int]:
    """Where each datagram goes."""
    return [frame(at, raw).destination.port for at, raw in frames]


def test_what_begins_while_it_heeds_is_kept_in_order() -> None:
    """A flow of the tunnel's that goes on meanwhile is its own, and one from outside never is."""

    async def scene(observer: Observer, talk: Talk) -> None:
        await talk(1, 2)
        observer.heed(False)
        await talk(2, 2)
        await talk(1, 1)
        observer.heed(True)
        await talk(2, 1)
        await talk(3, 1)

    seen = watched(scene)

    assert ports(seen) == [1, 1, 1, 3]
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)


def test_of_a_long_flow_the_beginning_is_kept() -> None:
    """A censor that needs more is late anyway."""

    async def scene(_: Observer, talk: Talk) -> None:
        await talk(1, PER_FLOW + 50)
        await talk(2, 3)

    seen = ports(watched(scene))

    assert (seen.count(1), seen.count(2)) == (PER_FLOW, 3)


def test_a_link_that_is_not_there_is_an_error() -> None:
    """And leaves no socket behind: warnings are errors here."""

    async def main() -> None:
        async with Netns.new("near") as near:
            with pytest.raises(OSError, match="No such device"), observing(near, "nowhere"):
                pass

    asyncio.run(main())
