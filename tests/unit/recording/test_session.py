"""One play: both halves know every byte, and nobody else could have made them."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.model import Address, Transport
from circumtest.recording import Frame, Kind, Place, Recording
from circumtest.recording.session import Score, Seen, Session, Variant
from circumtest.recording.text import load
from circumtest.wire import stun

CALL, TURN = load("webrtc-call"), load("turn")
SEEN = Seen(Address("192.0.2.7", 4567), Address("203.0.113.10", 3478))


def both(recording: Recording, variant: Variant = Variant.AS_RECORDED) -> tuple[Session, Session]:
    """The caller's play, and what the far half made of its first frame."""
    near = Score(recording, "secret", variant).draw(Random(1))
    far = Score(recording, "secret", variant).hear(near.render(0, SEEN))
    assert far is not None
    return near, far


@pytest.mark.parametrize("variant", list(Variant))
@pytest.mark.parametrize("recording", [CALL, TURN], ids=["webrtc-call", "turn"])
def test_each_half_knows_what_the_other_says(recording: Recording, variant: Variant) -> None:
    """Every frame, in both directions, and what is told of addresses."""
    near, far = both(recording, variant)
    for number, frame in enumerate(recording.frames):
        one, other = (near, far) if frame.client else (far, near)
        read = other.read(number, one.render(number, SEEN))
        assert read is not None
        assert len(one.render(number, SEEN)) == len(frame.data)
        if variant is not Variant.RANDOM and any(p.kind is Kind.MAPPED for p in frame.places):
            assert read[0].mapped == SEEN.mapped


def test_the_same_chance_gives_the_same_bytes_and_another_others() -> None:
    """All of it is the caller's rng and the secret."""
    score = Score(CALL, "secret", Variant.AS_RECORDED)
    one, same, other = (score.draw(Random(seed)) for seed in (1, 1, 2))

    assert one.render(0, SEEN) == same.render(0, SEEN) != other.render(0, SEEN)
    assert one.render(20, SEEN) != other.render(20, SEEN)


@given(st.data())
def test_a_first_frame_with_one_bit_changed_is_not_ours(data: st.DataObject) -> None:
    """Whichever bit it is, also where the recording has its drawn bytes."""
    score = Score(TURN, "secret", Variant.AS_RECORDED)
    frame = bytearray(score.draw(Random(1)).render(0))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert score.hear(bytes(frame)) is None


@given(st.binary(max_size=100))
def test_garbage_is_nobodys(data: bytes) -> None:
    """As a first frame or as any other."""
    near, far = both(TURN)

    assert far.score.hear(data) is None
    assert all(near.read(number, data) is None for number in range(len(TURN.frames)))


def test_another_secret_variant_or_recording_is_not_heard() -> None:
    """Each far half knows its own."""
    first = Score(TURN, "secret", Variant.AS_RECORDED).draw(Random(1)).render(0)
    for other in (
        Score(TURN, "other", Variant.AS_RECORDED),
        Score(TURN, "secret", Variant.RANDOM),
        Score(TURN, "secret", Variant.INVERTED),
        Score(replace(TURN, key="k"), "secret", Variant.AS_RECORDED),
    ):
        assert other.hear(first) is None


def test_seals_are_what_the_standard_says() -> None:
    """MESSAGE-INTEGRITY under the recording's key, FINGERPRINT, and the address."""
    near, _ = both(replace(CALL, key="the key"))
    request = near.render(0, SEEN)
    answer = near.render(1, SEEN)
    value = stun.unpack(answer).get(stun.XOR_MAPPED_ADDRESS)

    assert stun.authentic(request, b"the key")
    assert stun.authentic(answer, b"the key")
    assert stun.unpack(request).tid == stun.unpack(answer).tid
    assert value is not None
    assert stun.parse_xor_address(value, stun.unpack(answer).tid) == SEEN.mapped


def test_an_address_of_the_other_ip_version_is_one_for_documentation() -> None:
    """The place keeps its size."""
    near, _ = both(TURN)
    answer = near.render(1, Seen(mapped=Address("2001:db8::7", 1)))
    value = stun.unpack(answer).get(stun.XOR_MAPPED_ADDRESS)

    assert value is not None
    assert stun.parse_xor_address(value, stun.unpack(answer).tid)[0] == "192.0.2.1"


def test_an_inverted_frame_is_the_recorded_one_in_negative() -> None:
    """But for what is drawn."""
    near, _ = both(TURN, Variant.INVERTED)

    assert bytes(255 - byte for byte in near.render(0)[:8]) == TURN.frames[0].data[:8]


def frames(*places: Place, size: int = 12) -> Recording:
    """One frame there, one back."""
    ask, answer = Frame(0.0, True, bytes(size), places), Frame(0.1, False, b"ok")
    return Recording(Transport.UDP, 9, (ask, answer))


def test_where_there_is_little_room_nothing_is_drawn_and_all_of_it_proves() -> None:
    """Below eight bytes every play is the same; without any it is known by what it says."""
    for size in (0, 3, 7):
        places = (Place(0, size, Kind.RANDOM),) if size else ()
        score = Score(frames(*places), "secret", Variant.AS_RECORDED)
        first = score.draw(Random(1)).render(0)
        assert first == score.draw(Random(2)).render(0)
        assert not score.fresh
        assert score.hear(first) is not None
        assert score.hear(bytes(11) + b"\1") is None


@pytest.mark.parametrize("size", [8, 9, 12, 40])
def test_half_of_the_room_is_drawn_or_more(size: int) -> None:
    """And the proof has at most eight bytes."""
    score = Score(frames(Place(0, size, Kind.RANDOM), size=40), "secret", Variant.AS_RECORDED)
    one, other = score.draw(Random(1)).drawn, score.draw(Random(2)).drawn

    assert score.fresh
    assert one[: size - min(8, size // 2)] != other[: size - min(8, size // 2)]
    assert score.hear(score.draw(Random(1)).render(0)) is not None


def test_kinds_of_drawn_bytes_keep_to_their_letters() -> None:
    """Base64 characters; bytes without 0xff, whose proof fits in all the same."""
    for kind, fits in (
        (Kind.BASE64, lambda byte: chr(byte).isalnum() or byte in b"+/"),
        (Kind.PLAIN, lambda byte: byte != 0xFF),
    ):
        score = Score(frames(Place(0, 900, kind), size=900), "secret", Variant.AS_RECORDED)
        first = score.draw(Random(1)).render(0)
        assert all(fits(byte) for byte in first)
        assert score.hear(first) is not None


def test_a_counter_goes_on_from_a_drawn_number_and_on_when_the_sound_begins_anew() -> None:
    """By as much as the recording counted."""
    counting = tuple(
        Frame(
            n / 50,
            n % 2 == 0,
            bytes(30),
            (Place(0, 2, Kind.COUNTER, "q", n), Place(2, 28, Kind.RANDOM)),
        )
        for n in range(10)
    )
    recording = Recording(Transport.UDP, 9, counting, media=2)
    session = Score(recording, "secret", Variant.AS_RECORDED).draw(Random(1))
    numbers = [
        int.from_bytes(session.render(n, loop=loop)[:2]) for loop in (0, 1, 2) for n in range(2, 10)
    ]

    assert [b - a for a, b in pairwise(numbers)] == [1] * 23
