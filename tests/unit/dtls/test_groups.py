"""Agreements: both halves get the same secret, and garbage is a ValueError."""

from contextlib import suppress
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem
from hypothesis import given
from hypothesis import strategies as st

from circumtest.dtls.groups import P256, P384, X25519, X25519MLKEM768, answer, share

ALL = (P256, P384, X25519, X25519MLKEM768)


@pytest.mark.parametrize("group", [P256, P384, X25519])
def test_both_halves_agree(group: int) -> None:
    """And the same chance draws the same key."""
    one, two = share(group, Random(1)), share(group, Random(2))

    assert one.agree(two.public) == two.agree(one.public)
    assert share(group, Random(1)).public == one.public != two.public


def test_a_hybrid_agrees_on_both_of_its_secrets() -> None:
    """ML-KEM's first, as its server half is answered by who encapsulates."""
    ours, classic = share(X25519MLKEM768, Random(1)), share(X25519, Random(2))
    lattice = mlkem.MLKEM768PublicKey.from_public_bytes(ours.public[:1184])
    secret, ciphertext = lattice.encapsulate()

    assert len(ours.public) == 1216
    agreed = ours.agree(ciphertext + classic.public)
    assert agreed == secret + classic.agree(ours.public[1184:])


@pytest.mark.parametrize("group", ALL)
def test_a_server_answers_a_share_with_its_own_and_the_secret(group: int) -> None:
    """In the hybrid with a ciphertext, which nobody can draw twice."""
    ours = share(group, Random(1))
    public, secret = answer(group, ours.public, Random(2))

    assert ours.agree(public) == secret
    assert (answer(group, ours.public, Random(2)) == (public, secret)) == (group != X25519MLKEM768)


def test_an_unknown_group_is_a_value_error() -> None:
    """Who chooses one has chosen what was not offered."""
    with pytest.raises(ValueError, match="0x0019"):
        share(0x0019, Random(1))


@given(st.sampled_from(ALL), st.binary(max_size=100))
def test_garbage_for_a_share_is_a_value_error(group: int, data: bytes) -> None:
    """And zeros, where they would give a secret that everybody knows."""
    ours = share(group, Random(1))
    with suppress(ValueError):
        ours.agree(data)
    with suppress(ValueError):
        answer(group, data, Random(2))
    with suppress(ValueError):
        answer(group, data * 13, Random(2))
    with pytest.raises(ValueError):
        ours.agree(bytes(len(ours.public)))
    with pytest.raises(ValueError):
        answer(group, bytes(len(ours.public)), Random(2))
