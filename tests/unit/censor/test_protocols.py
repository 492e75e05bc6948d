"""Recognisers of streams and tunnels, each beside what it must leave alone."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.censor import protocols
from circumtest.censor.packet import Packet
from circumtest.model import Transport
from tests.unit.censor.flows import CLIENT, SERVER, Down, flows, recognised, sent, sights

TCP, UDP = Transport.TCP, Transport.UDP
NOISE = Random(3).randbytes(1400)
CHROMIUM = [packet.payload for packet in flows("tls_chromium")[0]]
CURL = flows("tls_curl")[0]
HELLO = CURL[0].payload


def matched(name: str, packets: list[Packet]) -> list[int]:
    """The places of the packets that one function matches."""
    sees = getattr(protocols, name)
    return [at for at, (packet, sight) in enumerate(sights(packets)) if sees(packet, sight)]


# ------------------------------------------------------------------ what begins with a ClientHello


def test_each_segment_of_a_hello_shows_tls_and_none_after_it() -> None:
    """Chromium's two, curl's one; a stream that is cut into single bytes, from the sixth on."""
    assert matched("tls_hello", sent(TCP, *CHROMIUM, Down(NOISE), NOISE)) == [0, 1]
    assert matched("tls_hello", CURL) == [0]
    single = [HELLO[at : at + 1] for at in range(len(HELLO))]
    assert matched("tls_hello", sent(TCP, *single, NOISE)) == list(range(5, len(HELLO)))


def test_tls_is_a_clients_and_over_tcp() -> None:
    """A hello towards the client, in a datagram, or later in a stream, begins nothing."""
    assert matched("tls_hello", sent(TCP, Down(HELLO))) == []
    assert matched("tls_hello", sent(UDP, HELLO)) == []
    assert matched("tls_hello", sent(TCP, b"SSH-", HELLO)) == []
    assert matched("tls_hello", sent(TCP, Down(HELLO), HELLO)) == [1]


def test_a_hello_that_comes_again_shows_tls_again() -> None:
    """A client that got no answer sends it once more, and meets the rule once more."""
    assert matched("tls_hello", [CURL[0], CURL[0]]) == [0, 1]


def test_ech_needs_a_whole_hello_and_a_name() -> None:
    """Chromium's shows it with its second segment, and so do its datagrams; curl's has none."""
    assert matched("ech", sent(TCP, *CHROMIUM)) == [1]
    assert matched("ech", flows("quic_chromium")[0]) == [1, 2, 3]
    assert matched("ech", CURL) == []


def test_tor_is_known_by_suites_and_name_together() -> None:
    """Its hello with another name, or another program's with a name like its, is not tor's."""
    hello = flows("tls_tor")[0][0].payload
    named = b"www.hnzbhc4udvtgaizne7cadr3.com"
    assert matched("tor", sent(TCP, hello)) == [0]
    assert matched("tor", sent(TCP, hello.replace(named, b"www.hnzbhc4udvtgaizne7cadr3.org"))) == []
    assert matched("tor", sent(TCP, hello.replace(named, b"www.hnzbhc4udvtga1zne7cadr3.com"))) == []
    assert matched("tor", sent(TCP, hello.replace(b"\x13\x01\x13\x03", b"\x13\x01\x13\x04"))) == []
    assert matched("tor", sent(TCP, HELLO.replace(b"lab.example", b"www.abc.com"))) == []


# ------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    ("data", "is_it"),
    [
        ("04010050c000020100", True),
        ("04020050c0000201" + b"me\0".hex(), True),
        ("0401005000000001" + b"\0lab.example\0".hex(), True),
        ("04030050c000020100", False),
        ("05010050c000020100", False),
        ("04010000c000020100", False),
        ("04010050c000020101", False),
        ("04010050c0000201", False),
    ],
)
def test_socks_4_is_a_whole_request_in_a_first_segment(data: str, is_it: bool) -> None:
    """With or without a user, and with a name (4a)."""
    request = bytes.fromhex(data)
    assert matched("socks4", sent(TCP, request)) == ([0] if is_it else [])
    assert matched("socks4", sent(TCP, b"x", request)) == []
    assert matched("socks4", sent(UDP, request)) == []


def test_mtproto_shows_in_the_segment_that_makes_its_frames_whole() -> None:
    """The mark may come alone; the server's answers are not asked about."""
    full, abridged, intermediate, obfuscated = flows("tg_mtproto")
    for flow in (full, abridged, intermediate):
        upwards = [at for at, packet in enumerate(flow) if packet.upwards and packet.payload]
        assert matched("mtproto", flow) == upwards[-2:]
    assert matched("mtproto", obfuscated) == []


# ------------------------------------------------------------------ what looks like nothing

