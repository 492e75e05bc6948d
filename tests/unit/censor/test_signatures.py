"""Each signature knows its protocol and leaves the neighbours alone, in packets of real engines."""

from collections import Counter
from random import Random

import pytest

from circumtest.censor.flow_signatures import FLOW_SIGNATURES
from circumtest.censor.packet import Packet
from circumtest.censor.sight import Sight
from circumtest.censor.signatures import SIGNATURES
from circumtest.dtls import Shape, client
from circumtest.identity import certificate
from circumtest.model import Address, Transport
from tests.unit.censor.flows import flows

OTHERS = {signature.name for signature in FLOW_SIGNATURES}
"""`test_flow_signatures` has them."""
GENERIC = {"stun", "turn-allocate", "dtls-client-hello"}
"""What any application's packets may carry."""
A, B = Address("192.0.2.2", 40000), Address("203.0.113.10", 3478)


def packets(file: str) -> list[Packet]:
    """The UDP and TCP packets of a capture."""
    return [packet for flow in flows(file) for packet in flow]


def recognised(packet: Packet) -> set[str]:
    """The names of the signatures of calls that match a packet by itself."""
    sight = Sight(0.0)
    sight.add(packet)
    return {
        name
        for name, signature in SIGNATURES.items()
        if name not in OTHERS and signature.matches(packet, sight)
    }


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("wa_alloc_2019", {"whatsapp-call": 2, "stun": 4, "turn-allocate": 2}),
        ("wa_alloc_2023", {"whatsapp-call": 4, "stun": 6, "turn-allocate": 2}),
        ("tg_reflector_599", {"telegram-reflector": 3}),
        ("tg_reflector_tcp_call", {"telegram-reflector-tcp": 1}),
        ("tg_reflector_598_tag_has_ff", {"telegram-reflector": 3}),
        ("tg_turn_1400", {"telegram-turn": 3, "stun": 6, "turn-allocate": 2}),
        ("plain_turn", {"stun": 6, "turn-allocate": 2}),
        ("aiortc_p2p", {"stun": 8, "dtls-client-hello": 1}),
        ("wg_plain", {"wireguard-initiation": 1}),
        ("awg_full_I1_wa", {"whatsapp-call": 1, "stun": 1}),
        ("awg_full_I1_stun", {"stun": 1}),
    ],
)
def test_a_signature_finds_its_protocol(file: str, expected: dict[str, int]) -> None:
    """Just so many packets of each capture carry each signature; a tunnel may walk into one."""
    assert Counter(name for packet in packets(file) for name in recognised(packet)) == expected


@pytest.mark.parametrize(
    "file",
    ["plain_turn", "signal_turn", "fb_turn", "google_turn", "viber_turn", "aiortc_p2p"],
)
def test_other_peoples_stun_is_only_stun(file: str) -> None:
    """TURN of five other services and a WebRTC call have what is generic and nothing else."""
    seen = Counter(name for packet in packets(file) for name in recognised(packet))
    assert "stun" in seen
    assert set(seen) <= GENERIC


@pytest.mark.parametrize("file", ["awg_full", "tg_mtproto", "wa_noise_xx_443"])
def test_messaging_and_a_disguised_tunnel_carry_no_signature(file: str) -> None:
    """Both messengers' messaging, and WireGuard with every header changed, match nothing."""
    assert not [packet for packet in packets(file) if recognised(packet)]


