"""Certificate chains and XEdDSA: libsignal's own signature, ours, and everything that is wrong."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from circumtest.wire import protobuf, wacert
from circumtest.wire.noise import KeyPair
from circumtest.wire.wacert import Certificate

NOW = 1_795_000_000
ROOT, MIDDLE, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
STATIC = KeyPair.of(b"\4" * 32).public


def public(private: bytes) -> bytes:
    """The X25519 public key."""
    return KeyPair.of(private).public


def chain(
    leaf: Certificate, middle: Certificate, *, signer: bytes = MIDDLE, root: bytes = ROOT
) -> bytes:
    """Two certificates, signed by whom one likes."""
    bodies = ((1, leaf.pack(), signer), (2, middle.pack(), root))
    return protobuf.pack(
        {n: protobuf.pack({1: body, 2: wacert.sign(key, body)}) for n, body, key in bodies}
    )


LEAF = Certificate(2, 1, STATIC, NOW - 10, NOW + 10)
INTERMEDIATE = Certificate(1, 0, public(MIDDLE), NOW - 10, NOW + 10)


def wrong(data: bytes, static: bytes = STATIC, at: float = NOW) -> str:
    """What is found to be wrong with a chain."""
    return wacert.check_chain(data, public(ROOT), static, at)


def test_a_signature_that_libsignal_made_verifies_and_no_other_text_under_it() -> None:
    """From libsignal's published curve tests: an identity key over an ephemeral public key."""
    identity = bytes.fromhex("ab7e717d4a163b7d9a1d8071dfe9dcf8cdcd1cea3339b6356be84d887e322c64")
    signed = bytes.fromhex("05edce9d9c415ca78cb7252e72c2c4a554d3eb29485a0e1d503118d1a82d99fb4a")
    signature = bytes.fromhex(
        "5de88ca9a89b4a115da79109c67c9c7464a3e4180274f1cb8c63c2984e286dfb"
        "ede82deb9dcd9fae0bfbb821569b3d9001bd8130cd11d486cef047bd60b86e88"
    )

    assert wacert.verify(identity, signed, signature)
    assert not wacert.verify(identity, signed + b"x", signature)
    assert not wacert.verify(public(ROOT), signed, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80))
def test_what_a_key_signs_verifies_under_it_alone(private: bytes, message: bytes) -> None:
    """Any key, any text."""
    signature = wacert.sign(private, message)

    assert wacert.verify(public(private), message, signature)
    assert not wacert.verify(public(private), message + b"x", signature)
    changed = bytes([signature[0] ^ 1]) + signature[1:]
    assert not wacert.verify(public(private), message, changed)


def test_a_chain_that_the_root_vouches_for_has_nothing_wrong() -> None:
    """As `pack_chain` makes it, and made by hand."""
    packed = wacert.pack_chain(ROOT, MIDDLE, STATIC, (NOW - 10, NOW + 10))

    assert wrong(packed) == wrong(chain(LEAF, INTERMEDIATE)) == ""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (chain(LEAF, INTERMEDIATE, root=OTHER), "not signed by the root"),
        (chain(LEAF, INTERMEDIATE, signer=OTHER), "not signed by the intermediate"),
        (chain(replace(LEAF, issuer=9), INTERMEDIATE), "serial"),
        (chain(LEAF, replace(INTERMEDIATE, issuer=9)), "serial"),
        (chain(replace(LEAF, key=public(OTHER)), INTERMEDIATE), "another key"),
        (chain(replace(LEAF, not_after=NOW - 1), INTERMEDIATE), "validity"),
        (chain(LEAF, replace(INTERMEDIATE, not_before=NOW + 1)), "validity"),
    ],
)
def test_a_chain_that_proves_nothing_says_why(data: bytes, says: str) -> None:
    """Each single thing that a forger cannot have right."""
    assert says in wrong(data)


@pytest.mark.parametrize("cut", [b"", protobuf.pack({1: b"", 2: b""}), b"\x0a"])
def test_what_is_no_chain_is_refused(cut: bytes) -> None:
    """Nothing, empty certificates, a field cut short."""
    with pytest.raises(ValueError):
        wrong(cut)


@example(b"\xee", bytes(64))  # 2^255 - 18: another name of 1, a point of order four
@given(st.binary(max_size=60), st.binary(min_size=64, max_size=64))
def test_garbage_raises_nothing_but_value_errors(data: bytes, signature: bytes) -> None:
    """Also where a certificate's own bytes are garbage under a valid signature."""
    signed = {1: data, 2: wacert.sign(ROOT, data)}
    for attempt in (data, protobuf.pack({1: protobuf.pack(signed), 2: protobuf.pack(signed)})):
        try:
            assert wrong(attempt)
        except ValueError:
            continue
    assert not wacert.verify(data.ljust(32, b"\xff")[:32], data, signature)