HALF = bytes((0x0F, 0xF0)) * 100
"""Four bits a byte, half of them printable by no means."""


@pytest.mark.parametrize(
    ("payload", "is_it"),
    [
        (b"", False),
        (HALF, True),
        (NOISE, True),
        # at most 3.4 and at least 4.6 bits a byte are exempt
        (b"\x07" * 60 + b"\x0f" * 40, False),
        (b"\x07" * 59 + b"\x0f" * 41, True),
        (b"\x1f" * 60 + b"\x0f" * 40, False),
        (b"\x1f" * 59 + b"\x0f" * 41, True),
        # six printable bytes first
        (b"abcdef" + HALF, False),
        (b"abcde\x0f" + HALF, True),
        (b"lab~~" + HALF, True),
        # more than half printable
        (b"\x0fe" * 50 + b"e", False),
        (b"\x0fe" * 50, True),
        # more than twenty printable in a row
        (HALF + b"e" * 21 + HALF, False),
        (HALF + b"e" * 20 + HALF, True),
        # TLS and HTTP
        (b"\x16\x03\x01" + HALF, False),
        (b"\x17\x03\x09" + HALF, False),
        (b"\x17\x03\x0a" + HALF, True),
        (b"\x15\x03\x01" + HALF, True),
        (b"GET \x0f\x0f" + HALF, False),
        (b"HEAD \x0f" + HALF, False),
        (b"POST\x0f\x0f" + HALF, True),
    ],
)
def test_five_exemptions_and_nothing_else_spare_a_first_payload(
    payload: bytes, is_it: bool
) -> None:
    """One step beyond each of them it is taken."""
    assert protocols.fully_encrypted(payload) is is_it


@pytest.mark.parametrize(
    ("file", "is_it"),
    [
        ("shadowsocks_curl", True),
        ("openvpn_crypt_tcp", True),
        ("openvpn_plain_tcp", False),
        ("tls_curl", False),
        ("tls_tor", False),
        ("ssh_openssh", False),
        ("http_curl", False),
        ("socks5_curl", False),
        ("socks4_curl", False),
        ("tg_reflector_tcp_setup", False),
    ],
)
def test_real_programs_first_payloads_are_taken_or_spared(file: str, is_it: bool) -> None:
    """Only the first segment of a stream, only the client's."""
    flow = flows(file)[0]
    first = next(at for at, packet in enumerate(flow) if packet.payload)
    assert matched("encrypted_stream", flow) == ([first] if is_it else [])


def test_only_the_clients_first_segment_is_looked_at() -> None:
    """What the server says, and what comes later, does not count; nor do datagrams."""
    assert matched("encrypted_stream", sent(TCP, NOISE, NOISE, Down(NOISE))) == [0]
    assert matched("encrypted_stream", sent(TCP, b"GET / HTTP/1.1\r\n\r\n", NOISE)) == []
    assert matched("encrypted_stream", sent(UDP, NOISE)) == []


# ------------------------------------------------------------------ what sizes show


def test_three_large_packets_and_an_answer_show_a_tunnel() -> None:
    """From the packet on that makes it so; 411 bytes are large, 410 are not."""
    large, small = NOISE[:411], NOISE[:410]
    assert matched("tls_in_tunnel", sent(TCP, large, Down(b"a"), large, large, small)) == [3, 4]
    assert matched("tls_in_tunnel", sent(TCP, large, large, large, Down(b"a"))) == [3]
    assert matched("tls_in_tunnel", sent(TCP, large, Down(b"a"), large, small, small)) == []
    assert matched("tls_in_tunnel", sent(TCP, large, large, large, large)) == []
    assert matched("tls_in_tunnel", sent(UDP, large, Down(b"a"), large, large)) == []


def test_the_tunnels_own_hello_does_not_count() -> None:
    """However many segments it takes; what is neither TLS nor noise is not asked about."""
    large = NOISE[:600]
    assert matched("tls_in_tunnel", sent(TCP, *CHROMIUM, Down(b"a"), large, large, large)) == [5]
    assert matched("tls_in_tunnel", sent(TCP, *CHROMIUM, Down(b"a"), large, large)) == []
    http = b"POST / HTTP/1.1\r\n\r\n" + bytes(600)
    assert matched("tls_in_tunnel", sent(TCP, http, Down(b"a"), large, large, large)) == []


@pytest.mark.parametrize("file", ["tls_curl", "shadowsocks_curl"])
def test_one_small_request_over_tls_is_not_enough(file: str) -> None:
    """Neither by itself nor inside Shadowsocks: measured with curl."""
    assert matched("tls_in_tunnel", flows(file)[0]) == []


