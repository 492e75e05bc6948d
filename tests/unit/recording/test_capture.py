"""What is read of a capture's file: every link type, strictly, and garbage without an exception."""

import contextlib
import io
import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.model import Address, Transport
from circumtest.recording.capture import SYN, open_capture, read

DATA = Path(__file__).parents[2] / "data"
HERE, THERE = ("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")
ETHERNET, NULL, SLL, RAW, SLL2 = 1, 0, 113, 101, 276


def udp(payload: bytes = b"hello", length: int | None = None) -> bytes:
    """A UDP datagram from port 1000 to 2000."""
    size = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", 1000, 2000, size, 0) + payload


def tcp(payload: bytes, seq: int = 7, flags: int = 0x10) -> bytes:
    """A TCP segment with a time stamp among its options."""
    head = struct.pack("!HHIIBBHHH", 1000, 2000, seq, 0, 8 << 4, flags, 100, 0, 0)
    return head + bytes(12) + payload


def ipv4(data: bytes, protocol: int = 17, fragment: int = 0, options: int = 0) -> bytes:
    """An IPv4 packet."""
    size = 20 + options + len(data)
    head = struct.pack("!BBHHHBBH", 0x45 + options // 4, 0, size, 1, fragment, 64, protocol, 0)
    return head + b"".join(ip_address(a).packed for a in HERE) + bytes(options) + data


def ipv6(data: bytes, protocol: int = 17, extension: bool = False) -> bytes:
    """An IPv6 packet, perhaps with hop-by-hop options."""
    extra = bytes((protocol, 0, 1, 4, 0, 0, 0, 0)) if extension else b""
    head = struct.pack("!IHBB", 6 << 28, len(extra + data), 0 if extension else protocol, 64)
    return head + b"".join(ip_address(a).packed for a in THERE) + extra + data


def ethernet(packet: bytes, vlans: int = 0) -> bytes:
    """A frame around it, with tags."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return bytes(12) + b"\x81\x00\x00\x05" * vlans + kind + packet


def pcap(*frames: bytes, link: int = ETHERNET) -> bytes:
    """A file of them, a second apart."""
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out, linktype=link)
    for number, frame in enumerate(frames):
        writer.writepkt(frame, 100.0 + number)
    return out.getvalue()


def pcapng(*frames: bytes) -> bytes:
    """The same in the newer format."""
    out = io.BytesIO()
    writer = dpkt.pcapng.Writer(out)
    for number, frame in enumerate(frames):
        writer.writepkt(frame, 100.0 + number)
    return out.getvalue()


@pytest.mark.parametrize("wrap", [ipv4, ipv6])
@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (ETHERNET, ethernet),
        (ETHERNET, lambda packet: ethernet(packet, vlans=2)),
        (SLL, lambda packet: bytes(14) + ethernet(packet)[12:14] + packet),
        (SLL2, lambda packet: ethernet(packet)[12:14] + bytes(18) + packet),
        (RAW, lambda packet: packet),
        (NULL, lambda packet: struct.pack("<I", 2) + packet),
    ],
)
def test_every_link_type_carries_both_ips_and_both_transports(
    wrap: Callable[..., bytes], link: int, frame: Callable[[bytes], bytes]
) -> None:
    """Ethernet with and without VLANs, both Linux cooked ones, raw IP, loopback."""
    data = pcap(frame(wrap(udp())), frame(wrap(tcp(b"abc", 9, SYN), 6)), link=link)
    one, two = read(data).packets
    hosts = HERE if wrap is ipv4 else THERE

    assert (one.transport, one.payload, one.at) == (Transport.UDP, b"hello", 100.0)
    assert (one.source, one.destination) == (Address(hosts[0], 1000), Address(hosts[1], 2000))
    assert (two.transport, two.payload, two.seq, two.flags) == (Transport.TCP, b"abc", 9, SYN)


def test_the_newer_format_is_read_as_well() -> None:
    """With its times."""
    one, two = read(pcapng(ethernet(ipv4(udp())), ethernet(ipv6(udp(b"x"))))).packets

    assert (one.payload, two.payload) == (b"hello", b"x")
    assert two.at - one.at == pytest.approx(1.0)


def test_options_and_extensions_are_stepped_over() -> None:
    """Of IPv4 and IPv6."""
    frames = ethernet(ipv4(udp(), options=8)), ethernet(ipv6(udp(), extension=True))

    assert [one.payload for one in read(pcap(*frames)).packets] == [b"hello", b"hello"]


def test_padding_behind_a_packet_is_no_part_of_it() -> None:
    """Ethernet fills short frames up."""
    (one,) = read(pcap(ethernet(ipv4(udp(b"x"))) + bytes(18))).packets

    assert one.payload == b"x"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ethernet(ipv4(udp(), fragment=0x2000)), "a fragment"),
        (ethernet(ipv4(udp(), fragment=100)), "a fragment"),
        (ethernet(ipv6(udp(), protocol=44)), "a fragment"),
        (ethernet(ipv4(udp()))[:-2], "cut short"),
        (ethernet(ipv6(udp()))[:-2], "cut short"),
        (ethernet(ipv4(udp()))[:20], "cut short"),
        (ethernet(ipv4(udp(length=60))), "cut short"),
        (ethernet(ipv4(b"x" * 30, 50)), "IPsec"),
        (ethernet(ipv4(b"x" * 30, 1)), "neither UDP nor TCP"),
        (bytes(12) + b"\x08\x06" + bytes(30), "neither IPv4 nor IPv6"),
        (b"", "neither IPv4 nor IPv6"),
    ],
)
def test_what_cannot_be_used_is_counted_with_its_reason(frame: bytes, reason: str) -> None:
    """And never mistaken for a whole packet."""
    capture = read(pcap(frame))

    assert capture.packets == ()
    assert any(told.startswith(reason) for told in capture.left_out)


def test_a_file_that_breaks_off_gives_what_came_before() -> None:
    """In the packet's bytes or in its head."""
    whole = pcap(ethernet(ipv4(udp())), ethernet(ipv4(udp())))
    for cut in (2, 5, 50):
        capture = read(whole[:-cut])
        assert len(capture.packets) == 1
        assert sum(capture.left_out.values()) == 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"", "is empty"), (b"hello, world" * 9, "is no capture"), (pcap(link=147), "link type 147")],
)
def test_what_is_no_capture_is_told_in_one_line(tmp_path: Path, data: bytes, problem: str) -> None:
    """Empty, foreign, or of a link that nobody knows."""
    file = tmp_path / "call.pcap"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=problem) as caught:
        open_capture(file)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=r"nothing\.pcap: cannot be read"):
        open_capture(tmp_path / "nothing.pcap")


@given(data=st.binary(max_size=400))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    """ValueError and nothing else."""
    with contextlib.suppress(ValueError):
        read(data)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_capture_is_read_or_refused(data: st.DataObject) -> None:
    """Real files with bytes changed, in both formats."""
    packets = [ethernet(ipv4(udp())), ethernet(ipv6(tcp(b"abc"), 6)), ethernet(ipv4(tcp(b"d"), 6))]
    raw = bytearray(data.draw(st.sampled_from([pcap(*packets), pcapng(*packets)])))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        capture = read(bytes(raw))
    except ValueError:
        return
    assert len(capture.packets) <= 3


@given(raw=st.binary(max_size=120), link=st.sampled_from([0, 1, 12, 101, 108, 113, 228, 276]))
def test_garbage_in_a_packet_is_counted(raw: bytes, link: int) -> None:
    """Of any link type."""
    capture = read(pcap(raw, link=link))

    assert len(capture.packets) + sum(capture.left_out.values()) == 1
