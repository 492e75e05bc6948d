"""Flows that are no handshake of ours: the first packets of tunnels and of the web.

Each is a few turns: what the client says, what the far end answers.  The bytes are such as the real
programs send, which meet the same rules in tests/lab.
"""

import ssl
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Stage, Transport
from circumtest.script import Emit, Flow, Script, enter, now, open_tcp, open_udp, recv, send

SERVICE = {4: "203.0.113.10", 6: "2001:db8:113::10"}
EXIT = {4: "198.51.100.2", 6: "2001:db8:100::2"}
PATIENCE = 4.0
"""Seconds for all turns."""

Turn = tuple[bytes, bytes]


@dataclass(frozen=True)
class Talk:
    """Say and hear each turn in full, on so many channels at once, `pause` seconds between turns.

    `host` is where, by IP version.
    """

    transport: Transport
    port: int
    turns: tuple[Turn, ...]
    channels: int = 1
    pause: float = 0.0
    host: Mapping[int, str] = field(default_factory=lambda: SERVICE)

    def script(self, target: Sequence[Address]) -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channels = []
        for _ in range(self.channels):
            if self.transport is Transport.TCP:
                channels.append((yield from open_tcp(target[0], PATIENCE)))
            else:
                channels.append((yield from open_udp(target[0])))
        until = (yield from now()) + PATIENCE
        for number, (said, answer) in enumerate(self.turns):
            if number and self.pause:
                yield from recv((yield from now()) + self.pause)
                until = (yield from now()) + PATIENCE
            missing = {channel.id: len(answer) for channel in channels}
            for channel in channels:
                yield from send(channel, said)
            while any(left > 0 for left in missing.values()):
                came = yield from recv(until)
                if came is None:
                    raise HandshakeFailed(Cause.TIMEOUT, "an answer is missing")
                if isinstance(came.data, Cause):
                    raise HandshakeFailed(came.data, "the channel is gone")
                missing[came.channel.id] -= len(came.data)

    def answerer(self) -> "Listener":
        return Listener(self.turns)


@dataclass
class Listener:
    """Answers each turn when it has been said in full."""

    turns: tuple[Turn, ...]
    _heard: dict[Flow, int] = field(default_factory=dict)
    _turn: dict[Flow, int] = field(default_factory=dict)

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        turn = self._turn.setdefault(flow, 0)
        self._heard[flow] = self._heard.get(flow, 0) + len(data)
        if turn < len(self.turns) and self._heard[flow] >= len(self.turns[turn][0]):
            self._heard[flow] -= len(self.turns[turn][0])
            self._turn[flow] = turn + 1
            yield Emit(flow, self.turns[turn][1])

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


_CHANCE = Random(5)


def noise(size: int) -> bytes:
    """Random bytes, the same each time."""
    return _CHANCE.randbytes(size)


def openssl_hello(name: str) -> bytes:
    """OpenSSL's ClientHello for a server's name."""
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError


def hello(name: str, *, suites: int = 15, extensions: int = 16, ech: bool = False) -> bytes:
    """A ClientHello of TLS 1.3 with so many cipher suites and extensions, as JA4 counts them."""
    host = name.encode()
    told = [
        (0, struct.pack("!HBH", len(host) + 3, 0, len(host)) + host),
        (10, bytes.fromhex("0002001d")),
        (13, bytes.fromhex("00020403")),
        (16, bytes.fromhex("0003026832")),
        (43, bytes.fromhex("020304")),
        *([(0xFE0D, bytes.fromhex("00000100010000200000"))] if ech else []),
    ]
    told += [(100 + number, b"") for number in range(extensions - len(told))]
    body = b"".join(struct.pack("!HH", kind, len(data)) + data for kind, data in told)
    ciphers = b"".join(struct.pack("!H", 0x1301 + number) for number in range(suites))
    message = b"\x03\x03" + bytes(32) + b"\0" + struct.pack("!H", len(ciphers)) + ciphers
    message += b"\x01\x00" + struct.pack("!H", len(body)) + body
    handshake = b"\x01" + len(message).to_bytes(3) + message
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def record(size: int) -> bytes:
    """So many bytes of application data in TLS records."""
    pieces = [min(16_000, size - at) for at in range(0, size, 16_000)]
    return b"".join(b"\x17\x03\x03" + struct.pack("!H", one) + noise(one) for one in pieces)


SERVER_HELLO = b"\x16\x03\x03\x00\x7a\x02" + noise(121) + record(1200)


