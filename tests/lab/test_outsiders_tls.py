"""nDPI, which is not ours, reads the same hellos as we do and gives the same names to flows."""

import pytest
from nfstream import NFStreamer

from circumtest.censor.hello import hello_of
from tests.unit.censor.flows import DATA, flows, recognised

HELLOS = ("tls_curl", "tls12_openssl", "tls_tor", "quic_chromium")
"""nDPI 5.0 says nothing of a TLS hello that is longer than a segment, as Chromium's."""
LABELS = {
    "tls_curl": ("TLS", "tls"),
    "tls_tor": ("TLS.Tor", "tor"),
    "quic_chromium": ("QUIC", "quic"),
    "openvpn_plain_udp": ("OpenVPN", "openvpn"),
    "openvpn_auth_udp": ("OpenVPN", "openvpn"),
    "openvpn_crypt_udp": ("OpenVPN", "openvpn"),
    "openvpn_cryptv2_udp": ("OpenVPN", "openvpn"),
    "openvpn_plain_tcp": ("OpenVPN", "openvpn"),
    "openvpn_crypt_tcp": ("OpenVPN", "openvpn"),
    "ssh_openssh": ("SSH", "ssh"),
    "http_curl": ("HTTP", "http"),
    "socks4_curl": ("SOCKS", "socks4"),
    "socks5_curl": ("SOCKS", "socks5"),
    "socks5_curl_user": ("SOCKS", "socks5"),
    "shadowsocks_curl": ("Unknown", "fully-encrypted"),
}
"""By capture: nDPI's label, and which of our signatures says the same."""


@pytest.mark.parametrize("name", HELLOS)
def test_ndpi_reads_the_same_hello(name: str) -> None:
    """JA4 and server name, of TLS and of QUIC, whose hello is in two sealed datagrams."""
    flow = flows(name)[0]
    ours = hello_of(flow[0].transport, [packet.payload for packet in flow if packet.upwards])
    (theirs,) = NFStreamer(source=str(DATA / f"{name}.pcap"), n_meters=1)

    assert ours is not None
    assert theirs.client_fingerprint == ours.ja4
    assert theirs.requested_server_name == ours.name


@pytest.mark.parametrize("name", LABELS)
def test_ndpi_calls_a_flow_what_our_signatures_call_it(name: str) -> None:
    """Where both know the protocol; Shadowsocks is noise to both."""
    label, signature = LABELS[name]
    (theirs,) = NFStreamer(source=str(DATA / f"{name}.pcap"), n_meters=1)

    assert theirs.application_name == label
    assert signature in recognised(flows(name)[0])
