"""The flows of a capture: who talks to whom, and what each side says, in order.

A flow's client is who sent the first SYN, or the first packet where there is none.  Over TCP both
directions are put together again: what was sent twice is kept once, and where something is missing
the flow ends.  It refuses to know protocols.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from circumtest.model import Address, Transport
from circumtest.recording import MAX_FRAME
from circumtest.recording.capture import ACK, RST, SYN, Packet

MAX_FLOWS = 4096
MAX_HELD = 256
"""Segments that came before their turn and are kept, in one direction."""
MAX_BYTES = 32 << 20
"""Bytes of payload that one flow keeps."""
_TOP = 1 << 32


@dataclass(frozen=True, slots=True)
class Said:
    """What one side sent, as one datagram or segment; `at` is seconds since the Unix epoch."""

    at: float
    client: bool
    data: bytes


@dataclass(slots=True)
class Flow:
    """One flow.  `troubles` counts what is missing in it, and why, in words."""

    transport: Transport
    client: Address
    server: Address
    begins: float
    ends: float
    packets: int = 0
    bytes: int = 0
    said: list[Said] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    _ways: "dict[bool, _Way]" = field(default_factory=dict)

    def take(self, packet: Packet) -> None:
        """One more packet of it."""
        self.ends = packet.at
        self.packets += 1
        self.bytes += len(packet.payload)
        client = packet.source == self.client
        if self.bytes > MAX_BYTES:
            self.troubles["beyond what is kept of one flow"] += 1
        elif packet.transport is Transport.UDP:
            if packet.payload:
                self.said.append(Said(packet.at, client, packet.payload))
        else:
            way = self._ways.setdefault(client, _Way())
            for data in way.take(packet, self.troubles):
                pieces = range(0, len(data), MAX_FRAME)
                self.said += [Said(packet.at, client, data[i : i + MAX_FRAME]) for i in pieces]

    def finish(self) -> None:
        """The capture is over: what a stream lacks will not come any more."""
        for way in self._ways.values():
            if way.held:
                self.troubles["bytes of the stream are missing: it ends there"] += 1


@dataclass(slots=True)
class _Way:
    """One direction of a stream, put together again."""

    next: int | None = None
    held: dict[int, bytes] = field(default_factory=dict)

    def take(self, packet: Packet, troubles: Counter[str]) -> Iterable[bytes]:
        """The bytes that are complete now, one item a segment."""
        if packet.flags & SYN:
            self.next = (packet.seq + 1) % _TOP
            return
        if packet.flags & RST or not packet.payload:
            return
        if self.next is None:
            troubles["the beginning of the stream is missing"] += 1
            self.next = packet.seq
        if (fresh := self._fresh(packet.seq, packet.payload)) is None:
            if len(self.held) < MAX_HELD:
                self.held.setdefault(packet.seq, packet.payload)
            return
        while fresh:
            yield fresh
            self.next = (self.next + len(fresh)) % _TOP
            fresh = self._waiting()

    def _fresh(self, seq: int, data: bytes) -> bytes | None:
        """What of a segment is new: b"" for what came before, None for what has to wait."""
        assert self.next is not None
        ahead = (seq - self.next) % _TOP
        if ahead == 0:
            return data
        return data[_TOP - ahead :] if ahead > _TOP // 2 else None

    def _waiting(self) -> bytes:
        for seq in sorted(self.held):
            fresh = self._fresh(seq, self.held[seq])
            if fresh is not None:
                del self.held[seq]
                if fresh:
                    return fresh
        return b""


def flows(packets: Iterable[Packet], left_out: Counter[str]) -> list[Flow]:
    """The flows in the order of their beginning; `left_out` counts what none of them took."""
    found: list[Flow] = []
    current: dict[tuple[Transport, frozenset[Address]], Flow] = {}
    for packet in packets:
        key = (packet.transport, frozenset((packet.source, packet.destination)))
        flow = current.get(key)
        begins = packet.flags & (SYN | ACK) == SYN
        if flow is None or (begins and flow.said):
            if len(found) >= MAX_FLOWS:
                left_out["beyond the first flows"] += 1
                continue
            # An answer to a SYN that the capture has not is the server's.
            turned = packet.flags & (SYN | ACK) == SYN | ACK
            ways = (
                (packet.destination, packet.source)
                if turned
                else (
                    packet.source,
                    packet.destination,
                )
            )
            flow = current[key] = Flow(packet.transport, *ways, packet.at, packet.at)
            found.append(flow)
        flow.take(packet)
    for flow in found:
        flow.finish()
    return found
