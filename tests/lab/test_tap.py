"""What passes several links is written in order, with directions, to a file that is whole."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dpkt
import pytest

from circumtest.lab.tap import Bounds, Tap, tapped, whole_file
from circumtest.netns import Netns

NEAR, FAR = "192.0.2.2", "203.0.113.2"


@asynccontextmanager
async def road() -> AsyncIterator[tuple[Netns, Netns, Netns]]:
    """A client, a router with the censor's links, and a far end."""
    async with (
        Netns.new("client") as client,
        Netns.new("censor") as censor,
        Netns.new("far") as far,
    ):
        for link, end, network, host in (
            ("client", client, "192.0.2", NEAR),
            ("backbone", far, "203.0.113", FAR),
        ):
            await censor.veth(link, end, "eth0")
            await censor.address(link, f"{network}.1/24")
            await end.address("eth0", f"{host}/24")
            await end.route("default", via=f"{network}.1")
        await censor.forward()
        yield client, censor, far


def records(file: Path) -> list[tuple[int, bytes, int]]:
    """Link, payload and direction (1 in, 2 out) of each UDP packet, by dpkt's reading."""
    found = []
    with file.open("rb") as stream:
        reader = dpkt.pcapng.Reader(stream)
        assert reader.datalink() == 1
        stream.seek(0)
        data = stream.read()
    at = 0
    while at < len(data):
        kind, size = (int.from_bytes(data[at + n : at + n + 4], "little") for n in (0, 4))
        if kind == 6:
            block = dpkt.pcapng.EnhancedPacketBlockLE(data[at : at + size])
            frame = dpkt.ethernet.Ethernet(block.pkt_data)
            if isinstance(frame.data, dpkt.ip.IP) and isinstance(frame.data.data, dpkt.udp.UDP):
                (flags,) = [int.from_bytes(o.data, "little") for o in block.opts if o.code == 2]
                found.append((block.iface_id, bytes(frame.data.data.data), flags))
        at += size
    return found


def test_a_packet_that_passes_is_there_twice_in_order(tmp_path: Path) -> None:
    """In by one link, out by the other; of one link alone, once."""
    both, one = tmp_path / "both.pcapng", tmp_path / "one.pcapng"

    async def main() -> None:
        async with road() as (client, censor, far):
            with (
                client.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
                far.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
                tapped(censor) as first,
                tapped(censor) as second,
                both.open("wb") as out,
                one.open("wb") as alone,
            ):
                other.bind((FAR, 9))
                for number in range(50):
                    near.sendto(b"packet %d" % number, (FAR, 9))
                    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(other, 99), 3)
                over, stop = os.pipe()
                os.close(stop)  # readable from now on
                running = Tap(first, out, ["client", "backbone"])
                running.run(Bounds(), [over])
                assert (running.packets["client"] >= 50, running.lost) == (True, 0)
                few = Tap(second, alone, ["backbone"])
                few.run(Bounds(packets=20), [])
                assert few.packets.total() == 20
                os.close(over)

    asyncio.run(main())
    packets = records(both)
    expected = []
    for number in range(50):
        expected += [(0, b"packet %d" % number, 1), (1, b"packet %d" % number, 2)]
    assert packets == expected
    assert {link for link, _, _ in records(one)} == {0}


def test_a_capture_of_nothing_ends_in_time(tmp_path: Path) -> None:
    """Its file has a header and statistics, and no packet."""

    async def main() -> None:
        async with road() as (_, censor, _far):
            with tapped(censor) as sock, (tmp_path / "none.pcapng").open("wb") as out:
                running = Tap(sock, out, ["lo"])
                running.run(Bounds(seconds=0.05), [])
                assert running.packets.total() == 0

    asyncio.run(main())
    assert records(tmp_path / "none.pcapng") == []


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    """With the usual permissions; after an error there is none, nor a draft of it."""
    target = tmp_path / "capture"
    with whole_file(target) as file:
        file.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "half"):
        _ = 1 // 0
    assert sorted(os.listdir(tmp_path)) == ["capture", "plain"]


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    """Neither when it was there before, nor when it came meanwhile."""
    target = tmp_path / "capture"
    with pytest.raises(FileExistsError), whole_file(target):
        target.write_text("somebody else's")
    with pytest.raises(FileExistsError), whole_file(target):
        pass
    assert target.read_text() == "somebody else's"
    assert os.listdir(tmp_path) == ["capture"]
