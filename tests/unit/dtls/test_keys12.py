"""DTLS 1.2's secrets held to published vectors; records sealed, opened, and refused."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.dtls.keys12 import SUITES, Protection, prf, protections, record_seal, verify_data
from circumtest.wire.dtls import records

MASTER, CLIENT, SERVER = bytes(48), bytes(32), b"\1" * 32
SUITE = st.sampled_from(sorted(SUITES))
# Vectors that went round the IETF's TLS list in 2009: TLS 1.2's PRF with SHA-256 and SHA-384.
PRF = {
    "sha256": (
        "9bbe436ba940f017b17652849a71db35",
        "a0ba9f936cda311827a6f796ffd5198c",
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
        "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"
        "4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66",
    ),
    "sha384": (
        "b80b733d6ceefcdc71566ea48e5567df",
        "cd665cf6a8447dd6ff8b27555edb7465",
        "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd"
        "e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd"
        "8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
        "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6"
        "91c8f3a26854308d5eaa3be85e0990703d73e56f",
    ),
}


def made(suite: int, seed: int = 1) -> tuple[Protection, Protection]:
    """Both directions' keys."""
    return protections(SUITES[suite], MASTER, CLIENT, SERVER, Random(seed).randbytes)


@pytest.mark.parametrize("digest", PRF)
def test_the_prf_is_that_of_the_vectors(digest: str) -> None:
    """With the label of their makers."""
    secret, seed, expected = (bytes.fromhex(text) for text in PRF[digest])
    assert prf(digest, secret, b"test label", seed, len(expected)) == expected


def test_the_two_finished_differ() -> None:
    """By who says it, and by what was said before."""
    ours = verify_data("sha256", MASTER, b"client", bytes(32))

    assert len(ours) == 12
    assert ours != verify_data("sha256", MASTER, b"server", bytes(32))
    assert ours != verify_data("sha256", MASTER, b"client", SERVER)


@given(SUITE, st.binary(max_size=200), st.integers(0, (1 << 48) - 1))
def test_what_is_sealed_is_opened(suite: int, plain: bytes, seq: int) -> None:
    """By the same keys, under the same number and type, and by nothing else."""
    client, server = made(suite)
    number = 1 << 48 | seq
    sealed = client.seal(22, number, plain)

    assert made(suite)[0].open(22, number, sealed) == plain
    for keys, kind, other in ((server, 22, number), (client, 21, number), (client, 22, number + 1)):
        with pytest.raises(ValueError):
            keys.open(kind, other, sealed)


@given(SUITE, st.binary(max_size=60), st.data())
def test_one_changed_bit_anywhere_is_noticed(suite: int, plain: bytes, data: st.DataObject) -> None:
    """IV, content, padding, tag."""
    client, _ = made(suite)
    sealed = bytearray(client.seal(22, 1 << 48, plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(ValueError):
        client.open(22, 1 << 48, bytes(sealed))


@given(SUITE, st.binary(max_size=100))
def test_garbage_is_not_opened(suite: int, data: bytes) -> None:
    """Of any size."""
    with pytest.raises(ValueError):
        made(suite)[0].open(22, 1 << 48, data)


def test_a_sealed_record_has_its_epoch_and_number() -> None:
    """In the clear: DTLS 1.2 hides neither."""
    client, _ = made(0xC02B)
    (record,) = records(record_seal(client, 1)(22, 5, b"x"))

    assert (record.epoch, record.seq, record.body[:8]) == (1, 5, b"\0\1\0\0\0\0\0\5")
