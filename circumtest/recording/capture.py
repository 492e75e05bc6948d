"""What is in a capture's file: the UDP and TCP packets, in order, and what could not be used.

pcap and pcapng are taken apart by dpkt; links, IPv4, IPv6, UDP and TCP here, strictly, so that a
packet that was cut or is a fragment is counted and never mistaken for a whole one.  It refuses to
know what the packets say.
"""

import io
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.model import Address, Transport

MAX_FILE = 128 << 20
"""Bytes of a capture that are read."""
MAX_PACKETS = 500_000
SYN, ACK, FIN, RST = 0x02, 0x10, 0x01, 0x04

_ETHERNET, _NULL, _LOOP, _SLL, _SLL2 = 1, 0, 108, 113, 276
_RAW = (12, 14, 101, 228, 229)
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS = (0x8100, 0x88A8, 0x9100)
_UDP, _TCP = 17, 6
_EXTENSIONS = (0, 43, 60, 135, 139, 140)
_FRAGMENT, _AUTHENTICATION = 44, 51
_OPAQUE = {50: "IPsec", 51: "IPsec", 47: "GRE", 4: "IP in IP", 41: "IPv6 in IP"}


class _Unusable(Exception):  # never leaves this file
    """A packet that is none of ours to use; the reason, in words."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A whole UDP datagram or TCP segment; `flags` and `seq` are TCP's."""

    at: float
    transport: Transport
    source: Address
    destination: Address
    payload: bytes
    flags: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Capture:
    """The packets, and how many were left out for which reason."""

    packets: tuple[Packet, ...]
    left_out: Counter[str]


def open_capture(file: Path) -> Capture:
    """Read a file.  Raises ConfigError for what is no capture, EnvironmentUnfit without dpkt."""
    try:
        if file.stat().st_size > MAX_FILE:
            problem = f"is larger than {MAX_FILE >> 20} MiB"
            raise ConfigError(
                str(file), "", problem, "cut the call out of it: tcpdump -r ... -w ..."
            )
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read: {error.strerror}") from None
    try:
        return read(data)
    except ValueError as error:
        raise ConfigError(str(file), "", str(error)) from None


def read(data: bytes) -> Capture:
    """The packets of a pcap or pcapng file.  Raises ValueError for what is neither."""
    if not data:
        raise ValueError("is empty")
    packets: list[Packet] = []
    left_out: Counter[str] = Counter()
    for at, link, raw in _records(data, left_out):
        if len(packets) >= MAX_PACKETS:
            left_out["beyond the first packets"] += 1
            continue
        try:
            packets.append(_packet(at, link, raw))
        except _Unusable as reason:
            left_out[str(reason)] += 1
    return Capture(tuple(packets), left_out)


def _records(data: bytes, left_out: Counter[str]) -> Iterator[tuple[float, int, bytes]]:
    """Seconds, link type and bytes of each packet, up to where the file breaks off."""
    try:
        import dpkt
    except ImportError:
        raise EnvironmentUnfit(
            "dpkt, which reads captures, is missing", "pip install 'circumtest[capture]'"
        ) from None

    garbage = (dpkt.dpkt.Error, ValueError, struct.error, IndexError, OverflowError, TypeError)
    try:
        reader = dpkt.pcap.UniversalReader(io.BytesIO(data))
        link = int(reader.datalink())
    except garbage:
        raise ValueError("is no capture: neither pcap nor pcapng") from None
    known = (_ETHERNET, _NULL, _LOOP, _SLL, _SLL2, *_RAW)
    if link not in known:
        raise ValueError(f"has packets of link type {link}, which is not known here")
    records = iter(reader)
    while True:
        try:
            at, raw = next(records)
            yield float(at), link, bytes(raw)
        except StopIteration:
            return
        except garbage:
            left_out["the file ends in the middle of a packet"] += 1
            return


# ------------------------------------------------------------------ layers


def _packet(at: float, link: int, raw: bytes) -> Packet:
    kind, data = _unlink(link, raw)
    try:
        if kind == _IPV4:
            return _ipv4(at, data)
        if kind == _IPV6:
            return _ipv6(at, data)
    except (struct.error, IndexError):
        raise _Unusable("cut short when it was captured") from None
    raise _Unusable("neither IPv4 nor IPv6")


def _unlink(link: int, raw: bytes) -> tuple[int, bytes]:
    """The EtherType and what it announces."""
    try:
        if link == _ETHERNET:
            kind, at = int.from_bytes(raw[12:14]), 14
            while kind in _VLANS:
                kind, at = int.from_bytes(raw[at + 2 : at + 4]), at + 4
            return kind, raw[at:]
        if link == _SLL:
            return int.from_bytes(raw[14:16]), raw[16:]
        if link == _SLL2:
            return int.from_bytes(raw[:2]), raw[20:]
        data = raw[4:] if link in (_NULL, _LOOP) else raw
        return {4: _IPV4, 6: _IPV6}.get(data[0] >> 4, 0), data
    except IndexError:
        raise _Unusable("cut short when it was captured") from None


def _ipv4(at: float, data: bytes) -> Packet:
    length, fragment, protocol = struct.unpack_from("!HxxHxB", data, 2)
    start = (data[0] & 15) * 4
    # Offload leaves a length of 0 where the card would have filled it in.
    end = length or len(data)
    if data[0] >> 4 != 4 or start < 20 or end < start:
        raise _Unusable("neither IPv4 nor IPv6")
    if fragment & 0x3FFF:
        raise _Unusable("a fragment of an IP packet")
    if end > len(data):
        raise _Unusable("cut short when it was captured")
    hosts = (str(ip_address(data[12:16])), str(ip_address(data[16:20])))
    return _transport(at, protocol, hosts, data[start:end])


def _ipv6(at: float, data: bytes) -> Packet:
    length, protocol = struct.unpack_from("!HB", data, 4)
    end = 40 + length if length else len(data)
    if data[0] >> 4 != 6 or len(data) < 40:
        raise _Unusable("neither IPv4 nor IPv6")
    if end > len(data):
        raise _Unusable("cut short when it was captured")
    start = 40
    while protocol in _EXTENSIONS:
        protocol, start = data[start], start + 8 + data[start + 1] * 8
    if protocol == _FRAGMENT:
        raise _Unusable("a fragment of an IP packet")
    hosts = (str(ip_address(data[8:24])), str(ip_address(data[24:40])))
    return _transport(at, protocol, hosts, data[start:end])


def _transport(at: float, protocol: int, hosts: tuple[str, str], data: bytes) -> Packet:
    if protocol not in (_UDP, _TCP):
        raise _Unusable(_OPAQUE.get(protocol, "neither UDP nor TCP"))
    ports = struct.unpack_from("!HH", data)
    source, destination = (Address(*end) for end in zip(hosts, ports, strict=True))
    if protocol == _UDP:
        length = int.from_bytes(data[4:6])
        if length and not 8 <= length <= len(data):
            raise _Unusable("cut short when it was captured")
        payload = data[8 : length or len(data)]
        return Packet(at, Transport.UDP, source, destination, payload)
    seq, offset, flags = struct.unpack_from("!I4xBB", data, 4)
    start = (offset >> 4) * 4
    if not 20 <= start <= len(data):
        raise _Unusable("cut short when it was captured")
    return Packet(at, Transport.TCP, source, destination, data[start:], flags, seq)
