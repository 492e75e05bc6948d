"""Packets of Telegram's call reflectors (tgcalls v2): hello, self info, data; UDP and TCP.

Bytes to values and back, strictly: what has another size, other fixed bytes or other padding is
ValueError.  It refuses to route (`circumtest.reflector`) and to judge whose packet it is.
Source: TelegramMessenger/tgcalls v2/ReflectorPort.cpp, RawTcpSocket.cpp (read 2026-11); self info
as libtgvoip has it.  Over TCP the packets travel in MTProto's intermediate framing.
"""

import ipaddress
import struct
from dataclasses import dataclass

TAG = 16
PREFIX = 12
"""Bytes of a tag that both peers and the server know; the last 4 are each peer's own."""
QUERY = 123
"""The query id of every hello: a constant in the real protocol."""
SELF_INFO = 0xC01572C7
MAX_PAYLOAD = 1500
"""No reflector forwards more than a datagram."""
PREAMBLE = b"\xee" * 4
"""What a client sends first on TCP."""
_ONES = b"\xff" * 12
_HELLO = _ONES + b"\xfe\xff\xff\xff"
_MAPPED = bytes(10) + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Hello:
    """The 40 bytes with which a peer makes itself known over UDP."""

    tag: bytes
    query: int = QUERY

    def pack(self) -> bytes:
        return _tag(self.tag) + _HELLO + struct.pack(">Q", self.query)


@dataclass(frozen=True, slots=True)
class SelfInfo:
    """The 64 bytes that answer a hello: the server's time (Unix seconds) and whom it saw.

    `host` is IPv4 or IPv6 as text; IPv4 travels mapped into IPv6.
    """

    tag: bytes
    date: int
    host: str
    port: int
    query: int = QUERY

    def pack(self) -> bytes:
        address = ipaddress.ip_address(self.host).packed
        mapped = _MAPPED + address if len(address) == 4 else address
        middle = struct.pack("<Ii", SELF_INFO, self.date) + struct.pack(">Q", self.query)
        return _tag(self.tag) + _ONES + middle + mapped + struct.pack("<i", self.port)


@dataclass(frozen=True, slots=True)
class Data:
    """A payload from one peer to the other.  `target` and `sender` are their own 4 bytes."""

    prefix: bytes
    target: bytes
    sender: bytes
    payload: bytes

    def pack(self) -> bytes:
        """24 bytes of header, the payload, zeros to a multiple of 4."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError("payload too long")
        head = _tag(self.prefix + self.target) + self.sender + struct.pack(">I", len(self.payload))
        return head + self.payload + bytes(-len(self.payload) % 4)


@dataclass(frozen=True, slots=True)
class TcpHello:
    """The 20 bytes with which a peer makes itself known over TCP; nothing answers it."""

    tag: bytes

    def pack(self) -> bytes:
        return _tag(self.tag) + bytes(4)


Packet = Hello | SelfInfo | Data


def parse(data: bytes) -> Packet:
    """Whatever packet of the UDP wire it is.  Raises ValueError.

    They cannot be mistaken for each other: the ones would be an impossible length in data.
    """
    if data[16:28] != _ONES:
        return parse_data(data)
    return parse_hello(data) if len(data) == 40 else parse_self_info(data)


def frame(packet: bytes) -> bytes:
    """A packet as it travels over TCP, once the preamble is out."""
    return struct.pack("<I", len(packet)) + packet


def parse_hello(data: bytes) -> Hello:
    """Raises ValueError."""
    if len(data) != 40 or data[16:32] != _HELLO:
        raise ValueError("not a hello")
    return Hello(data[:16], int.from_bytes(data[32:], "big"))


def parse_self_info(data: bytes) -> SelfInfo:
    """Raises ValueError."""
    if len(data) != 64 or data[16:28] != _ONES:
        raise ValueError("not self info")
    number, date = struct.unpack_from("<Ii", data, 28)
    port = int.from_bytes(data[60:64], "little", signed=True)
    if number != SELF_INFO or not 0 <= port <= 0xFFFF:
        raise ValueError("not self info")
    address = ipaddress.IPv6Address(data[44:60])
    host = str(address.ipv4_mapped or address)
    return SelfInfo(data[:16], date, host, port, int.from_bytes(data[36:44], "big"))


def parse_data(data: bytes) -> Data:
    """Raises ValueError."""
    if len(data) < 24:
        raise ValueError("shorter than a data header")
    length = int.from_bytes(data[20:24], "big")
    end = 24 + length
    if length > MAX_PAYLOAD or len(data) != end + -end % 4 or any(data[end:]):
        raise ValueError("length or padding does not fit")
    return Data(data[:12], data[12:16], data[16:20], data[24:end])


def parse_tcp_hello(data: bytes) -> TcpHello:
    """Raises ValueError."""
    if len(data) != 20 or any(data[16:]):
        raise ValueError("not a hello over TCP")
    return TcpHello(data[:16])


def _tag(tag: bytes) -> bytes:
    if len(tag) != TAG:
        raise ValueError("a tag is 16 bytes")
    return tag
