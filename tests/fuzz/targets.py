"""The one table of everything that takes bytes from a network, and valid inputs for each.

`tests/unit/test_wire.py` runs over it for seconds, `scripts/fuzz` for as long as one likes.  A
target raises nothing: what its parsers may raise (ValueError) is caught one by one, anything else
is a bug.  It refuses to judge what a parser makes of its input.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import dpkt

from circumtest.censor.middlebox import datagram
from circumtest.censor.packet import Packet
from circumtest.censor.sight import Sight
from circumtest.censor.signatures import SIGNATURES
from circumtest.detect.frames import frame
from circumtest.dtls import Endpoint, Shape, client, server
from circumtest.identity import certificate
from circumtest.lab import web
from circumtest.model import Address, Transport
from circumtest.recording import capture
from circumtest.secure import TlsAnswerer
from circumtest.wire import (
    digest,
    discord,
    dns,
    dtls,
    dtls13,
    echo,
    http,
    ice,
    ja4,
    mtproto,
    mtproto_clear,
    mtproto_transport,
    noise,
    ntp,
    pcmu,
    protobuf,
    quic,
    reflector,
    rtp,
    sdp,
    sealed,
    sip,
    socks,
    stun,
    tls,
    turn,
    wacert,
    websocket,
    whatsapp,
    whip,
    zoom,
)
from tests.fuzz import halves

DATA = Path(__file__).parents[1] / "data"
SECRET = "circumtest lab"
KEY = bytes(64)
CLIENT, SERVER = Address("192.0.2.2", 40000), Address("203.0.113.10", 443)
PAIR = noise.KeyPair.of(bytes(range(32)))

Parser = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """One entrance for bytes.  `samples` are valid inputs, made when they are wanted."""

    run: Callable[[bytes], None]
    samples: Callable[[], Iterable[bytes]]
    slow: bool = False
    """Milliseconds an input, not microseconds."""


def parsers(*each: Parser) -> Callable[[bytes], None]:
    """All of them on the same input; a ValueError is an answer."""

    def run(data: bytes) -> None:
        for parse in each:
            with suppress(ValueError):
                parse(data)

    return run


def payloads(*files: str) -> Callable[[], Iterator[bytes]]:
    """What the first packets of captures carry over UDP or TCP."""

    def read() -> Iterator[bytes]:
        for file in files:
            with (DATA / f"{file}.pcap").open("rb") as opened:
                for _, frame in islice(dpkt.pcap.UniversalReader(opened), 12):
                    layer4 = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None)
                    if data := bytes(getattr(layer4, "data", b"")):
                        yield data

    return read


def inputs(*each: bytes) -> Callable[[], Iterable[bytes]]:
    """These."""
    return lambda: each


# ------------------------------------------------------------------ what needs more than a call


def _stun(data: bytes) -> None:
    message = stun.unpack(data)
    for kind, value in message.attributes:
        for parse in (stun.error_code, partial(stun.parse_xor_address, tid=message.tid)):
            with suppress(ValueError):
                parse(value)
        assert message.get(kind) is not None
    assert stun.unpack(stun.pack(message)) == message


def _ice(data: bytes) -> None:
    message = stun.unpack(data)
    ice.nominates(message)
    ice.role_of(message)


def _whatsapp(data: bytes) -> None:
    message = stun.unpack(data)
    with suppress(ValueError):
        whatsapp.parse_token(message)
    whatsapp.own_stream(message)


def _turn(data: bytes) -> None:
    for value in (data, None):
        for read in (turn.seconds, turn.channel_number):
            with suppress(ValueError):
                read(value)


def _fed(make: Callable[[], Any]) -> Parser:
    """A framer, in one piece and in small ones: the same comes out, up to what is wrong."""

    def run(data: bytes) -> None:
        whole: list[object] = []
        pieces: list[object] = []
        framer = make()
        with suppress(ValueError):
            whole += framer.feed(data)
        framer = make()
        with suppress(ValueError):
            size = 1 + len(data) // 1024
            for at in range(0, len(data), size):
                pieces += framer.feed(data[at : at + size])
        # What was whole before a piece that is wrong may have been given already.
        assert whole == pieces or not whole, (whole, pieces)

    return run


def _dtls(data: bytes) -> None:
    for record in dtls.records(data):
        with suppress(ValueError):
            dtls.alert(record.body)
        with suppress(ValueError):
            for fragment in dtls.fragments(record.body):
                _hello(fragment.data)


def _hello(body: bytes) -> None:
    for parse in (dtls.ServerHello.unpack, dtls.hello_verify_cookie, dtls.unpack_extensions):
        with suppress(ValueError):
            parse(body)
    ja4.ja4(dtls.ClientHello.unpack(body))


def _tls(data: bytes) -> None:
    hello = tls.client_hello(data)
    if hello is not None:
        for parse in (tls.server_name, tls.protocols, tls.versions, tls.encrypted, ja4.ja4):
            with suppress(ValueError):
                parse(hello)


def _quic(data: bytes) -> None:
    quic.client_hello([data, data[::-1]])
    for packet in quic.initials(data):
        list(quic.crypto(packet.rest))


def _flow(data: bytes) -> None:
    """Every signature, on a flow cut out of the bytes."""
    size = 1 + len(data) // 4
    for transport in Transport:
        sight = Sight(0.0)
        for at in range(0, len(data), size):
            up, piece = at // size != 1, data[at : at + size]
            ends = (CLIENT, SERVER) if up else (SERVER, CLIENT)
            packet = Packet(transport, *ends, piece, up, at if up else 0)
            sight.add(packet)
            for signature in SIGNATURES.values():
                signature.matches(packet, sight)


def _sip(data: bytes) -> None:
    message = sip.unpack(data)
    read: tuple[Callable[[], object], ...] = (
        lambda: message.cseq,
        lambda: sip.branch(message),
        lambda: sip.seen_at(message),
        lambda: sip.tag(message.get("From")),
        lambda: sip.parameters(message.get("Via")),
        lambda: sip.uri_in(message.get("Contact")),
        lambda: sip.split(message.get("Record-Route")),
    )
    for one in read:
        with suppress(ValueError):
            one()
    assert sip.unpack(sip.pack(message)).cseq == message.cseq


def _sdp(data: bytes) -> None:
    session = sdp.parse(data)
    for medium in session.media:
        with suppress(ValueError):
            session.address(medium)
    sdp.parse(sdp.pack(session))


def _text(parse: Callable[[str], object]) -> Parser:
    return lambda data: parse(data.decode("latin-1"))


def _digest(data: bytes) -> None:
    text = data.decode("latin-1")
    digest.verify(text, CHALLENGE, "lab", "word", "REGISTER")
    with suppress(ValueError):
        digest.nonce_of(text)
    digest.parse_challenge(text)


def _query(data: bytes) -> None:
    question = dns.parse_query(data)
    assert question.reply()


def _marks(data: bytes) -> None:
    assert len(list(pcmu.marks(data, KEY))) <= len(data)


def _secure(data: bytes) -> None:
    answerer = TlsAnswerer(halves.handshake("echo").answerer(), SECRET, "lab.example")
    halves.feed(answerer, Transport.TCP, 443, data)


CHALLENGE = digest.Challenge("lab", "abc")
ANSWER = digest.answer(CHALLENGE, "lab", "word", "REGISTER", "sip:lab", "cn")
CHECK = ice.pack_check(bytes(12), b"abcd:efgh", b"word", controlling=True)
SOUND = rtp.seal(rtp.Header(120, 1, 2, 3, profile=0xBEDE, extension=bytes(4)), bytes(60), KEY[:16])
CHAIN = wacert.pack_chain(bytes(range(32)), bytes(range(1, 33)), PAIR.public, (0, 1 << 40))
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)
CANDIDATE = b"candidate:1 1 udp 2130706431 192.0.2.2 4000 typ host"
INVITE = (
    b"INVITE sip:lab@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@192.0.2.2>;tag=1\r\nTo: <sip:lab@192.0.2.9>\r\n"
    b"Call-ID: 1@192.0.2.2\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.2>\r\n"
    b"Content-Length: 4\r\n\r\nbody"
)
HEAD = b'HTTP/1.1 201 Created\r\nETag: "a"\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nok'
FRAMINGS = tuple(mtproto_transport.Framing)
FRAMES = [mtproto_transport.Framer(framing).pack(bytes(40)) for framing in FRAMINGS]
CLEAR = [
    mtproto_transport.PREAMBLES[framing] + frame
    for framing, frame in zip(FRAMINGS, FRAMES, strict=True)
]
HELLO = noise.client_hello(PAIR)
SEALED = noise.server_hello(PAIR.public, PAIR, PAIR, b"certificates")

WIRE: dict[str, Target] = {
    "digest": Target(parsers(_digest), inputs(CHALLENGE.pack().encode(), ANSWER.encode())),
    "discord": Target(
        parsers(
            discord.parse_ask,
            discord.parse_answer,
            discord.parse_keep_alive,
            partial(discord.is_answer, ssrc=1),
        ),
        inputs(discord.ask(1, 2), discord.answer(1, "192.0.2.2", 3), discord.keep_alive(1)),
    ),
    "dns": Target(
        parsers(dns.parse_reply, _query),
        inputs(
            dns.query(1, "lab.example", 4),
            dns.query(2, "lab.example", 6, bytes(8)),
            dns.parse_query(dns.query(1, "lab.example", 4)).reply(addresses=["192.0.2.2"]),
        ),
    ),
    "dtls": Target(parsers(_dtls, _hello), payloads("aiortc_p2p", "tg_reflector_udp_setup")),
    "dtls13": Target(
        parsers(
            lambda data: list(dtls13.records(data)),
            dtls13.unpack_ack,
            dtls13.inner,
            dtls13.encrypted_extensions,
            dtls13.certificate_request,
            dtls13.certificates,
            dtls13.certificate_verify,
            dtls13.server_share,
            lambda data: list(dtls13.client_shares(data)),
        ),
        inputs(
            dtls13.header(2, 1, 20) + bytes(20),
            dtls13.pack_ack([(2, 1)]),
            dtls13.pack_certificate(b"", [b"der"]),
        ),
    ),
    "echo": Target(
        parsers(
            partial(echo.is_request, secret=KEY),
            partial(echo.request_length, secret=KEY),
            partial(echo.parse_answer, asked=echo.request(bytes(8), 60, KEY), secret=KEY),
        ),
        inputs(
            echo.request(bytes(8), 60, KEY),
            echo.answer(echo.request(bytes(8), 60, KEY), "192.0.2.2", 1, KEY),
        ),
    ),
    "http": Target(parsers(http.head), inputs(HEAD)),
    "ice": Target(parsers(_ice), inputs(CHECK)),
    "ja4": Target(parsers(_hello), payloads("aiortc_p2p")),
    "mtproto": Target(
        parsers(
            mtproto.parse_message,
            mtproto.parse_req_pq_multi,
            mtproto.parse_res_pq,
            mtproto.transport_error,
            mtproto.constructor,
        ),
        payloads("tg_mtproto"),
    ),
    "mtproto_clear": Target(parsers(mtproto_clear.whole), inputs(*CLEAR)),
    "mtproto_transport": Target(
        parsers(
            *(_fed(partial(mtproto_transport.Framer, framing)) for framing in FRAMINGS),
            _fed(mtproto_transport.Acceptor),
            mtproto_transport.deobfuscate,
        ),
        inputs(*FRAMES),
    ),
    "noise": Target(
        parsers(
            noise.frame_length,
            noise.parse_client_hello,
            partial(noise.open_server_hello, ephemeral=PAIR),
        ),
        inputs(HELLO, SEALED),
    ),
    "ntp": Target(
        parsers(ntp.parse_request, partial(ntp.parse_answer, cookie=KEY[:8])),
        inputs(ntp.pack_request(KEY[:8]), ntp.pack_answer(KEY[:8], KEY[:8])),
    ),
    "pcmu": Target(
        parsers(pcmu.unpack, _marks),
        inputs(
            pcmu.pack(rtp.Header(0, 1, 2, 3), pcmu.sound(pcmu.Mark(1, 2.0), KEY)),
            bytes.fromhex("81c90007") + bytes(28),
        ),
    ),
    "protobuf": Target(parsers(protobuf.unpack), inputs(protobuf.pack({1: b"x", 2: 300}))),
    "quic": Target(parsers(_quic), payloads("quic_chromium")),
    "reflector": Target(
        parsers(
            reflector.parse,
            reflector.parse_hello,
            reflector.parse_self_info,
            reflector.parse_data,
            reflector.parse_tcp_hello,
        ),
        payloads("tg_reflector_599", "tg_reflector_udp_setup"),
    ),
    "rtp": Target(
        parsers(rtp.unpack, rtp.body, partial(rtp.unseal, key=KEY[:16]), rtp.Frame.unpack),
        inputs(SOUND),
    ),
    "sdp": Target(parsers(_sdp, _text(sdp.parse_candidate)), inputs(OFFER, CANDIDATE)),
    "sealed": Target(
        parsers(
            partial(sealed.unseal, secret=KEY, direction=b"up"),
            partial(sealed.is_authentic, secret=KEY, direction=b"up"),
            partial(sealed.length, secret=KEY, direction=b"up"),
        ),
        inputs(sealed.seal(bytes(8), b"body", 40, KEY, b"up")),
    ),
    "sip": Target(parsers(_sip, _fed(sip.Framer)), inputs(INVITE)),
    "socks": Target(
        parsers(socks.method, socks.granted, socks.reply, socks.parse_datagram),
        inputs(
            b"\5\0", b"\1\0", bytes.fromhex("05000001c00002020001"), socks.datagram("::1", 1, b"x")
        ),
    ),
    "stun": Target(
        parsers(_stun, partial(stun.authentic, key=KEY)),
        payloads("plain_turn", "wa_alloc_2023", "tg_turn_1400"),
    ),
    "tls": Target(parsers(_tls), payloads("tls_curl", "tls_tor", "tls12_openssl")),
    "turn": Target(
        parsers(_turn, turn.parse_channel_data, turn.is_signed, _fed(turn.Framer)),
        inputs(turn.pack_channel_data(0x4000, b"four", stream=True), CHECK, bytes(4)),
    ),
    "wacert": Target(
        parsers(
            wacert.Certificate.unpack,
            partial(wacert.check_chain, root=KEY[:32], static=PAIR.public, at=1.0),
        ),
        inputs(CHAIN),
    ),
    "websocket": Target(
        parsers(
            websocket.parse_frame,
            websocket.parse_request,
            partial(websocket.parse_answer, key=KEY[:16]),
        ),
        inputs(
            websocket.pack_request("lab.example", "/", KEY[:16], "https://lab.example"),
            websocket.pack_answer("key"),
            websocket.pack_frame(b"masked", b"mask"),
            websocket.pack_frame(bytes(126)),
        ),
    ),
    "whatsapp": Target(parsers(_whatsapp), payloads("wa_alloc_2023", "wa_alloc_2019")),
    "whip": Target(
        parsers(whip.request, whip.reply),
        inputs(whip.post("192.0.2.2", 80, OFFER), whip.created(OFFER, "/call/1", "tag"), HEAD),
    ),
    "zoom": Target(
        parsers(
            zoom.parse_ask,
            zoom.parse_answer,
            zoom.unpack,
            partial(zoom.unwrap, upwards=True),
            partial(zoom.unwrap, upwards=False),
            partial(zoom.is_answer, tid=bytes(16)),
        ),
        inputs(
            zoom.ask(bytes(16)), zoom.answer(bytes(16), "::1", 3), zoom.wrap(SOUND, upwards=True)
        ),
    ),
}
"""By the name of the module in `circumtest.wire`."""


def _client(shape: Shape) -> Endpoint:
    return client(shape, certificate(SECRET, "lab.example"), Random(1))


def _server() -> Endpoint:
    return server(certificate(SECRET, "lab.example"), rng=Random(1))


def _hellos() -> Iterator[bytes]:
    """Of either version, whole and a fragment of each."""
    for shape in Shape:
        hello = _client(shape).start(halves.NOW)
        yield halves.join(hello)
        yield halves.join([hello[0][:-1], *hello])


def _frames() -> Iterator[bytes]:
    for name in ("plain_turn", "wg_plain", "tg_mtproto"):
        with (DATA / f"{name}.pcap").open("rb") as opened:
            yield from (bytes(raw) for _, raw in islice(dpkt.pcap.UniversalReader(opened), 4))


def _captures() -> Iterator[bytes]:
    for name in ("plain_turn", "wg_plain", "tg_mtproto"):
        yield (DATA / f"{name}.pcap").read_bytes()


ROOMS: dict[str, Target] = {
    "capture": Target(parsers(capture.read), _captures),
    "datagram": Target(
        parsers(datagram.parse),
        lambda: (one[dpkt.ethernet.Ethernet.__hdr_len__ :] for one in _frames()),
    ),
    "frame": Target(parsers(partial(frame, 0.0)), _frames),
    "signatures": Target(
        _flow,
        payloads("tls_curl", "openvpn_plain_udp", "quic_chromium", "signal_turn", "tg_mtproto"),
    ),
    "secure": Target(_secure, lambda: [halves.join([halves.tls_hello("lab.example")])], slow=True),
    **{
        f"dtls-{shape}": Target(
            halves.endpoint(partial(_client, shape)),
            lambda: [halves.join(payloads("aiortc_p2p")())],
            slow=True,
        )
        for shape in Shape
    },
    "dtls-server": Target(halves.endpoint(_server), _hellos, slow=True),
    "lab.web": Target(parsers(web.parse), inputs(b"GET /bytes/9 HTTP/1.1\r\nHost: lab\r\n\r\n")),
}
"""What stands above the parsers and takes bytes as well: captures, frames, TLS, DTLS."""

HALVES: dict[str, Target] = {
    f"{word} {name}": Target(run(name), partial(samples, name), slow=True)
    for name in halves.CALLS
    for word, run, samples in (
        ("answerer", halves.receive, halves.call),
        ("callee", halves.callee, halves.call),
        ("caller", halves.play, halves.orders),
    )
    if word != "callee" or halves.has_callee(name)
}
"""Both halves of every handshake that is installed, and the callee behind a service."""

TARGETS = {**WIRE, **ROOMS, **HALVES}
