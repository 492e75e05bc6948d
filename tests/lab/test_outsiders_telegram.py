"""Outsiders judge what we say is Telegram: its own library in Python, a DPI, a real engine's calls.

Telethon talks to our answerer, nDPI labels what a call leaves on the wire in the lab, and the
packets captured at the censor are held to those of two real engines, field by field.
"""

import asyncio
import logging
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import dpkt
import pytest
from nfstream import NFStreamer
from telethon.network import (
    ConnectionTcpAbridged,
    ConnectionTcpFull,
    ConnectionTcpIntermediate,
    ConnectionTcpObfuscated,
    MTProtoPlainSender,
)
from telethon.network.authenticator import do_authentication

from circumtest.handshakes.telegram_call_tcp import TelegramCallTcp
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.handshakes.telegram_message import DataCentre, TelegramMessage
from circumtest.lab.capture import capture
from circumtest.lab.services import Services
from circumtest.lab.topology import CLIENT, lab
from circumtest.model import Address, Level, Record, Success, Transport
from circumtest.netns import Netns
from circumtest.play import play
from circumtest.script import Emit, Flow, Handshake
from circumtest.wire import mtproto, reflector, stun
from circumtest.wire.mtproto_transport import Acceptor, Framer, Framing
from circumtest.wire.reflector import Data, Hello, SelfInfo

DATA = Path(__file__).parents[1] / "data"
SERVER = Address("127.0.0.1", 443)
TIMEOUT = 20.0


# ------------------------------------------------------------------ Telethon


class Witness(DataCentre):
    """Our answerer, which writes down what came in and hangs up at the key exchange."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = Acceptor()
        self.bodies: list[bytes] = []

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for payload in self._stream.feed(data):
            self.bodies.append(mtproto.parse_message(payload).body)
        yield from super().receive(flow, data, now)
        if len(self.bodies) == 2:
            yield Emit(flow, b"", close=True)


async def authenticate(connection: type[Any]) -> None:
    """Telethon's own first steps, until the server hangs up."""
    loggers: dict[str, logging.Logger] = defaultdict(lambda: logging.getLogger("telethon"))
    link = connection(*SERVER, 2, loggers=loggers)
    await link.connect(timeout=TIMEOUT)
    try:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await do_authentication(MTProtoPlainSender(link, loggers=loggers))
    finally:
        await link.disconnect()


async def overheard(connection: type[Any]) -> list[bytes]:
    """The bodies of the messages that Telethon sends our answerer over that connection."""
    witness = Witness()
    async with asyncio.timeout(TIMEOUT), Netns.new("telethon") as netns:
        with Services(netns) as services:
            services.add(Transport.TCP, (SERVER,), witness)
            await netns.acall(asyncio.run, authenticate(connection))
    return witness.bodies


@pytest.mark.parametrize(
    "connection",
    [
        ConnectionTcpAbridged,
        ConnectionTcpFull,
        ConnectionTcpIntermediate,
        ConnectionTcpObfuscated,
    ],
)
def test_telethon_accepts_our_answer_and_begins_the_key_exchange(connection: type[Any]) -> None:
    """req_DH_params with its nonce, the factors of our product and a fingerprint of ours."""
    asked, further = asyncio.run(overheard(connection))
    nonce = mtproto.parse_req_pq_multi(asked)

    assert mtproto.constructor(further) == mtproto.REQ_DH_PARAMS
    assert further[4:20] == nonce
    p, q = (int.from_bytes(further[at : at + 4], "big") for at in (37, 45))
    assert p * q == 0x17ED48941A08F981
    (fingerprint,) = struct.unpack_from("<Q", further, 52)
    assert fingerprint in mtproto.FINGERPRINTS


# ------------------------------------------------------------------ packets of the lab


async def played(handshake: Handshake, file: Path, version: int) -> Record:
    """One trial in the lab, without a censor, captured where the censor would be."""
    async with asyncio.timeout(TIMEOUT), lab() as town:
        target = await town.serve(handshake, "telegram", version)
        async with capture(town.censor, "client", file):
            return await play(handshake.script(target, Random(4)), town.outside)


def record(handshake: Handshake, file: Path, version: int = 4) -> Record:
    """The same, on a loop of its own."""
    return asyncio.run(played(handshake, file, version))


def payloads(file: Path) -> Iterator[tuple[int, bool, bytes]]:
    """Client's port, whether it goes up, and what a UDP or TCP packet carries, if anything."""
    with file.open("rb") as pcap:
        for _, frame in dpkt.pcap.UniversalReader(pcap):
            layer4 = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None)
            if isinstance(layer4, dpkt.udp.UDP | dpkt.tcp.TCP) and layer4.data:
                up = layer4.sport > layer4.dport
                yield layer4.sport if up else layer4.dport, up, bytes(layer4.data)


