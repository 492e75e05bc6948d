"""Each shape held to the bytes of the program that it is like, and to a real server."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import dpkt
import pytest

from circumtest import dtls, identity
from circumtest.dtls import Shape
from circumtest.dtls.flight import Assembly
from circumtest.dtls.shapes import shaped
from circumtest.wire.dtls import HANDSHAKE, KEY_SHARE, V10, V12, ClientHello, fragments, records
from circumtest.wire.ja4 import ja4

DATA = Path(__file__).parents[2] / "data"
OWN = identity.certificate("shapes", "caller")
REFLECTED = 24
"""Bytes of a reflector's header before what a Telegram call carries."""


def payloads(name: str, skip: int = 0) -> Iterator[bytes]:
    """What UDP carries in a capture, behind `skip` bytes."""
    with (DATA / name).open("rb") as file:
        for _, raw in dpkt.pcap.Reader(file):
            layer4 = getattr(dpkt.ethernet.Ethernet(raw).data, "data", None)
            if isinstance(layer4, dpkt.udp.UDP):
                yield bytes(layer4.data)[skip:]


def first_hello(datagrams: Iterator[bytes] | list[bytes]) -> tuple[int, ClientHello]:
    """The version of the first ClientHello's records, and the hello."""
    assembly = Assembly()
    for datagram in datagrams:
        if datagram[:2] != b"\x16\xfe":
            continue
        size = int.from_bytes(datagram[11:13])
        for record in records(datagram[: 13 + size]):
            assert record.kind == HANDSHAKE
            for piece in fragments(record.body):
                assembly.put(piece, 0)
            if (message := assembly.take((0,))) is not None:
                return record.version, ClientHello.unpack(message.body)
    raise AssertionError("no ClientHello")


def ours(shape: Shape, seed: int = 1) -> tuple[int, ClientHello]:
    """The same of what a client of ours sends."""
    return first_hello(dtls.client(shape, OWN, Random(seed)).start(0.0))


REAL = {
    Shape.LIBWEBRTC: ("tg_reflector_udp_setup.pcap", REFLECTED),
    Shape.CHROMIUM: ("chromium_dtls13_hello.pcap", 0),
    Shape.PION: ("pion_dtls_hello.pcap", 0),
    Shape.OPENSSL: ("aiortc_p2p.pcap", 0),
}


@pytest.mark.parametrize("shape", REAL)
def test_a_hello_has_the_bytes_of_the_real_one(shape: Shape) -> None:
    """But for the random and the shares of keys, and the order of extensions that it shuffles.

    Everything else is equal: the records' version, lists and their order, every extension's body.
    """
    version, real = first_hello(payloads(*REAL[shape]))
    own_version, own = ours(shape)
    shuffles = shape in (Shape.LIBWEBRTC, Shape.CHROMIUM)

    assert own_version == version
    assert (own.version, own.session, own.cookie) == (real.version, real.session, real.cookie)
    assert (own.ciphers, own.compressions) == (real.ciphers, real.compressions)
    assert ja4(own) == ja4(real)
    mine, theirs = (
        [(kind, len(body) if kind == KEY_SHARE else body) for kind, body in hello.extensions]
        for hello in (own, real)
    )
    assert (sorted(mine) if shuffles else mine) == (sorted(theirs) if shuffles else theirs)
    assert len(own.pack()) == len(real.pack())


def test_the_fragments_of_a_long_hello_are_those_of_the_real_one() -> None:
    """Chromium's with its post-quantum share takes two datagrams."""
    real = [len(payload) for payload in payloads("chromium_dtls13_hello.pcap")]
    own = dtls.client(Shape.CHROMIUM, OWN, Random(1)).start(0.0)

    assert [len(datagram) for datagram in own] == real == [1200, 263]


@pytest.mark.parametrize("shape", [Shape.LIBWEBRTC, Shape.CHROMIUM, Shape.RANDOM])
def test_what_is_shuffled_differs_from_hello_to_hello(shape: Shape) -> None:
    """And the same chance gives the same hello."""
    orders = {tuple(kind for kind, _ in ours(shape, seed)[1].extensions) for seed in range(20)}

    assert len(orders) > 10
    assert ours(shape, 3) == ours(shape, 3)


@pytest.mark.parametrize("shape", [Shape.LIBWEBRTC, Shape.CHROMIUM, Shape.PION])
def test_a_second_hello_is_the_first_but_for_its_chance(shape: Shape) -> None:
    """Nothing of a program's shape is drawn."""
    fingerprints = {ja4(ours(shape, seed)[1]) for seed in range(5)}

    assert len(fingerprints) == 1
    assert len({ours(shape, seed)[1].random for seed in range(5)}) == 5


def test_random_hellos_are_many_and_none_is_a_programs() -> None:
    """By their JA4, which does not even count the order."""
    found = {ja4(ours(Shape.RANDOM, seed)[1]) for seed in range(50)}
    known = {ja4(ours(shape)[1]) for shape in REAL}

    assert len(found) > 45
    assert not found & known


def test_records_say_what_the_programs_records_say() -> None:
    """Everybody begins with DTLS 1.0, but pion."""
    said = {shape: ours(shape)[0] for shape in Shape}

    assert said.pop(Shape.PION) == V12
    assert set(said.values()) == {V10}


@pytest.mark.parametrize("shape", [shape for shape in Shape if shape is not Shape.OPENSSL])
def test_the_halves_of_agreements_that_are_offered_are_ours(shape: Shape) -> None:
    """Each share in the hello belongs to a key that is kept."""
    made = shaped(shape, Random(5))
    body = made.hello.get(KEY_SHARE) or b""

    assert all(share.public in body for share in made.shares.values())
    assert bool(made.shares) == (shape is Shape.CHROMIUM)
