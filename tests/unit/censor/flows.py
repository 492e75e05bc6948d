"""Flows out of captures, as a censor sees them: packets with their direction and place."""

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import dpkt

from circumtest.censor.packet import Packet
from circumtest.censor.sight import Sight
from circumtest.censor.signatures import SIGNATURES
from circumtest.model import Address, Transport

DATA = Path(__file__).parents[2] / "data"
CLIENT, SERVER = Address("192.0.2.2", 40000), Address("203.0.113.10", 443)


def flows(file: str) -> list[list[Packet]]:
    """The flows of a capture; whoever sends first in one, but for a SYN and ACK, is its client."""
    found: dict[tuple[object, ...], _Flow] = {}
    with (DATA / f"{file}.pcap").open("rb") as capture:
        for _, frame in dpkt.pcap.UniversalReader(capture):
            ip = dpkt.ethernet.Ethernet(frame).data
            layer4 = getattr(ip, "data", None)
            if not isinstance(layer4, dpkt.udp.UDP | dpkt.tcp.TCP):
                continue
            source, destination = (
                Address(str(ipaddress.ip_address(host)), port)
                for host, port in ((ip.src, layer4.sport), (ip.dst, layer4.dport))
            )
            key = (type(layer4), *sorted((source, destination)))
            found.setdefault(key, _Flow()).add(source, destination, layer4)
    return [flow.packets for flow in found.values()]


class _Flow:
    """One flow while it is read."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._client: Address | None = None
        self._begins: dict[Address, int] = {}

    def add(
        self, source: Address, destination: Address, layer4: dpkt.udp.UDP | dpkt.tcp.TCP
    ) -> None:
        """Place one more packet."""
        transport, offset, answers = Transport.UDP, 0, False
        if isinstance(layer4, dpkt.tcp.TCP):
            opens = bool(layer4.flags & dpkt.tcp.TH_SYN)
            transport, answers = Transport.TCP, opens and bool(layer4.flags & dpkt.tcp.TH_ACK)
            begin = self._begins.setdefault(source, layer4.seq + opens)
            offset = 0 if opens else layer4.seq - begin & 0xFFFFFFFF
        if self._client is None:
            self._client = destination if answers else source
        up = source == self._client
        packet = Packet(transport, source, destination, bytes(layer4.data), up, offset)
        self.packets.append(packet)


class Down(bytes):
    """A payload that the server sends."""


def sent(transport: Transport, *payloads: bytes, port: int = 443) -> list[Packet]:
    """A flow of packets from the client, but for those that are `Down`."""
    ends = {True: 0, False: 0}
    made = []
    server = Address(SERVER.host, port)
    for payload in payloads:
        up, data = not isinstance(payload, Down), bytes(payload)
        source, destination = (CLIENT, server) if up else (server, CLIENT)
        offset = ends[up] if transport is Transport.TCP else 0
        made.append(Packet(transport, source, destination, data, up, offset))
        ends[up] += len(data)
    return made


def sights(packets: Iterable[Packet]) -> Iterator[tuple[Packet, Sight]]:
    """Each packet, and what has been seen of its flow with it."""
    sight = Sight(0.0)
    for packet in packets:
        sight.add(packet)
        yield packet, sight


def recognised(packets: Iterable[Packet]) -> Counter[str]:
    """How many packets of a flow each signature matches."""
    return Counter(
        name
        for packet, sight in sights(packets)
        for name, signature in SIGNATURES.items()
        if signature.matches(packet, sight)
    )