def web(greeting: bytes, answer: int = 2000) -> Talk:
    """HTTPS: a hello, an answer, a request, a page of so many bytes."""
    turns = ((greeting, SERVER_HELLO), (record(90) + record(200), record(answer)))
    return Talk(Transport.TCP, 443, turns)


_WG_DATA = b"\x04\0\0\0" + noise(124)
_NEAR, _FAR = noise(8), noise(8)  # OpenVPN's sessions
_RESET = b"\x38" + _NEAR + bytes(5)
_SERVER_RESET = b"\x40" + _FAR + b"\x01" + bytes(4) + _NEAR + bytes(4)
_ACK = b"\x28" + _NEAR + b"\x01" + bytes(4) + _FAR
_CONTROL = b"\x20" + _NEAR + b"\0\0\0\0\x01" + noise(280)
_ANSWER = b"\x20" + _FAR + b"\0\0\0\0\x01" + noise(900)
_OPENVPN = ((_RESET, _SERVER_RESET), (_ACK, b""), (_CONTROL, _ANSWER), (_CONTROL, _ANSWER))


def _framed(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """OpenVPN's packets in a stream: each with its length before it."""

    def framed(packet: bytes) -> bytes:
        return struct.pack("!H", len(packet)) + packet if packet else b""

    return tuple((framed(said), framed(answer)) for said, answer in turns)


_GET = b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"
_SSH = b"SSH-2.0-OpenSSH_9.2p1\r\n"
_STUN = bytes.fromhex("000100002112a442") + noise(12)
_INITIAL = b"\xc3\0\0\0\x01\x08" + noise(1194)
FLOWS = {
    "wireguard": Talk(
        Transport.UDP,
        51820,
        (
            (b"\x01\0\0\0" + noise(144), b"\x02\0\0\0" + noise(88)),
            *((_WG_DATA, _WG_DATA) for _ in range(5)),
        ),
    ),
    "openvpn over UDP": Talk(Transport.UDP, 1194, _OPENVPN),
    "openvpn over TCP": Talk(Transport.TCP, 1194, _framed(_OPENVPN)),
    "random bytes": Talk(Transport.TCP, 8388, ((noise(300), noise(400)),) * 3),
    "tls": web(openssl_hello("www.example")),
    "tls to blocked.example": web(openssl_hello("www.blocked.example")),
    "tls to blocked.example, much": web(openssl_hello("blocked.example"), 20_000),
    "tls to twitter.com": web(openssl_hello("twitter.com")),
    "tls to twitter.com, much": web(openssl_hello("twitter.com"), 150_000),
    "tls to a listed name": web(openssl_hello("www.gosuslugi.ru")),
    "tls to cloudflare-ech.com": web(hello("cloudflare-ech.com")),
    "tls to cloudflare-ech.com with ech": web(hello("cloudflare-ech.com", ech=True)),
    "tls, much": web(openssl_hello("www.example"), 60_000),
    "a browser's tls": web(hello("www.example")),
    "a browser's tls, 14 at once": Talk(
        Transport.TCP, 443, web(hello("www.example")).turns, channels=14
    ),
    "openssl's tls, 14 at once": Talk(
        Transport.TCP, 443, web(openssl_hello("www.example")).turns, channels=14
    ),
    "http": Talk(
        Transport.TCP, 80, ((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),)
    ),
    "a stream of its own on 443": Talk(Transport.TCP, 443, ((noise(300), noise(400)),) * 3),
    "ssh on 443": Talk(Transport.TCP, 443, ((_SSH, _SSH), (noise(80), noise(80)))),
    "ssh": Talk(
        Transport.TCP,
        22,
        (
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
            *((noise(80), noise(80)),) * 20,
        ),
    ),
    "random bytes to the exit, 30 at once": Talk(
        Transport.TCP, 8388, ((noise(300), noise(400)),) * 3, channels=30, host=EXIT
    ),
    "tls to the exit, 30 at once": Talk(
        Transport.TCP, 8443, web(openssl_hello("www.example")).turns, channels=30, host=EXIT
    ),
    "telegram's relay, and again": Talk(Transport.UDP, 1400, ((_STUN, _STUN),) * 2, pause=700.0),
    "quic": Talk(Transport.UDP, 443, ((_INITIAL, noise(1200)),)),
    "tls within a tunnel": Talk(
        Transport.TCP, 8388, ((noise(600), noise(1400) * 3), (noise(500), noise(600))) * 2
    ),
    "datagrams": Talk(Transport.UDP, 4433, ((noise(120), noise(120)),) * 20),
}
"""By name, as tests of policies name them."""
