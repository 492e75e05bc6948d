"""A tunnel's own server is found by what configurations say, whatever they mean."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.servers import servers_at
from circumtest.model import Address

HOST = "192.0.2.7"


def test_ports_behind_the_host_are_the_servers() -> None:
    """In WireGuard's way, OpenVPN's, a link's; by name, too; and of nobody else."""
    texts = [
        f"[Peer]\nEndpoint = {HOST}:51820\n",
        f"remote {HOST} 1194 udp\nremote 192.0.2.70 1195",
        f"socks5://someone:secret@{HOST}:1080",
        "remote vpn.example 1196",
        f"{HOST} and 5 words",
    ]

    assert servers_at(texts, {HOST, "vpn.example"}) == tuple(
        Address(HOST, port) for port in (1080, 1194, 1196, 51820)
    )
    assert servers_at(["Endpoint = [2001:db8::7]:443"], {"2001:db8::7"}) == (
        Address("2001:db8::7", 443),
    )
    assert servers_at(texts, ()) == ()


@given(st.text(), st.text(min_size=1))
def test_no_text_is_too_odd(text: str, host: str) -> None:
    """Whatever stands in a file."""
    servers_at([text], {host})
