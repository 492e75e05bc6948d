"""Outsiders judge what we say is WebRTC: a DPI, and packets that real engines made."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import dpkt
import pytest
from nfstream import NFStreamer

from circumtest.handshakes.meet_call import MeetCall
from circumtest.handshakes.webrtc import Webrtc
from circumtest.lab.capture import capture
from circumtest.lab.far.aiortc import Aiortc
from circumtest.lab.topology import lab
from circumtest.model import Record, Success
from circumtest.play import play
from circumtest.script import Handshake
from circumtest.wire import stun

DATA = Path(__file__).parents[1] / "data"
TIMEOUT = 60.0


def record(handshake: Handshake, file: Path, version: int = 4) -> Record:
    """One trial in the lab, captured where the censor would be, with the real far end if any."""

    async def played() -> Record:
        async with asyncio.timeout(TIMEOUT), lab() as town, AsyncExitStack() as stack:
            if handshake.far:
                target = await town.place(handshake, "call", version)
                await stack.enter_async_context(Aiortc().serve(town, handshake, target))
            else:
                target = await town.serve(handshake, "call", version)
            async with capture(town.censor, "client", file):
                return await play(handshake.script(target, Random(4)), town.outside)

    return asyncio.run(played())


def datagrams(file: Path) -> Iterator[tuple[bool, int, bytes]]:
    """Whether it goes up, the far port, and what it carries, of every UDP packet."""
    with file.open("rb") as pcap:
        for _, frame in dpkt.pcap.UniversalReader(pcap):
            ip = dpkt.ethernet.Ethernet(frame).data
            if isinstance(udp := getattr(ip, "data", None), dpkt.udp.UDP):
                up = ip.src in (b"\xc0\x00\x02\x02", b"\x20\x01\x0d\xb8\0\2" + bytes(9) + b"\2")
                yield up, udp.dport if up else udp.sport, bytes(udp.data)


def labels(file: Path) -> set[tuple[int, str]]:
    """What nDPI says of each flow over UDP."""
    flows = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    return {(flow.dst_port, flow.application_name) for flow in flows if flow.protocol == 17}


def shape(data: bytes) -> list[tuple[int, int]]:
    """The attributes of a STUN message and their sizes, in order."""
    return [(kind, len(value)) for kind, value in stun.unpack(data).attributes]


def captured(name: str) -> list[bytes]:
    """The payloads of a capture that a real engine made."""
    return [data for _, _, data in datagrams(DATA / name)]


@pytest.mark.parametrize("version", [4, 6])
def test_a_call_to_a_real_peer_is_dtls_and_srtp_to_a_dpi(tmp_path: Path, version: int) -> None:
    """One flow over UDP."""
    file = tmp_path / "call.pcap"

    assert record(Webrtc(), file, version).outcome == Success()
    assert {label for _, label in labels(file)} == {"DTLS.SRTP"}


@pytest.mark.parametrize("version", [4, 6])
def test_meets_call_is_stun_and_then_dtls_and_srtp_to_a_dpi(tmp_path: Path, version: int) -> None:
    """The binding at its own port, the call at the relay's."""
    file = tmp_path / "call.pcap"

    assert record(MeetCall(), file, version).outcome == Success()
    assert labels(file) == {(19302, "STUN"), (19305, "DTLS.SRTP")}


def test_meets_set_up_has_the_sizes_that_were_captured(tmp_path: Path) -> None:
    """20 and 32, 124 and 64 with a real check's attributes; the hello with the first answer."""
    file = tmp_path / "call.pcap"
    assert record(MeetCall(), file).outcome == Success()
    seen = list(datagrams(file))

    assert [(up, port, len(data)) for up, port, data in seen[:4]] == [
        (True, 19302, 20),
        (False, 19302, 32),
        (True, 19305, 124),
        (False, 19305, 64),
    ]
    assert shape(seen[2][2]) == [(6, 31), (0xC057, 4), (0x802A, 8), (0x24, 4), (0xC059, 2)]
    assert seen[4][0]
    assert seen[4][2][:3] == b"\x16\xfe\xff"


def test_the_openssl_hello_is_as_large_as_aiortcs_own(tmp_path: Path) -> None:
    """Both come from OpenSSL, and so do the answers of the far end."""
    file = tmp_path / "call.pcap"
    assert record(Webrtc(), file).outcome == Success()
    hellos = [
        [data for data in all_ if data[:1] == b"\x16" and data[13] == 1]
        for all_ in ([data for _, _, data in datagrams(file)], captured("aiortc_p2p.pcap"))
    ]

    assert len(hellos[0][0]) == len(hellos[1][0]) == 169
    answers = [data for up, _, data in datagrams(file) if not up and data[:2] == b"\x01\x01"]
    theirs = [data for data in captured("aiortc_p2p.pcap") if data[:2] == b"\x01\x01"]
    assert shape(answers[0]) == shape(theirs[0])