CCS = bytes.fromhex("140303000101") + bytes(58)


@pytest.mark.parametrize(
    ("up", "down", "is_it"),
    [
        ((600, 50), (175,), True),
        ((586,), (170,), True),
        ((586,), (180,), True),
        ((586,), (181,), False),
        ((586,), (169,), False),
        ((586,), (1400, 1600), True),
        ((586,), (2999,), False),
        ((586,), (7500,), True),
        ((586,), (7501,), False),
        ((585,), (175,), False),
        ((936,), (175,), True),
        ((937,), (175,), False),
    ],
)
def test_trojan_is_known_by_what_follows_the_clients_change_of_ciphers(
    up: tuple[int, ...], down: tuple[int, ...], is_it: bool
) -> None:
    """650 to 1000 bytes up, of which 64 are this segment's, and one of two spans down."""
    before = [HELLO, Down(NOISE)]
    after = [*(NOISE[:size] for size in up), *(Down((NOISE * 6)[:size]) for size in down)]
    flow = sent(TCP, *before, CCS, *after, b"more")

    assert matched("trojan", flow) == ([len(flow) - 1] if is_it else [])
    assert matched("trojan", sent(TCP, *before, *after, b"more")) == []


# ------------------------------------------------------------------ OpenVPN, WireGuard

RESETS = ("plain_udp", "auth_udp", "crypt_udp", "cryptv2_udp", "plain_tcp", "crypt_tcp")


@pytest.mark.parametrize("kind", RESETS)
def test_openvpn_shows_with_the_clients_packet_after_both_resets(kind: str) -> None:
    """Whatever wraps it; with the third packet, not before."""
    flow = flows(f"openvpn_{kind}")[0]
    assert [packet.upwards for packet in flow[:3]] == [True, False, True]
    assert matched("openvpn", flow)[0] == 2
    assert matched("openvpn", [flow[0], flow[2]]) == []
    assert matched("openvpn", flow[1:]) == []


SESSION, OTHER = bytes(range(8)), bytes(range(8, 16))
RESET = b"\x38" + SESSION + bytes(5)
ANSWER = Down(b"\x40" + OTHER + b"\1" + bytes(4) + SESSION + bytes(4))


@pytest.mark.parametrize(
    ("packets", "is_it"),
    [
        ((RESET, ANSWER, b"\x28" + SESSION + bytes(13)), True),
        ((RESET, ANSWER, b"\x20" + SESSION + bytes(80)), True),
        ((RESET, RESET, ANSWER, b"\x20" + SESSION + bytes(80)), True),
        ((b"\x50" + RESET[1:], ANSWER, b"\x20" + SESSION + bytes(80)), True),
        ((RESET, ANSWER, b"\x20" + OTHER + bytes(80)), False),
        ((RESET, ANSWER, b"\x48" + SESSION + bytes(80)), False),
        ((RESET, Down(b"\x20" + ANSWER[1:]), b"\x20" + SESSION + bytes(80)), False),
        ((b"\x30" + RESET[1:], ANSWER, b"\x20" + SESSION + bytes(80)), False),
        ((RESET, b"\x20" + SESSION + bytes(80)), False),
    ],
)
def test_openvpns_opcodes_have_an_order(packets: tuple[bytes, ...], is_it: bool) -> None:
    """An acknowledgement of its own, as versions before 2.6 send it, or a control packet."""
    assert bool(matched("openvpn", sent(UDP, *packets))) is is_it


def test_openvpn_over_tcp_may_be_cut_anywhere() -> None:
    """Its packets are behind their lengths, not at the beginning of segments."""
    framed = [
        type(one)(len(one).to_bytes(2) + one)
        for one in (RESET, ANSWER, b"\x20" + SESSION + bytes(80))
    ]
    pieces = (
        framed[0][:3],
        framed[0][3:],
        framed[1],
        framed[2][:7],
        framed[2][7:20],
        framed[2][20:],
    )
    assert matched("openvpn", sent(TCP, *pieces)) == [4, 5]


# ------------------------------------------------------------------ whatever comes


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=10), st.randoms())
def test_garbage_never_raises(payloads: list[bytes], random: Random) -> None:
    """Every signature, behind heads that are right, in packets that are out of place."""
    heads = (
        b"",
        HELLO[:40],
        b"\xef",
        b"\xee" * 4,
        b"\xdd" * 4,
        RESET,
        b"\0" + b"\x0e" + RESET,
        CCS,
    )
    for transport in Transport:
        packets = [
            Packet(
                transport,
                CLIENT,
                SERVER,
                random.choice(heads) + data,
                random.random() < 0.6,
                random.choice((0, random.randrange(200))),
            )
            for data in payloads
        ]
        recognised(packets)
