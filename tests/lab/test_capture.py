"""What is written is what passed."""

import asyncio
import socket
import struct
import time
from pathlib import Path

import pytest

from circumtest.lab.capture import capture
from circumtest.netns import Netns


def test_a_capture_is_a_pcap_of_every_packet_both_ways(tmp_path: Path) -> None:
    """Header, times, lengths and bytes, as pcap-savefile(5) has them."""
    file = tmp_path / "cable.pcap"
    begun = time.time()

    async def main() -> None:
        async with Netns.new("near") as near, Netns.new("far") as far:
            await near.veth("cable", far, "cable")
            await near.address("cable", "192.0.2.1/24")
            await far.address("cable", "192.0.2.2/24")
            with (
                near.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
                far.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
            ):
                other.bind(("192.0.2.2", 9))
                async with capture(near, "cable", file) as running:
                    one.sendto(b"question", ("192.0.2.2", 9))
                    loop = asyncio.get_running_loop()
                    _, source = await asyncio.wait_for(loop.sock_recvfrom(other, 10), 3)
                    for number in range(100):
                        other.sendto(b"answer %d" % number, source)
                assert running.packets >= 101

    asyncio.run(main())
    packets = read(file.read_bytes())
    payloads = [data[42:] for _, data in packets if data[12:14] == b"\x08\0"]
    assert payloads[0].startswith(b"question")
    assert payloads[1].startswith(b"answer 0")
    assert len(payloads) == 101
    assert all(begun - 0.01 <= at <= time.time() + 0.01 for at, _ in packets)


def read(data: bytes) -> list[tuple[float, bytes]]:
    """A second reading of the format: times in seconds, and frames."""
    magic, major, minor, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 1)
    packets, at = [], 24
    while at < len(data):
        seconds, micros, kept, size = struct.unpack_from("<IIII", data, at)
        assert kept == size
        packets.append((seconds + micros / 1e6, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return packets


def test_a_link_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Nobody believes an empty file."""

    async def main() -> None:
        async with Netns.new("none") as netns:
            with pytest.raises(OSError, match="No such device"):
                async with capture(netns, "cable", tmp_path / "none.pcap"):
                    pass

    asyncio.run(main())
