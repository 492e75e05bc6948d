"""Outsiders judge what we say is WhatsApp: a DPI, and packets that other code made.

A call and a messaging connection are played in the lab and captured where the censor stands.  nDPI
labels what was on the wire, and every packet is held to the captures field by field.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import dpkt
import pytest
from nfstream import NFStreamer

from circumtest.handshakes.echo import Echo
from circumtest.handshakes.stun_binding import StunBinding
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.handshakes.whatsapp_message import TEST_ROOT, WhatsappMessage
from circumtest.lab.capture import capture
from circumtest.lab.topology import CLIENT, lab
from circumtest.model import Level, Record, Success, Transport
from circumtest.play import play
from circumtest.script import Handshake
from circumtest.wire import noise, protobuf, rtp, stun, whatsapp

DATA = Path(__file__).parents[1] / "data"
TIMEOUT = 20.0


async def played(handshake: Handshake, file: Path, version: int) -> Record:
    """One trial in the lab, without a censor, captured where the censor would be."""
    async with asyncio.timeout(TIMEOUT), lab() as town:
        target = await town.serve(handshake, "whatsapp", version)
        async with capture(town.censor, "client", file):
            return await play(handshake.script(target, Random(4)), town.outside)


def record(handshake: Handshake, file: Path, version: int = 4) -> Record:
    """The same, on a loop of its own."""
    return asyncio.run(played(handshake, file, version))


def payloads(file: Path) -> Iterator[tuple[float, bool, bytes]]:
    """Seconds, whether it goes up, and what each UDP or TCP packet carries, if anything."""
    with file.open("rb") as pcap:
        for at, frame in dpkt.pcap.UniversalReader(pcap):
            layer4 = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None)
            if isinstance(layer4, dpkt.udp.UDP | dpkt.tcp.TCP) and layer4.data:
                yield at, layer4.sport > layer4.dport, bytes(layer4.data)


def shape(data: bytes, up: bool) -> str:
    """What kind of packet it is, with every field that does not change from call to call."""
    if data[:1] == b"\x90":
        header, _ = rtp.unpack(data)
        return f"{up} rtp {header.payload_type} {header.profile:#x} {header.extension.hex()}"
    message = stun.unpack(data)
    fields = [f"{kind:#x}:{len(value)}" for kind, value in message.attributes]
    token = (message.get(whatsapp.TOKEN) or b"")[:2].hex()
    mapped = [v[:2].hex() for k, v in message.attributes if k in (0x16, 0x20)]
    sealed = data[-24:-20] == b"\0\x08\0\x14"
    return f"{up} {message.type:#x} {len(data)} {fields} {token} {mapped} {sealed}"


def shapes(file: Path) -> list[str]:
    """Every shape of a capture, once, in the order of its first coming."""
    return list(dict.fromkeys(shape(data, up) for _, up, data in payloads(file)))


def labels(file: Path) -> set[str]:
    """What nDPI says of each flow; the lab's own housekeeping (ICMPv6) is left out."""
    flows = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    return {flow.application_name for flow in flows if flow.protocol in (6, 17)}


def test_a_call_has_the_fields_of_the_captured_call(tmp_path: Path) -> None:
    """Allocates, answers, ping and pong; a whole call has re-allocates, media and an end more."""
    file = tmp_path / "call.pcap"
    outcome = record(WhatsappCall(), file)
    real, ours = shapes(DATA / "wa_alloc_2023.pcap"), shapes(file)
    stun_up = [data for _, up, data in payloads(file) if up and data[:1] != b"\x90"]

    assert outcome.outcome == Success()
    assert outcome.exit is not None
    assert outcome.exit.host == CLIENT[4]
    assert set(real) <= set(ours)
    more = [found for found in ours if found not in real]
    assert sorted(found.split()[1:3] for found in more) == [
        ["0x3", "272"],
        ["0x800", "220"],
        ["rtp", "120"],
        ["rtp", "120"],
    ]
    counts = [int.from_bytes(data[16:20]) for data in stun_up]
    assert counts == list(range(counts[0], counts[0] + len(counts)))