HELLO = "16fefd" + "00" * 8 + "006b" + "01" + "00" * 11 + "fefd" + "aa" * 32 + "0000"
PION = HELLO + "000cc02bc02fc00ac014c02cc030" + "0100" + "0000"
"""Records with a ClientHello: up to the cipher suites, and whole."""
NEIGHBOURS = {
    "dns": "1234010000010000000000000377777706676f6f676c6503636f6d0000010001",
    "rtp": "9078" + "00" * 10 + "bede0001" + "00" * 60,
    "stun binding": "000100002112a442" + "11" * 12,
    "ice binding": "000100082112a442" + "11" * 12 + "0006000161000000",
    "allocate": "000300082112a442" + "11" * 12 + "0019000411000000",
    "whatsapp type without cookie": "080100002112a443" + "11" * 12,
    "whatsapp type beyond the range": "080300002112a442" + "11" * 12,
    "0x4000 as the second attribute": "000300102112a442"
    + "11" * 12
    + "0022000000000000"
    + "40000000",
    "rtp with the cookie by chance": "800300082112a442" + "11" * 12 + "40000000",
    "wireguard response": "02000000" + "00" * 88,
    "wireguard data of 148 bytes": "04000000" + "00" * 144,
    "initiation of 147 bytes": "01000000" + "00" * 143,
    "initiation of 149 bytes": "01000000" + "00" * 145,
    "initiation with a reserved bit": "01000001" + "00" * 144,
    "hello of 39 bytes": "aa" * 16 + "ff" * 12 + "feffffff" + "00" * 7,
    "reflector's self info": "aa" * 16 + "ff" * 12 + "c77215c0" + "00" * 32,
    "reflector data": "aa" * 20 + "00000060" + "00" * 96,
    "peer info request": "aa" * 16 + "ff" * 16,
    "classic binding of another attribute": "00010018" + "11" * 16 + "01020014" + "31" * 20,
    "classic binding of 43 bytes": "00010018" + "11" * 16 + "01010014" + "31" * 19,
    "discovery's answer": "00020046" + "00" * 70,
    "discovery with a bit set": "00010046" + "00" * 4 + "00" * 63 + "01" + "0000",
    "discovery of 73 bytes": "00010046" + "00" * 69,
    "sip response": b"SIP/2.0 200 OK".hex(),
    "sip of another method": b"BYE sip:lab@192.0.2.1 SIP/2.0".hex(),
    "http": b"OPTIONS http://192.0.2.1/ HTTP/1.1".hex(),
    "sip in another case": b"options sip:lab@192.0.2.1 SIP/2.0".hex(),
    "server hello": "16fefd" + "00" * 8 + "0040" + "02" + "00" * 60,
    "tls client hello": "160301" + "00" * 10 + "01" + "00" * 60,
    "client hello cut short": HELLO[:132],
    "client hello with a cookie": HELLO[:120] + "01ff" + HELLO[122:],
    "nothing": "",
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_near_miss_is_a_miss(name: str) -> None:
    """Packets one step away from a signature carry none of a messenger or a tunnel."""
    packet = Packet(Transport.UDP, A, B, bytes.fromhex(NEIGHBOURS[name]))
    assert recognised(packet) <= GENERIC


def test_stun_on_another_port_is_not_telegrams() -> None:
    """The same binding is Telegram's on UDP 1400, generic elsewhere and over TCP."""
    binding = bytes.fromhex(NEIGHBOURS["stun binding"])
    telegram = Address(B.host, 1400)
    assert recognised(Packet(Transport.UDP, A, telegram, binding)) == {"stun", "telegram-turn"}
    assert recognised(Packet(Transport.UDP, A, B, binding)) == {"stun"}
    assert recognised(Packet(Transport.TCP, A, telegram, binding)) == {"stun-tcp"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("00010018" + "11" * 16 + "01010014" + "31" * 20, {"zoom-stun"}),
        ("00010046" + "0000beef" + "00" * 64 + "6f74", {"discord-discovery"}),
        (NEIGHBOURS["allocate"], {"stun", "turn-allocate"}),
        ("9078" + "00" * 10 + "debe0001" + "00" * 60, {"whatsapp-media"}),
        (b"INVITE sip:lab@192.0.2.1 SIP/2.0".hex(), {"sip"}),
        (b"REGISTER sips:lab@192.0.2.1 SIP/2.0".hex(), {"sip"}),
        (PION, {"dtls-client-hello", "dtls-pion"}),
        (PION.replace("16fefd", "16feff"), {"dtls-client-hello", "dtls-pion"}),
        (
            HELLO + "0010c02bc02fcca9cca8c00ac014c02cc030" + "0100" + "0000",
            {"dtls-client-hello", "dtls-pion"},
        ),
        (PION.replace("c02bc02f", "c02fc02b"), {"dtls-client-hello"}),
        (PION.replace("000cc02b", "000ec02b"), {"dtls-client-hello"}),
    ],
)
def test_call_setups_are_known_by_their_first_packet(data: str, expected: set[str]) -> None:
    """Zoom, Discord, TURN, SIP, DTLS, and pion's DTLS by its suites and their order."""
    assert recognised(Packet(Transport.UDP, A, B, bytes.fromhex(data))) == expected


def test_a_question_is_dns_only_on_its_port() -> None:
    """Over UDP, and over TCP behind its length; an answer is none."""
    question, resolver = bytes.fromhex(NEIGHBOURS["dns"]), Address(B.host, 53)
    framed = len(question).to_bytes(2) + question
    answer = question[:2] + b"\x81\x80" + question[4:]
    assert recognised(Packet(Transport.UDP, A, resolver, question)) == {"dns"}
    assert recognised(Packet(Transport.TCP, A, resolver, framed)) == {"dns"}
    assert recognised(Packet(Transport.UDP, A, B, question)) == set()
    assert recognised(Packet(Transport.UDP, A, resolver, answer)) == set()


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("seed", range(5))
def test_only_pions_client_hello_is_taken_for_pions(shape: Shape, seed: int) -> None:
    """Of the shapes that calls are played with here."""
    hello = client(shape, certificate("secret", "lab"), Random(seed)).start(1_764_000_000.0)[0]
    expected = {"dtls-client-hello"} | ({"dtls-pion"} if shape is Shape.PION else set())

    assert recognised(Packet(Transport.UDP, A, B, hello)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (NEIGHBOURS["allocate"], {"stun-tcp"}),
        (b"OPTIONS sip:lab@192.0.2.1 SIP/2.0".hex(), {"sip"}),
        (PION, set()),
        ("00010018" + "11" * 16 + "01010014" + "31" * 20, set()),
    ],
)
def test_over_tcp_only_what_has_a_form_there(data: str, expected: set[str]) -> None:
    """STUN and SIP; the dialects and DTLS are of datagrams."""
    assert recognised(Packet(Transport.TCP, A, B, bytes.fromhex(data))) == expected
