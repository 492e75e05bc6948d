"""Masks: sizes stay, nothing else does, and both ends agree."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.answer import Mux
from circumtest.handshakes.echo import EchoServer
from circumtest.masked import DOWN, UP, Mask, Masked, Run, unveil, veil
from circumtest.model import Address, Transport
from circumtest.script import Flow
from circumtest.wire import echo

SECRET = "s" * 32
FLOW = Flow(Transport.UDP, Address("192.0.2.1", 1), Address("192.0.2.2", 2))


@given(st.binary(max_size=2000), st.sampled_from(Mask), st.sampled_from((UP, DOWN)))
def test_a_datagram_comes_back_as_it_was_and_has_its_size(
    data: bytes, mask: Mask, way: bytes
) -> None:
    """Under either mask, in either direction."""
    hidden = veil(mask, data, SECRET, way)

    assert len(hidden) == len(data)
    assert unveil(mask, hidden, SECRET, way) == data


@given(st.lists(st.binary(max_size=9000), max_size=6), st.sampled_from(Mask), st.randoms())
def test_a_stream_comes_back_however_it_is_cut(
    chunks: list[bytes], mask: Mask, rng: Random
) -> None:
    """The far end's chunks are not the caller's."""
    up, down = Run(mask, SECRET, UP), Run(mask, SECRET, UP)
    hidden = b"".join(up.turn(chunk) for chunk in chunks)
    plain = b""
    while hidden:
        at = rng.randrange(1, len(hidden) + 1)
        plain, hidden = plain + down.turn(hidden[:at]), hidden[at:]

    assert plain == b"".join(chunks)


def test_random_bytes_have_no_constant_place_even_where_the_packet_has() -> None:
    """One other bit in a packet makes all of it another."""
    packets = [bytes(30) + bytes([number]) + bytes(30) for number in range(64)]
    hidden = [veil(Mask.RANDOM, packet, SECRET, UP) for packet in packets]

    assert min(len(set(column)) for column in zip(*hidden, strict=True)) > 32


@pytest.mark.parametrize("mask", list(Mask))
def test_a_mirror_tells_masks_apart_by_trying(mask: Mask) -> None:
    """Plain, inverted and random callers are answered at one place, each in his way."""
    server = EchoServer(SECRET)
    mux = Mux([server, *(Masked(EchoServer(SECRET), one, SECRET) for one in Mask)])
    asked = echo.request(b"12345678", 64, SECRET.encode())

    (plain,) = mux.receive(FLOW, asked, 0.0)
    (hidden,) = mux.receive(FLOW, veil(mask, asked, SECRET, UP), 0.0)

    assert hidden.data != plain.data
    assert unveil(mask, hidden.data, SECRET, DOWN) == plain.data
