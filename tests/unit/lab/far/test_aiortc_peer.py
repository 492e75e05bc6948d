"""The program around aiortc: what it tells of itself, and what its voice says and counts."""

import asyncio
import time
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

from aiortc import RTCRtpReceiver

from circumtest.lab.far.aiortc_peer import Voice, count_packets, only_at
from circumtest.wire import sdp
from circumtest.wire.rtp import Frame


def frame(number: int) -> bytes:
    """What the caller puts into a packet."""
    return Frame(number, time.time(), 0, -1, 0.0, 0.0, None, 0.0).pack(160)


def test_only_the_address_that_is_called_is_told() -> None:
    """Candidates at others are left out, and the default one is the one that stays."""
    kept, other = sdp.Candidate("203.0.113.10", 5000), sdp.Candidate("192.0.2.10", 5001)
    attributes = (("candidate", other.pack()), ("candidate", kept.pack()), ("mid", "0"))
    media = sdp.Media("audio", 5001, "UDP/TLS/RTP/SAVPF", ("0",), "192.0.2.10", attributes)
    said = sdp.pack(sdp.Session("0.0.0.0", 1, 1, (media,)))

    (one,) = sdp.parse(only_at("203.0.113.10", said.decode())).media
    assert (one.connection, one.port) == ("203.0.113.10", 5000)
    assert one.attributes == (("candidate", kept.pack()), ("mid", "0"))


def test_the_voice_speaks_every_20_milliseconds_and_says_what_it_heard() -> None:
    """In frames numbered from 0, as encoded sound of 160 bytes."""

    async def scene() -> list[tuple[int, Frame]]:
        voice = Voice()
        for number in (0, 1, 1, 5):
            voice.hear(frame(number))
        voice.hear(b"no frame")
        packets = [await voice.recv() for _ in range(4)]
        assert {packet.time_base for packet in packets} == {Fraction(1, 50)}
        assert {len(bytes(packet)) for packet in packets} == {160}
        return [(packet.pts, Frame.unpack(bytes(packet))) for packet in packets]

    said = asyncio.run(scene())
    assert [(pts, one.seq) for pts, one in said] == [(n, n) for n in range(4)]
    assert {(one.received, one.highest) for _, one in said} == {(3, 5)}
    gaps = [b.sent_at - a.sent_at for (_, a), (_, b) in pairwise(said)]
    assert all(gap > 0.01 for gap in gaps)


def test_every_packet_is_heard_and_handed_on() -> None:
    """Whatever aiortc makes of it afterwards."""
    handed: list[bytes] = []

    async def handle(packet: SimpleNamespace, arrival_time_ms: int) -> None:
        handed.append(packet.payload)

    async def scene() -> Frame:
        receiver, voice = SimpleNamespace(_handle_rtp_packet=handle), Voice()
        count_packets(receiver, voice)
        for number in range(3):
            packet = SimpleNamespace(payload=frame(number))
            await receiver._handle_rtp_packet(packet, arrival_time_ms=1)
        return Frame.unpack(bytes(await voice.recv()))

    assert asyncio.run(scene()).received == 3
    assert len(handed) == 3


def test_aiortc_still_hands_packets_to_what_is_wrapped() -> None:
    """The one thing here that is not aiortc's public interface."""
    assert callable(RTCRtpReceiver._handle_rtp_packet)
