"""What AmneziaWG's module and daemon are told, and what they answer."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wireguard.amnezia import Amnezia, parse
from circumtest.wireguard.amnezia_device import counters, lines, settings
from circumtest.wireguard.uapi import Counters, configure
from tests.unit.wireguard.test_amnezia import HEADERS, JUNK, KEY, PLAIN, STUN

TEXT = PLAIN.replace("[Peer]", f"{JUNK}{HEADERS}{STUN}S3 = 4\n[Peer]")


def test_the_daemon_is_told_its_keys_before_any_peer() -> None:
    """In small letters, with the values of the file (amneziawg-go, device/uapi.go)."""
    quick, amnezia, _ = parse(TEXT, "awg.conf")
    request = configure(quick.private_key, 0, quick.peers, lines(amnezia)).decode()
    told = request.split("public_key=")[0].splitlines()
    assert told[3:-1] == [
        *("jc=5", "jmin=40", "jmax=70", "s3=4"),
        *("h1=982631927", "h2=1372728081", "h3=7", "h4=727489187"),
        "i1=<b 0x000100002112a442><r 12>",
    ]


def test_the_module_is_told_by_a_file_that_reads_back_the_same() -> None:
    """What `awg setconf` knows, and nothing that only wg-quick does."""
    quick, amnezia, _ = parse(TEXT, "awg.conf")
    said = settings(quick.private_key, 51820, quick.peers, amnezia)
    again = parse(said.replace("[Peer]", "Address = 10.9.0.2/32\n[Peer]"), "again")
    assert again[0].private_key == quick.private_key
    assert again[0].peers == quick.peers
    assert again[1] == amnezia
    assert again[1].given == amnezia.given
    assert "Address" not in said
    assert "ListenPort = 51820" in said


def test_without_its_keys_it_is_plain_wireguard() -> None:
    """Nothing is added that the file does not say."""
    assert lines(Amnezia()) == ()


def test_all_peers_are_summed_up() -> None:
    """The latest handshake among them; the first line is the device's own."""
    peer = f"{KEY}\t(none)\t192.0.2.1:1\t0.0.0.0/0"
    dump = f"a\tb\t1\toff\t5\n{peer}\t17\t100\t20\toff\n{peer}\t0\t1\t2\t25\n"
    assert counters(dump) == Counters(17.0, 101, 22)
    assert counters("") == Counters()


@given(st.text(max_size=80))
def test_garbage_is_a_value_error(text: str) -> None:
    """Or nothing at all."""
    with suppress(ValueError):
        assert isinstance(counters(f"device\n{text}"), Counters)


def test_half_a_line_is_refused() -> None:
    """Another program's output must not be read as silence."""
    with pytest.raises(ValueError, match="awg show dump"):
        counters("device\nnothing\n")