def shape(data: bytes) -> str:
    """What kind of packet it is, with every field that does not change from call to call."""
    packet = reflector.parse(data)
    match packet:
        case Hello(tag, query):
            return f"hello {tag[0]} {query} {data[16:32].hex()}"
        case SelfInfo(tag, _, host, _, query):
            return f"info {tag[0]} {query} {data[16:32].hex()} {'.' in host}"
        case Data(prefix, _, _, payload) if payload[4:8] == b"\x21\x12\xa4\x42":
            message = stun.unpack(payload)
            kinds = [hex(kind) for kind, _ in message.attributes]
            return f"stun {prefix[0]} {message.type} {kinds} {len(data)} {data[20:24].hex()}"
        case Data(prefix, _, _, payload) if payload[:2] == b"\x90\x6f":
            extensions = (payload[12:17] + payload[20:21] + payload[23:24]).hex()
            return f"rtp {prefix[0]} {extensions}"
    return "other"


def shapes(file: Path, *, unframe: bool = False) -> set[str]:
    """Every shape of a capture, the direction with it; on TCP, of each stream put together."""
    streams: dict[tuple[int, bool], bytes] = defaultdict(bytes)
    found = set()
    for client, up, data in payloads(file):
        streams[client, up] += data
        if not unframe:
            found.add(f"{up} {shape(data)}")
    for (_, up), stream in streams.items() if unframe else ():
        for packet in unframed(stream, up):
            kind = f"hello {packet[0]}" if len(packet) == 20 else shape(packet)
            found.add(f"{up} {kind}")
    return {kind for kind in found if not kind.endswith("other")}


def unframed(stream: bytes, up: bool) -> list[bytes]:
    """The packets of one direction of a TCP call."""
    assert stream.startswith(reflector.PREAMBLE) is up
    return Framer(Framing.INTERMEDIATE).feed(stream[4:] if up else stream)


def labels(file: Path) -> set[str]:
    """What nDPI says of each flow; the lab's own housekeeping (ICMPv6) is left out."""
    flows = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    return {flow.application_name for flow in flows if flow.protocol in (6, 17)}


def test_a_call_over_udp_has_the_fields_of_a_real_engines_call(tmp_path: Path) -> None:
    """Hellos, self infos, checks, answers and sound, both ways, both roles: nothing more."""
    file = tmp_path / "call.pcap"
    outcome = record(TelegramCallUdp(level=Level.QUICK), file)
    real = shapes(DATA / "tg_reflector_udp_setup.pcap")
    ours = shapes(file)

    assert outcome.outcome == Success()
    assert outcome.exit is not None
    assert outcome.exit.host == CLIENT[4]
    assert ours <= real
    for kind in ("hello", "info", "stun", "rtp"):
        for role in "01":
            assert any(f" {kind} {role}" in found for found in ours), (kind, role)


def test_a_call_over_tcp_has_the_fields_of_a_real_engines_call(tmp_path: Path) -> None:
    """The preamble and the hello of each peer, then the same payloads as over UDP."""
    file = tmp_path / "call.pcap"
    outcome = record(TelegramCallTcp(level=Level.QUICK), file)
    real = shapes(DATA / "tg_reflector_tcp_setup.pcap", unframe=True)
    ours = shapes(file, unframe=True)
    openings = [data for _, up, data in payloads(file) if up and data.startswith(b"\xee" * 4)]

    assert outcome.outcome == Success()
    assert [len(data) for data in openings] == [28, 28]
    assert ours <= real
    assert {found.split()[1] for found in ours} == {"hello", "stun", "rtp"}


@pytest.mark.parametrize("version", [4, 6])
def test_ndpi_takes_the_call_over_udp_for_telegram(tmp_path: Path, version: int) -> None:
    """Every flow of it, to whichever reflector, over either IP."""
    file = tmp_path / "call.pcap"
    outcome = record(TelegramCallUdp(level=Level.QUICK), file, version)

    assert outcome.outcome == Success()
    assert {label.rpartition(".")[2] for label in labels(file)} <= {"Telegram", "TelegramVoip"}
    assert labels(file)


@pytest.mark.parametrize("transport", ["obfuscated2", "abridged", "intermediate", "padded"])
@pytest.mark.parametrize("version", [4, 6])
def test_messaging_works_in_the_lab(tmp_path: Path, transport: str, version: int) -> None:
    """Over real sockets; the first segment is the size that the neutral control copies."""
    file = tmp_path / "message.pcap"
    handshake = TelegramMessage(transport, level=Level.QUICK)  # type: ignore[arg-type]
    outcome = record(handshake, file, version)
    first = next(data for _, up, data in payloads(file) if up)

    assert outcome.outcome == Success()
    assert 0 <= len(first) - handshake.opening < (16 if transport == "padded" else 1)
