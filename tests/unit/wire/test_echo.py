"""The neutral packet: any size, no constant byte, and nobody without the secret makes one."""

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from circumtest.wire import echo

SECRET = b"secret"
NONCE = b"12345678"
SIZES = (20, 37, 38, 64, 212, 1400)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seen", [("192.0.2.1", 40000), ("2001:db8::1", 1)])
def test_an_answer_has_the_size_and_tells_the_address_where_there_is_room(
    size: int, seen: tuple[str, int]
) -> None:
    """From 38 bytes on."""
    asked = echo.request(NONCE, size, SECRET)
    answer = echo.answer(asked, *seen, SECRET)

    assert len(asked) == len(answer) == size
    assert echo.is_request(asked, SECRET)
    assert echo.request_length(asked[:10], SECRET) == size
    assert echo.parse_answer(answer, asked, SECRET) == (seen if size >= 38 else None)


def test_no_byte_of_a_packet_is_constant() -> None:
    """Over sixteen nonces every place takes several values, in questions and in answers."""
    asked = [echo.request(Random(n).randbytes(8), 64, SECRET) for n in range(16)]
    answers = [echo.answer(data, "192.0.2.1", 40000, SECRET) for data in asked]

    for packets in (asked, answers):
        assert min(len(set(column)) for column in zip(*packets, strict=True)) > 5


@given(st.binary(min_size=8, max_size=8), st.sampled_from(SIZES))
@example(bytes.fromhex("000100002112a442"), 20)
@example(bytes.fromhex("0100000000000000"), 148)
def test_no_nonce_makes_the_beginning_of_a_protocol(nonce: bytes, size: int) -> None:
    """Top bits 11: neither STUN (00), TURN's channels (01) nor RTP (10), there and back."""
    asked = echo.request(nonce, size, SECRET)

    assert asked[0] >> 6 == echo.answer(asked, "192.0.2.1", 1, SECRET)[0] >> 6 == 0b11


def test_neither_a_reflection_nor_another_answer_nor_another_secret_passes() -> None:
    """What comes back must have been made for this question by somebody who knows."""
    asked, other = (echo.request(nonce, 64, SECRET) for nonce in (NONCE, b"another!"))
    for data in (asked, echo.answer(other, "192.0.2.1", 1, SECRET), b"", asked[:20]):
        with pytest.raises(ValueError):
            echo.parse_answer(data, asked, SECRET)
    with pytest.raises(ValueError):
        echo.parse_answer(echo.answer(asked, "192.0.2.1", 1, b"guess"), asked, SECRET)
    assert not echo.is_request(asked, b"guess")
    assert not echo.is_request(echo.answer(asked, "192.0.2.1", 1, SECRET), SECRET)


@given(st.integers(20, 1472), st.integers(0, 65535))
def test_an_answer_may_be_asked_to_be_shorter_and_is_never_longer(size: int, back: int) -> None:
    """So that a large packet on the way there needs none on the way back."""
    asked = echo.request(NONCE, size, SECRET, back)
    answer = echo.answer(asked, "192.0.2.1", 1, SECRET)

    assert len(asked) == size
    assert len(answer) == min(size, max(back, echo.MIN_SIZE))
    seen = ("192.0.2.1", 1) if len(answer) >= echo.ADDRESS_SIZE else None
    assert echo.parse_answer(answer, asked, SECRET, len(answer)) == seen
    if len(answer) < size:
        with pytest.raises(ValueError, match="something else"):
            echo.parse_answer(answer, asked, SECRET)


@given(st.integers(0, 63), st.integers(1, 255))
def test_any_changed_byte_is_noticed(at: int, flip: int) -> None:
    """In a question and in an answer."""
    asked = echo.request(NONCE, 64, SECRET)
    answer = echo.answer(asked, "192.0.2.1", 1, SECRET)
    changed = [data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :] for data in (asked, answer)]

    assert not echo.is_request(changed[0], SECRET)
    with pytest.raises(ValueError):
        echo.parse_answer(changed[1], asked, SECRET)


@given(st.binary(max_size=64))
def test_garbage_is_no_request_and_no_answer(data: bytes) -> None:
    """And raises nothing but ValueError."""
    assert not echo.is_request(data, SECRET)
    echo.request_length(data.ljust(10), SECRET)
    with pytest.raises(ValueError):
        echo.parse_answer(data, data, SECRET)


@pytest.mark.parametrize("size", [0, 19])
def test_a_packet_too_small_to_be_authentic_is_refused(size: int) -> None:
    """Rather than made smaller than asked for."""
    with pytest.raises(ValueError):
        echo.request(NONCE, size, SECRET)
