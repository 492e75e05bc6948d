"""Every signature against every protocol: what each flow of the captures is recognised as."""

from pathlib import Path
from random import Random

import pytest

from circumtest.censor.signatures import ALL, SIGNATURES
from circumtest.model import Transport
from tests.unit.censor.flows import Down, flows, recognised, sent

OVPN = {"openvpn-reset": 1, "openvpn": 4}
STUN = {"stun": 6, "turn-allocate": 2}
MATRIX: dict[str, list[dict[str, int]]] = {
    "aiortc_p2p": [{"stun": 8, "dtls-client-hello": 1, "dtls": 5, "rtp": 590}],
    "awg_H_only": [{}],
    "awg_S_only": [{"wireguard-data": 7}],
    "awg_full": [{}],
    "awg_full_I1_quic": [{"quic": 1}],
    "awg_full_I1_stun": [{"stun": 1}],
    "awg_full_I1_wa": [{"stun": 1, "whatsapp-call": 1}],
    "awg_junk_only": [{"wireguard-initiation": 1, "wireguard-response": 1, "wireguard-data": 7}],
    "chromium_dtls13_hello": [{"dtls-client-hello": 2, "dtls": 2}],
    "fb_turn": [STUN | {"stun-facebook": 2}],
    "google_turn": [STUN],
    "http_curl": [{"http": 1}],
    "openvpn_auth_udp": [OVPN],
    "openvpn_crypt_tcp": [OVPN | {"fully-encrypted": 1}],
    "openvpn_crypt_udp": [OVPN],
    "openvpn_cryptv2_udp": [OVPN],
    "openvpn_plain_tcp": [OVPN],
    "openvpn_plain_udp": [OVPN],
    "pion_dtls_hello": [{"dtls-client-hello": 1, "dtls-pion": 1, "dtls": 1}],
    "plain_turn": [STUN],
    "quic_chromium": [{"quic": 4, "quic-443": 4, "ech": 3}],
    "shadowsocks_curl": [{"fully-encrypted": 1}],
    "signal_turn": [STUN | {"stun-signal": 2}],
    "socks4_curl": [{"socks4": 1}],
    "socks5_curl": [{"socks5": 1}],
    "socks5_curl_user": [{"socks5": 1}],
    "ssh_openssh": [{"ssh": 1}],
    "tg_mtproto": [{"mtproto": 2}, {"mtproto": 2}, {"mtproto": 2}, {"fully-encrypted": 1}],
    "tg_reflector_596": [{"telegram-reflector": 3}],
    "tg_reflector_598_tag_has_ff": [{"telegram-reflector": 3}],
    "tg_reflector_tcp_call": [{"telegram-reflector-tcp": 1}],
    "tg_reflector_tcp_setup": [{"telegram-reflector-tcp": 1}] * 2,
    "tg_reflector_udp_call": [{"telegram-reflector": 2}],
    "tg_turn_1400": [STUN | {"telegram-turn": 3, "stun-telegram": 2}],
    "tg_turn_coturn_call": [
        {
            "stun": 11,
            "telegram-turn": 6,
            "turn-allocate": 2,
            "stun-telegram": 4,
            "turn-channel": 229,
        }
    ],
    "tls12_openssl": [{"tls": 1}],
    "tls_chromium": [{"tls": 2, "ech": 1}],
    "tls_curl": [{"tls": 1}],
    "tls_tor": [{"tls": 1, "tor": 1}],
    "trojan_curl": [{"tls": 1, "trojan": 2}],
    "viber_turn": [STUN | {"stun-viber": 2}],
    "vless_tls_curl": [{"tls": 1, "trojan": 2}],
    "wa_alloc_2019": [{"stun": 4, "turn-allocate": 2, "whatsapp-call": 2, "stun-whatsapp": 4}],
    "wa_alloc_2023": [STUN | {"whatsapp-call": 4, "stun-whatsapp": 4}],
    "wa_noise_ED_xx_443": [{}],
    "wa_noise_xx_443": [{"fully-encrypted": 1}],
    "wg_plain": [{"wireguard-initiation": 1, "wireguard-response": 1, "wireguard-data": 7}],
}
"""By capture, for each of its flows: how many packets each signature matches, and no other does."""
NOT_CAPTURED = {
    "sip",
    "stun-tcp",
    "zoom-stun",
    "discord-discovery",
    "dns",
    "wireguard-cookie",
    "tls-in-tls",
    "stun-google",
    "stun-microsoft",
    "whatsapp-media",
}
"""Those that are tried elsewhere, on bytes written for it."""


@pytest.mark.parametrize("file", MATRIX)
def test_each_flow_is_recognised_as_what_it_is_and_as_nothing_else(file: str) -> None:
    """Real programs' flows: just so many packets match each signature, none match the others."""
    assert [dict(recognised(packets)) for packets in flows(file)] == MATRIX[file]


