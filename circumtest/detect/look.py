"""From the packets that passed an observer to how the tunnel looks.

It is nDPI's word, the heuristic for fully encrypted traffic, our own signatures, and what
fingerprinting starts from: sizes, times, the ClientHello.  Where nDPI is not installed that is what
the appearance says; nothing else fails for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from circumtest.appearance import FIRST, Appearance, Named, Other
from circumtest.censor.packet import Packet
from circumtest.censor.protocols import fully_encrypted
from circumtest.censor.sight import Sight
from circumtest.censor.signatures import SIGNATURES
from circumtest.detect.frames import FIN, RST, SYN, TCP, UDP, Flow, Frame, frame
from circumtest.detect.ndpi import engine, version
from circumtest.errors import EnvironmentUnfit
from circumtest.model import Address, Transport

_OVER = {UDP: "udp", TCP: "tcp"}
_TRANSPORTS = {UDP: Transport.UDP, TCP: Transport.TCP}
_TOP = 1 << 32


@dataclass(slots=True)
class _Stream:
    """A flow's packets; its client is who sent the first one."""

    client: Address
    server: Address
    frames: list[Frame] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(len(one.ip) for one in self.frames)


def look(raw: Iterable[tuple[float, bytes]]) -> Appearance | None:
    """How the flow with most bytes among these Ethernet frames looks; None where there is no flow.

    Frames come with their times in seconds, in order.  What is no packet of a flow is passed over.
    """
    frames = list(_frames(raw))
    streams: dict[Flow, _Stream] = {}
    for one in frames:
        stream = streams.setdefault(one.flow, _Stream(one.source, one.destination))
        stream.frames.append(one)
    if not streams:
        return None
    main = max(streams, key=lambda flow: streams[flow].bytes)
    asked, plain, heuristics = _asked(frames, list(streams))
    others = _others({flow: one for flow, one in streams.items() if flow != main}, plain)
    return _of(main, streams[main], asked, plain, heuristics, others)


def _frames(raw: Iterable[tuple[float, bytes]]) -> Iterable[Frame]:
    for at, data in raw:
        try:
            yield frame(at, data)
        except ValueError:
            continue


def _asked(
    frames: Sequence[Frame], flows: Sequence[Flow]
) -> tuple[str, dict[Flow, Named], dict[Flow, Named]]:
    """Who was asked, or why nobody was; what each flow is called without and with heuristics."""
    try:
        name = f"nDPI {version()}"
        found = []
        for more in (False, True):
            with engine(heuristics=more) as asked:
                for one in frames:
                    asked.see(one)
                found.append({flow: asked.named(flow) for flow in flows})
    except EnvironmentUnfit as unfit:
        return unfit.missing, {}, {}
    return name, found[0], found[1]


def _others(streams: Mapping[Flow, _Stream], plain: Mapping[Flow, Named]) -> tuple[Other, ...]:
    """The flows beside the tunnel's own, those that look alike together."""
    found: dict[tuple[str, str], list[int]] = {}
    for flow, stream in streams.items():
        label = plain[flow].label if plain else ""
        found.setdefault((_over(flow[0]), label), []).append(stream.bytes)
    return tuple(
        Other(over, len(sizes), sum(sizes), label) for (over, label), sizes in found.items()
    )


def _of(
    flow: Flow,
    stream: _Stream,
    asked: str,
    plain: dict[Flow, Named],
    heuristics: dict[Flow, Named],
    others: tuple[Other, ...],
) -> Appearance:
    transport = _TRANSPORTS.get(flow[0])
    packets = list(_packets(stream, transport)) if transport else []
    sight = Sight(stream.frames[0].at)
    matched: dict[str, None] = {}
    for packet in packets:
        sight.add(packet)
        for signature in SIGNATURES.values():
            if signature.name not in matched and signature.matches(packet, sight):
                matched[signature.name] = None
    opening = next((one.payload for one in packets if one.upwards and one.payload), b"")
    encrypted = fully_encrypted(opening) if opening and transport is Transport.TCP else None
    sizes, times = _pattern(stream)
    hello = sight.hello
    return Appearance(
        _over(flow[0]),
        stream.server.port,
        len(stream.frames),
        stream.bytes,
        asked,
        plain.get(flow),
        heuristics.get(flow),
        fully_encrypted=encrypted,
        set_bits=None if encrypted is None else _set_bits(opening),
        signatures=tuple(matched),
        sizes=sizes,
        times=times,
        name=hello.name if hello else "",
        ja4=hello.ja4 if hello else "",
        ech=bool(hello and hello.ech),
        others=others,
    )


def _over(protocol: int) -> str:
    return _OVER.get(protocol, f"ip {protocol}")


def _set_bits(payload: bytes) -> float:
    return round(int.from_bytes(payload).bit_count() / len(payload), 2)


def _packets(stream: _Stream, transport: Transport) -> Iterable[Packet]:
    """As a censor is given them: with each segment's place in its direction of the stream."""
    begins: dict[bool, int] = {}
    for one in stream.frames:
        upwards = one.source == stream.client
        offset = 0
        if transport is Transport.TCP:
            begin = begins.setdefault(upwards, (one.seq + bool(one.flags & SYN)) % _TOP)
            offset = max(0, _ahead(one.seq, begin))
        last = bool(one.flags & (FIN | RST))
        yield Packet(transport, one.source, one.destination, one.payload, upwards, offset, last)


def _pattern(stream: _Stream) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Sizes and times of the first packets with a payload; a segment that comes again is none."""
    sizes: list[int] = []
    times: list[float] = []
    ends: dict[bool, int] = {}
    for one in stream.frames:
        upwards = one.source == stream.client
        if not one.payload:
            continue
        if one.protocol == TCP:
            end = (one.seq + len(one.payload)) % _TOP
            if upwards in ends and _ahead(end, ends[upwards]) <= 0:
                continue
            ends[upwards] = end
        sizes.append(len(one.payload) if upwards else -len(one.payload))
        times.append(round(one.at - stream.frames[0].at, 6))
        if len(sizes) == FIRST:
            break
    return tuple(sizes), tuple(times)


def _ahead(one: int, other: int) -> int:
    """How far a sequence number is beyond another, across the wrap (RFC 9293 section 3.4)."""
    return (one - other + _TOP // 2) % _TOP - _TOP // 2
