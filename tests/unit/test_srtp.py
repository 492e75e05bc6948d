"""SRTP by libsrtp: packets that look like a call's, what opens and what does not, and the rung."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import srtp
from circumtest.dtls.endpoint import SrtpKeys
from circumtest.model import Address, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel
from circumtest.srtp import OPUS, PCMU, Leg, Opener, Sealer, signalled
from circumtest.wire.rtp import Frame

KEYS = signalled("secret", b"abcd")
FRAME = Frame(3, 1000.5, 2, 2, 0.001, 0.02, 999.5, 0.01, 1, 2, 3)
THERE = Address("203.0.113.10", 40000)
CHANNEL = Channel(1, Transport.UDP, THERE)


def sealer(sound: srtp.Sound = OPUS, key: bytes = KEYS.client_key + KEYS.client_salt) -> Sealer:
    """The caller's."""
    return Sealer(key, KEYS.profile, sound, Random(1))


def opener(key: bytes = KEYS.client_key + KEYS.client_salt) -> Opener:
    """The callee's."""
    return Opener(key, KEYS.profile)


def test_keys_are_the_calls() -> None:
    """Another name or secret has others, and each direction its own."""
    made = [signalled(*of) for of in (("secret", b"abcd"), ("secret", b"abce"), ("other", b"abcd"))]

    assert len({key for one in made for key in (one.client_key, one.server_key)}) == 6


def test_a_packet_has_the_header_of_its_application() -> None:
    """Opus with libwebrtc's extensions, 200 bytes; G.711 without, 182; numbers that go on."""
    one, other = sealer(), sealer(PCMU)
    packets = [one.pack(FRAME._replace(seq=n, sent_at=1000 + n / 50)) for n in range(3)]

    assert {(packet[:2].hex(), len(packet)) for packet in packets} == {("906f", 194)}
    assert packets[0][12:16].hex() == "bede0002"
    numbers = [int.from_bytes(packet[2:4]) for packet in packets]
    stamps = [int.from_bytes(packet[4:8]) for packet in packets]
    assert [number - numbers[0] for number in numbers] == [0, 1, 2]
    assert [stamp - stamps[0] for stamp in stamps] == [0, 960, 1920]
    bare = other.pack(FRAME)
    assert (bare[:2].hex(), len(bare)) == ("8000", 182)


@pytest.mark.parametrize("profile", [1, 2, 7, 8])
@pytest.mark.parametrize("sound", [OPUS, PCMU])
def test_what_is_said_is_heard(profile: int, sound: srtp.Sound) -> None:
    """Number, time and report, in every profile that DTLS may agree on."""
    key = bytes(range({1: 30, 2: 30, 7: 28, 8: 44}[profile]))
    heard = Opener(key, profile).unpack(Sealer(key, profile, sound, Random(1)).pack(FRAME))

    assert (heard.seq, heard.sent_at) == (3, 1000.5)
    assert heard.report is not None
    assert (heard.report.received, heard.report.echo, heard.report.bursts) == (2, 999.5, 3)


def test_a_replay_and_another_key_do_not_open() -> None:
    """Nor does a packet of the other direction."""
    packet, ear = sealer().pack(FRAME), opener()
    ear.unpack(packet)

    for what in (ear, opener(KEYS.server_key + KEYS.server_salt)):
        with pytest.raises(ValueError):
            what.unpack(packet)


@given(st.binary(max_size=300), st.integers(0, 193), st.integers(1, 255))
def test_garbage_does_not_open(data: bytes, at: int, flip: int) -> None:
    """Noise, and a packet with one byte changed; nothing else than ValueError is raised."""
    packet = bytearray(sealer().pack(FRAME))
    packet[at] ^= flip
    for what in (data, b"\x80\x6f" + data, b"\x90\x6f" + data * 8, bytes(packet)):
        with pytest.raises(ValueError):
            opener().unpack(what)


def test_a_leg_says_and_hears_over_its_pipe() -> None:
    """What is not sound of the far end's is passed over."""
    leg = Leg(Straight(CHANNEL, THERE), KEYS, Random(2))
    sent = leg.encode(0, 1000.0)
    theirs = Sealer(KEYS.server_key + KEYS.server_salt, KEYS.profile, OPUS, Random(3))
    (heard,) = leg.decode(Arrival(CHANNEL, theirs.pack(FRAME), THERE, 0.0))

    assert opener().unpack(sent.data).seq == 0
    assert heard.seq == 3
    for junk in (b"", b"\x80\xc8" + bytes(40), sent.data, bytes(200)):
        assert list(leg.decode(Arrival(CHANNEL, junk, THERE, 0.0))) == []


def test_first_bytes_tell_dtls_from_the_rest() -> None:
    """RFC 7983 section 7."""
    assert [first for first in range(256) if srtp.is_dtls(bytes([first]))] == list(range(20, 64))
    assert not srtp.is_dtls(b"")


def test_keys_of_dtls_are_taken_as_they_are() -> None:
    """Key and salt, of whichever profile."""
    keys = SrtpKeys(7, bytes(16), bytes(12), bytes(range(16)), bytes(range(12)))

    assert Leg(Straight(CHANNEL, THERE), keys, Random(1)).encode(0, 1.0).data[:1] == b"\x90"