def test_every_signature_is_in_the_matrix_or_said_not_to_be() -> None:
    """Otherwise it would be tried against nothing of its own."""
    found = {name for rows in MATRIX.values() for row in rows for name in row}

    assert found | NOT_CAPTURED == set(SIGNATURES)
    assert not found & NOT_CAPTURED


@pytest.mark.parametrize("transport", Transport)
def test_noise_is_hardly_ever_taken_for_a_protocol(transport: Transport) -> None:
    """2000 packets of noise each way are at most fully encrypted, which they are."""
    random = Random(5)
    names = set()
    for _ in range(100):
        payloads = (
            random.choice((bytes, Down))(random.randbytes(random.randrange(1, 1400)))
            for _ in range(40)
        )
        names |= set(recognised(sent(transport, *payloads)))

    assert names <= {"fully-encrypted", "tls-in-tls"}


SHORT = {
    "socks5": ["050100", "05020001", "05020002", "0503000102"],
    "http": [
        line.encode().hex()
        for line in (
            "GET / HTTP/1.1",
            "PATCH /whip/1 HTTP/1.1",
            "POST http://lab.example/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "CONNECT lab.example:443 HTTP/1.1",
        )
    ],
    "ssh": [b"SSH-2.0-lab".hex(), b"SSH-1.99-lab".hex()],
}


@pytest.mark.parametrize(("name", "data"), [(n, data) for n in SHORT for data in SHORT[n]])
def test_a_streams_first_bytes_are_enough_where_they_are_the_protocols(
    name: str, data: str
) -> None:
    """In one segment, which is how clients send them; over UDP they mean nothing."""
    assert name in recognised(sent(Transport.TCP, bytes.fromhex(data)))
    assert name not in recognised(sent(Transport.UDP, bytes.fromhex(data)))


@pytest.mark.parametrize(
    ("data", "port", "expected"),
    [
        ("c300000001" + "00" * 1195, 443, {"quic", "quic-443"}),
        ("c300000001" + "00" * 1195, 8443, {"quic"}),
        ("c300000001" + "00" * 1194, 443, {"quic-443"}),
        ("c300000001" + "00" * 996, 443, {"quic-443"}),
        ("c300000001" + "00" * 995, 443, set()),
        ("d36b3343cf" + "00" * 1195, 443, {"quic"}),
        ("c36b3343cf" + "00" * 1195, 443, set()),
        ("ff0000001d" + "00" * 1195, 443, set()),
    ],
)
def test_quic_is_an_initial_or_a_version_on_port_443(
    data: str, port: int, expected: set[str]
) -> None:
    """Of version 2 the type has another number; drafts and what is too short are none."""
    assert set(recognised(sent(Transport.UDP, bytes.fromhex(data), port=port))) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("02000000" + "aa" * 88, {"wireguard-response"}),
        ("02000000" + "aa" * 87, set()),
        ("03000000" + "aa" * 60, {"wireguard-cookie"}),
        ("03000001" + "aa" * 60, set()),
        ("04000000" + "aa" * 28, {"wireguard-data"}),
        ("04000000" + "aa" * 12, set()),
        ("04000000" + "aa" * 29, set()),
        ("04000100" + "aa" * 28, set()),
        ("38" + "aa" * 8 + "0000000000", {"openvpn-reset"}),
        ("38" + "aa" * 8 + "000000000000", set()),
        ("38" + "aa" * 8 + "0100000000", set()),
        ("38" + "aa" * 28 + "0000000165000000" + "0000000000", {"openvpn-reset"}),
        ("38" + "aa" * 72 + "0000000165000000" + "0000000000", {"openvpn-reset"}),
        ("38" + "aa" * 8 + "00000001" + "aa" * 41, {"openvpn-reset"}),
        ("38" + "aa" * 53, set()),
        ("17fefd0001" + "00" * 30, {"dtls"}),
        ("17fefd0101" + "00" * 30, set()),
        ("2efefd0001" + "00" * 30, set()),
    ],
)
def test_one_datagram_is_enough_where_its_bytes_are_the_protocols(
    data: str, expected: set[str]
) -> None:
    """And a datagram that is one step beside it is not it."""
    assert set(recognised(sent(Transport.UDP, bytes.fromhex(data)))) == expected


def test_all_that_a_rule_can_name_has_another_name_and_a_source() -> None:
    """The table's keys are the signatures' names, and each says who says so."""
    assert all(name == signature.name for name, signature in ALL.items())
    assert all(signature.source for signature in ALL.values())
    assert all(signature.shapes or signature.sees for signature in ALL.values())


@pytest.mark.parametrize("name", ALL)
def test_every_signature_is_in_the_documents_table(name: str) -> None:
    """Who writes a policy finds it there."""
    page = Path(__file__).parents[3] / "docs" / "policies.md"
    assert f"`{name}`" in page.read_text(encoding="utf-8")
