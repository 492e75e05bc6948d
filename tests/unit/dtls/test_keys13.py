"""DTLS 1.3's records sealed, opened and refused; the schedule's chain of secrets.

No vectors of DTLS 1.3's own exist; a browser agrees with it in `tests/lab/test_outsiders_dtls.py`.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.dtls import keys13
from circumtest.dtls.keys13 import SUITES, Protection
from circumtest.wire import dtls13
from circumtest.wire.dtls13 import Sealed

SUITE = st.sampled_from(sorted(SUITES))


def made(suite: int, epoch: int = 2, secret: bytes = b"one") -> Protection:
    """One direction's keys."""
    size = SUITES[suite].size
    return Protection(SUITES[suite], secret.ljust(size, b"\0"), epoch)


def record(data: bytes) -> Sealed:
    """The one record in a datagram."""
    (found,) = dtls13.records(data)
    assert isinstance(found, Sealed)
    return found


@given(SUITE, st.integers(1, 255), st.binary(max_size=200), st.integers(0, 1 << 15))
def test_what_is_sealed_is_opened(suite: int, kind: int, plain: bytes, seq: int) -> None:
    """With its type and number, by the same keys and no others."""
    sealed = made(suite).seal(kind, seq, plain)

    assert made(suite).open(record(sealed)) == (kind, seq, plain)
    with pytest.raises(ValueError):
        made(suite, secret=b"two").open(record(sealed))


def test_the_number_is_masked() -> None:
    """Nobody counts the records of somebody else's call (RFC 9147 4.2.3)."""
    for suite in SUITES:
        seen = {made(suite).seal(22, seq, b"x")[1:3] for seq in range(20)}
        assert len(seen & {seq.to_bytes(2) for seq in range(20)}) < 5


def test_two_bytes_of_a_number_are_enough_as_long_as_it_does_not_leap() -> None:
    """The rest is what is nearest to the next one, before and behind."""
    ours, theirs = made(0x1301), made(0x1301)
    for seq in (0, 30_000, 60_000, 65_535, 65_536, 65_530, 90_000, 120_000, 131_072):
        assert theirs.open(record(ours.seal(22, seq, b"x")))[1] == seq


def test_one_byte_of_a_number_and_no_length_are_read() -> None:
    """Servers choose how short their headers are."""
    ours, theirs = made(0x1301), made(0x1301)
    head = b"\x22" + bytes([7])
    sealed = ours._aead.encrypt(ours._nonce(7), b"content\x17", head)
    masked = bytes([7 ^ ours._mask(sealed[:16])[0]])

    assert theirs.open(record(b"\x22" + masked + sealed)) == (23, 7, b"content")


@given(SUITE, st.binary(max_size=60), st.data())
def test_one_changed_bit_anywhere_is_noticed(suite: int, plain: bytes, data: st.DataObject) -> None:
    """Header, number, content, tag."""
    sealed = bytearray(made(suite).seal(22, 3, plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    keys = made(suite)
    try:
        found = list(dtls13.records(bytes(sealed)))
    except ValueError:
        return
    for one in found:
        if isinstance(one, Sealed):
            with pytest.raises(ValueError):
                keys.open(one)


@given(SUITE, st.binary(min_size=16, max_size=100))
def test_garbage_is_not_opened(suite: int, body: bytes) -> None:
    """Of any size that the header allows."""
    with pytest.raises(ValueError):
        made(suite).open(Sealed(2, b"\x2e\0\1" + len(body).to_bytes(2), 2, body))


def test_every_secret_of_the_schedule_is_another() -> None:
    """And the exporter's material depends on master secret and transcript."""
    for suite in SUITES.values():
        handshake = keys13.handshake_secret(suite, b"shared")
        master = keys13.master_secret(suite, handshake)
        seen = suite.hash(b"said")
        secrets = {
            handshake,
            master,
            keys13.derive(suite, master, b"c ap traffic", seen),
            keys13.derive(suite, master, b"s ap traffic", seen),
            keys13.exported(suite, master, seen, suite.size),
            keys13.exported(suite, master, suite.hash(b"else"), suite.size),
            keys13.verify_data(suite, master, seen),
        }
        assert len(secrets) == 7
        assert {len(secret) for secret in secrets} == {suite.size}


def test_the_labels_are_those_of_dtls() -> None:
    """RFC 9147 5.9: "dtls13" without a space, so that no secret is TLS's (RFC 8448 3 has that)."""
    suite = SUITES[0x1301]
    early = "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"
    derived = "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"

    assert keys13.derive(suite, bytes.fromhex(early), b"derived", suite.hash(b"")).hex() != derived
