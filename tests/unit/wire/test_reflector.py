"""Reflector packets, field by field against calls of a real engine through a reflector."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import reflector
from circumtest.wire.mtproto_transport import Framer, Framing
from circumtest.wire.reflector import Data, Hello, SelfInfo, TcpHello

DATA = Path(__file__).parents[2] / "data"
PORTS = range(596, 600)
TAG = bytes(range(16))


class Seen(NamedTuple):
    """A payload of a capture: who (the client's port), whether it comes down, the bytes."""

    client: int
    down: bool
    data: bytes


def payloads(file: str) -> Iterator[Seen]:
    """The UDP or TCP payloads of a capture, empty ones left out."""
    with (DATA / f"{file}.pcap").open("rb") as capture:
        for _, frame in dpkt.pcap.UniversalReader(capture):
            layer4 = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None)
            if isinstance(layer4, dpkt.udp.UDP | dpkt.tcp.TCP) and layer4.data:
                down = layer4.sport in PORTS
                yield Seen(layer4.dport if down else layer4.sport, down, bytes(layer4.data))


@pytest.mark.parametrize("file", ["tg_reflector_udp_setup", "tg_reflector_596", "tg_reflector_599"])
def test_every_packet_of_a_real_engine_is_read_and_written_to_the_byte(file: str) -> None:
    """Hellos, self infos and data of every size: parse, then pack, is what was there."""
    kinds = set()
    for seen in payloads(file):
        packet = reflector.parse(seen.data)
        kinds.add(type(packet))
        assert packet.pack() == seen.data
    assert kinds >= {Hello, SelfInfo}


def test_the_fields_of_the_first_packets_are_what_the_engine_meant() -> None:
    """Hello, self info, ICE check: tag, query, address, target and sender."""
    hello, _, info, _, check = (reflector.parse(seen.data) for seen in first(5))

    assert hello == Hello(bytes.fromhex("000f2813112fa7f133d64f080ebba896"), reflector.QUERY)
    assert isinstance(info, SelfInfo)
    assert info == SelfInfo(hello.tag, 0x6B04B953, "10.77.0.2", 50479)
    assert isinstance(check, Data)
    assert check.prefix == bytes.fromhex("010f2813112fa7f133d64f08")
    assert (check.target.hex(), check.sender.hex()) == ("0ebba896", "ac88485b")
    assert len(check.payload) == 96


def first(count: int) -> list[Seen]:
    """The first payloads of the engine's call over UDP."""
    return list(payloads("tg_reflector_udp_setup"))[:count]


def test_a_tcp_stream_of_a_real_engine_is_read_and_written_to_the_byte() -> None:
    """Each client's stream: preamble, hello of 20 bytes, then data."""
    streams: dict[int, bytes] = {}
    for seen in payloads("tg_reflector_tcp_setup"):
        if not seen.down:
            streams[seen.client] = streams.get(seen.client, b"") + seen.data
    assert len(streams) == 2
    for stream in streams.values():
        hello, *rest = Framer(Framing.INTERMEDIATE).feed(stream[len(reflector.PREAMBLE) :])
        again = reflector.PREAMBLE + reflector.frame(reflector.parse_tcp_hello(hello).pack())
        assert len(again) == 28
        assert len(rest) > 20
        for packet in rest:
            again += reflector.frame(reflector.parse_data(packet).pack())
        assert stream == again


def test_self_info_carries_ipv6_as_it_is() -> None:
    """Only IPv4 is mapped; the text form is the usual short one."""
    info = SelfInfo(TAG, 1, "2001:db8::5", 40000)

    assert reflector.parse(info.pack()) == info


@pytest.mark.parametrize("at", [16, 27, 28, 31])
def test_a_hello_with_another_fixed_byte_is_none(at: int) -> None:
    """The ones and the end of them are what makes it a hello."""
    data = bytearray(Hello(TAG).pack())
    data[at] ^= 0x10

    with pytest.raises(ValueError):
        reflector.parse(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        Data(TAG[:12], TAG[:4], TAG[4:8], b"abc").pack()[:-1] + b"x",  # padding is zeros
        Data(TAG[:12], TAG[:4], TAG[4:8], b"abc").pack() + bytes(4),
        Data(TAG[:12], TAG[:4], TAG[4:8], b"abcd").pack()[:-4],
        SelfInfo(TAG, 1, "192.0.2.1", 5).pack()[:60] + b"\xff\xff\xff\xff",  # a negative port
        SelfInfo(TAG, 1, "192.0.2.1", 5).pack()[:63],
        b"",
    ],
)
def test_what_does_not_fit_is_told(data: bytes) -> None:
    """Sizes, padding and ports are strict, so that a stray packet is not taken for ours."""
    with pytest.raises(ValueError):
        reflector.parse(data)


def test_tags_and_payloads_of_another_size_are_refused() -> None:
    """They would make packets that nobody understands."""
    with pytest.raises(ValueError):
        Hello(TAG[:15]).pack()
    with pytest.raises(ValueError):
        TcpHello(TAG + b"x").pack()
    with pytest.raises(ValueError):
        Data(TAG[:12], TAG[:4], TAG[:4], bytes(reflector.MAX_PAYLOAD + 1)).pack()


@given(
    st.binary(min_size=12, max_size=12),
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=4, max_size=4),
    st.binary(max_size=300),
)
def test_any_data_survives_the_wire(
    prefix: bytes, target: bytes, sender: bytes, payload: bytes
) -> None:
    """It is never taken for a hello, whatever its tags are."""
    data = Data(prefix, target, sender, payload)

    assert reflector.parse(data.pack()) == data
    assert len(data.pack()) % 4 == 0


@given(st.binary(max_size=80))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    """Bare, and behind a tag and the ones."""
    for parse in (reflector.parse, reflector.parse_tcp_hello, reflector.parse_data):
        for raw in (data, TAG + b"\xff" * 12 + data):
            try:
                parse(raw)
            except ValueError:
                continue
