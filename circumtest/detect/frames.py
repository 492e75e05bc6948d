"""An Ethernet frame as a packet of a flow: who sends it to whom, and what it carries.

Whatever carries a tunnel counts, not UDP and TCP alone.  It refuses what only keeps a network going
(ICMP, neighbours) and what begins in the middle of a packet.
"""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from circumtest.model import Address

TCP, UDP = 6, 17
SYN, FIN, RST = 0x02, 0x01, 0x04
_HOUSEKEEPING = (1, 2, 58)  # ICMP, IGMP, ICMPv6
_IPV4, _IPV6 = 0x0800, 0x86DD
_ETHERNET = 14
_HEADER = {4: 20, 6: 40}
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60

Flow = tuple[int, frozenset[Address]]
"""What the packets of one flow have in common: the protocol's number and both ends."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet: `ip` is all of it, `payload` what UDP or TCP (or `protocol` itself) carries.

    `at` is in seconds; ports are 0 where the protocol has none, `flags` and `seq` are TCP's.
    """

    at: float
    protocol: int
    source: Address
    destination: Address
    ip: bytes
    payload: bytes
    flags: int = 0
    seq: int = 0

    @property
    def flow(self) -> Flow:
        return self.protocol, frozenset((self.source, self.destination))


def frame(at: float, raw: bytes) -> Frame:
    """Take an Ethernet frame apart.  Raises ValueError for what is no packet of a flow."""
    try:
        kind = int.from_bytes(raw[12:_ETHERNET])
        data = raw[_ETHERNET:]
        if kind == _IPV4:
            return _ipv4(at, data)
        if kind == _IPV6:
            return _ipv6(at, data)
    except (struct.error, IndexError):
        raise ValueError("is cut short") from None
    raise ValueError("is no IP packet")


def _ipv4(at: float, data: bytes) -> Frame:
    length, fragment, protocol = struct.unpack_from("!HxxHxB", data, 2)
    start = (data[0] & 15) * 4
    if data[0] >> 4 != 4 or start < _HEADER[4] or not start <= length <= len(data):
        raise ValueError("is no whole IPv4 packet")
    if fragment & 0x1FFF:
        raise ValueError("is a later fragment")
    hosts = (str(ip_address(data[12:16])), str(ip_address(data[16:20])))
    return _carried(at, protocol, hosts, data[:length], start)


def _ipv6(at: float, data: bytes) -> Frame:
    length, protocol = struct.unpack_from("!HB", data, 4)
    start, end = _HEADER[6], _HEADER[6] + length
    if data[0] >> 4 != 6 or end > len(data):
        raise ValueError("is no whole IPv6 packet")
    while protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS):
        if protocol == _FRAGMENT and int.from_bytes(data[start + 2 : start + 4]) & 0xFFF8:
            raise ValueError("is a later fragment")
        more = 0 if protocol == _FRAGMENT else data[start + 1] * 8
        protocol, start = data[start], start + 8 + more
    if start > end:
        raise ValueError("is no whole IPv6 packet")
    hosts = (str(ip_address(data[8:24])), str(ip_address(data[24:40])))
    return _carried(at, protocol, hosts, data[:end], start)


def _carried(at: float, protocol: int, hosts: tuple[str, str], ip: bytes, start: int) -> Frame:
    if protocol in _HOUSEKEEPING:
        raise ValueError("keeps the network going")
    if protocol not in (TCP, UDP):
        source, destination = (Address(host, 0) for host in hosts)
        return Frame(at, protocol, source, destination, ip, ip[start:])
    ports = struct.unpack_from("!HH", ip, start)
    source, destination = (Address(*end) for end in zip(hosts, ports, strict=True))
    if protocol == UDP:
        return Frame(at, UDP, source, destination, ip, ip[start + 8 :])
    seq, offset, flags = struct.unpack_from("!I4xBB", ip, start + 4)
    begins = start + (offset >> 4) * 4
    if not start + 20 <= begins <= len(ip):
        raise ValueError("is no whole TCP segment")
    return Frame(at, TCP, source, destination, ip, ip[begins:], flags, seq)
