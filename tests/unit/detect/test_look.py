"""From packets to how they look."""

import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.appearance import FIRST, Appearance, Named, Other
from circumtest.detect.frames import TCP, UDP
from circumtest.detect.look import look
from tests.unit.packets import capture, ipv4, stream, tcp, udp


def looked(frames: list[tuple[float, bytes]]) -> Appearance:
    """Where there is something to look at."""
    found = look(frames)
    assert found is not None
    return found


def test_wireguard_looks_like_wireguard() -> None:
    """By nDPI, by its first packet, and by its sizes."""
    found = looked(capture("wg_plain"))

    assert (found.over, found.packets) == ("udp", 9)
    assert found.ndpi == found.heuristics == Named("WireGuard", 2, "DPI")
    assert found.signatures[0] == "wireguard-initiation"
    assert found.sizes[:4] == (148, -92, 128, -128)
    assert len(found.sizes) <= FIRST
    assert found.times[0] == 0.0
    assert list(found.times) == sorted(found.times)
    assert found.fully_encrypted is None


def test_a_messenger_s_first_segment_looks_like_random_bytes() -> None:
    """As it does to the heuristic of Wu et al.: collateral damage that was told."""
    found = looked(capture("tg_mtproto"))

    assert found.over == "tcp"
    assert found.fully_encrypted is True
    assert found.set_bits is not None
    assert 3.4 < found.set_bits < 4.6


def test_a_segment_that_comes_again_has_no_size_and_printable_bytes_are_not_random() -> None:
    """Retransmissions are the network's doing."""
    found = looked(stream((b"SSH-2.0-x\r\n", 0), (b"SSH-2.0-x\r\n", 0), (b"more", 11)))

    assert found.sizes == (11, 4)
    assert found.times == (0.1, 0.3)
    assert found.fully_encrypted is False
    assert found.packets == 4


def test_random_bytes_are_fully_encrypted_and_no_name_is_known_for_them() -> None:
    """A stream of which the beginning is missing is looked at all the same."""
    chance = Random(5).randbytes(200)
    for opening in (True, False):
        found = looked(stream((chance, 0), opening=opening))
        assert found.fully_encrypted is True
        assert found.ndpi == Named()
        assert found.set_bits == round(int.from_bytes(chance).bit_count() / 200, 2)


def test_of_several_flows_the_one_with_most_bytes_is_the_tunnel_s() -> None:
    """The others are told together, by what they are called."""
    esp = [(9.0, ipv4(50, bytes(range(256)) * 5))]
    found = looked([*capture("wg_plain"), *stream((b"x", 0)), *esp])

    assert (found.over, found.port) == ("ip 50", 0)
    assert found.others == (
        Other("udp", 1, 1292, "WireGuard"),
        Other("tcp", 1, found.others[1].bytes, found.others[1].label),
    )


def test_where_nothing_passed_there_is_nothing_to_see() -> None:
    """And what only keeps a network going is nothing."""
    assert look([]) is None
    assert look([(0.0, ipv4(1, bytes(8))), (0.0, b"?")]) is None


def test_without_ndpi_the_appearance_says_so_and_has_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An extra that is missing costs its column only."""
    monkeypatch.setitem(sys.modules, "_lib_engine", None)
    found = looked(capture("wg_plain"))

    assert (found.ndpi, found.heuristics) == (None, None)
    assert found.engine == "nDPI is not installed"
    assert found.signatures


@settings(max_examples=20, deadline=None)  # two engines each
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_in_flows_is_looked_at_and_raises_nothing(payloads: list[bytes]) -> None:
    """Over UDP and TCP."""
    frames = [(float(n), ipv4(UDP, udp(one))) for n, one in enumerate(payloads)]
    frames += [(9.0, ipv4(TCP, tcp(one, n, n * 7))) for n, one in enumerate(payloads)]

    assert (look(frames) is None) == (not payloads)