def test_the_allocates_leave_within_ten_milliseconds_and_media_every_twenty(tmp_path: Path) -> None:
    """On the wire, where the censor stands."""
    file = tmp_path / "call.pcap"
    assert record(WhatsappCall(), file).outcome == Success()
    up = [(at, data) for at, goes_up, data in payloads(file) if goes_up]
    allocates = [at for at, data in up if len(data) == 212]
    media = [at for at, data in up if data[:1] == b"\x90"]

    assert len(allocates) == 10
    assert allocates[-1] - allocates[0] < 0.01
    assert len(media) > 70
    assert (media[-1] - media[0]) / (len(media) - 1) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("version", [4, 6])
def test_ndpi_takes_every_flow_of_a_call_for_whatsapps(tmp_path: Path, version: int) -> None:
    """To whichever relay, over either IP."""
    file = tmp_path / "call.pcap"
    outcome = record(WhatsappCall(), file, version)

    assert outcome.outcome == Success()
    assert {label.rpartition(".")[2] for label in labels(file)} == {"WhatsAppCall"}


@pytest.mark.parametrize(
    ("form", "example"), [("plain", "wa_noise_xx_443.pcap"), ("ed", "wa_noise_ED_xx_443.pcap")]
)
@pytest.mark.parametrize("version", [4, 6])
def test_messaging_begins_with_the_captured_bytes(
    tmp_path: Path, form: str, example: str, version: int
) -> None:
    """All but the ephemeral key; the answer has the captured fields."""
    file = tmp_path / "message.pcap"
    handshake = WhatsappMessage(form, root=TEST_ROOT)  # type: ignore[arg-type]
    assert record(handshake, file, version).outcome == Success()
    (_, _, asked), (_, _, answered) = payloads(file)
    (_, _, real_asked), (_, _, real_answered) = payloads(DATA / example)

    assert asked[:-32] == real_asked[:-32]
    assert len(asked) == len(real_asked) == handshake.opening
    ours, theirs = (
        protobuf.unpack(protobuf.data(protobuf.unpack(data[3:]), 3))
        for data in (answered, real_answered)
    )
    assert list(ours) == list(theirs) == [1, 2, 3]
    for field in (1, 2):
        assert len(protobuf.data(ours, field)) == len(protobuf.data(theirs, field))
    assert noise.frame_length(answered[:3]) == len(answered) - 3


def test_ndpi_knows_whatsapp_behind_edge_routing(tmp_path: Path) -> None:
    """And takes the plain form for what the port suggests: a fact about nDPI, not about us."""
    for form, expected in (("ed", "WhatsApp"), ("plain", "TLS")):
        file = tmp_path / f"{form}.pcap"
        handshake = WhatsappMessage(form, root=TEST_ROOT)  # type: ignore[arg-type]
        assert record(handshake, file).outcome == Success()
        assert labels(file) == {expected}


@pytest.mark.parametrize(
    "control", [Echo(), Echo(size=212, port=3478), Echo(Transport.TCP, 443, 43)]
)
def test_ndpi_recognises_nothing_in_the_neutral_control(tmp_path: Path, control: Echo) -> None:
    """But a port: no signature fits."""
    file = tmp_path / "echo.pcap"
    outcome = record(control, file)

    assert outcome.outcome == Success()
    assert not any("WhatsApp" in label for label in labels(file))


def test_ndpi_takes_the_binding_for_plain_stun(tmp_path: Path) -> None:
    """And for no application's call."""
    file = tmp_path / "stun.pcap"

    assert record(StunBinding(), file).outcome == Success()
    assert labels(file) == {"STUN"}


def test_a_deep_enough_call_reports_what_real_sockets_lost(tmp_path: Path) -> None:
    """Nothing, on a machine that is not overloaded; jitter and round trip are those of a lab."""
    outcome = record(WhatsappCall(level=Level.QUICK), tmp_path / "call.pcap")
    (media,) = outcome.media

    assert outcome.outcome == Success()
    for direction in (media.up, media.down):
        assert direction.lost is not None
        assert direction.lost <= 2
        assert direction.rtt is not None
        assert direction.rtt < 0.1
