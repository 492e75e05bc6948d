"""The configuration protocol of wireguard-go, as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wireguard import uapi
from circumtest.wireguard.quick import Peer


def test_a_configuration_is_one_request() -> None:
    """Hexadecimal keys, bracketed IPv6 endpoints, every network, an empty line at the end."""
    peer = Peer(b"\2" * 32, ("0.0.0.0/0", "::/0"), ("2001:db8::1", 51820), b"\3" * 32, 25)
    assert uapi.configure(b"\1" * 32, 0, (peer,)).decode().splitlines() == [
        "set=1",
        "private_key=" + "01" * 32,
        "listen_port=0",
        "replace_peers=true",
        "public_key=" + "02" * 32,
        "preshared_key=" + "03" * 32,
        "endpoint=[2001:db8::1]:51820",
        "persistent_keepalive_interval=25",
        "allowed_ip=0.0.0.0/0",
        "allowed_ip=::/0",
        "",
    ]


def test_counters_add_up_over_peers() -> None:
    """Bytes are summed, the latest handshake counts."""
    peer = "last_handshake_time_sec={}\nlast_handshake_time_nsec=500000000\n"
    text = "private_key=00\n" + (peer + "tx_bytes=7\nrx_bytes=5\n").format(3)
    text += (peer + "tx_bytes=1\nrx_bytes=0\n").format(0) + "errno=0\n\n"
    assert uapi.counters(text.encode()) == uapi.Counters(3.5, 5, 8)


def test_a_refusal_is_its_errno() -> None:
    """`errno` is the last line of every answer."""
    assert uapi.refused(b"errno=-22\n\n") == -22
    assert uapi.refused(b"errno=0\n\n") == 0


@given(st.binary(max_size=80))
def test_garbage_is_a_value_error(data: bytes) -> None:
    """A foreign socket at the daemon's place must not crash the harness."""
    with pytest.raises(ValueError):
        uapi.counters(data)
    with pytest.raises(ValueError):
        uapi.refused(data)
