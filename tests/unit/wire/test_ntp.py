"""The time asked for: bytes of questions and answers, and garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import ntp

COOKIE = bytes(range(8))
NOW = b"\xe0" + bytes(7)


def test_a_question_says_nothing_but_that_it_is_one() -> None:
    """Version 4, client, and 8 bytes that stand where a time would."""
    request = ntp.pack_request(COOKIE)

    assert request == b"\x23" + bytes(39) + COOKIE
    assert ntp.parse_request(request) == COOKIE


def test_an_answer_gives_the_cookie_back_and_is_no_longer_than_the_question() -> None:
    """So nobody is amplified, and whoever did not see the question cannot answer it."""
    answer = ntp.pack_answer(COOKIE, NOW)

    assert len(answer) == len(ntp.pack_request(COOKIE)) == ntp.SIZE
    assert ntp.parse_answer(answer, COOKIE) == ntp.Answer(2, "")
    assert ntp.parse_answer(answer, bytes(8)) is None


def test_a_refusal_says_why() -> None:
    """Stratum 0, and four letters (RFC 5905 7.4)."""
    answer = ntp.pack_answer(COOKIE, bytes(8), stratum=0, code=b"RATE")

    assert ntp.parse_answer(answer, COOKIE) == ntp.Answer(0, "RATE")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ntp.pack_answer(COOKIE, NOW)[:-1],
        ntp.pack_request(COOKIE),
        ntp.pack_answer(COOKIE, bytes(8)),
        ntp.pack_answer(COOKIE, NOW, stratum=16),
    ],
)
def test_what_is_no_answer_is_an_error(data: bytes) -> None:
    """Too short, a question, without a time, of no stratum."""
    with pytest.raises(ValueError):
        ntp.parse_answer(data, COOKIE)


@pytest.mark.parametrize("data", [b"", bytes(48), ntp.pack_answer(COOKIE, NOW)])
def test_what_is_no_question_is_an_error(data: bytes) -> None:
    """Neither is an answer, so two servers cannot be made to talk to each other."""
    with pytest.raises(ValueError):
        ntp.parse_request(data)


def test_a_cookie_has_its_size() -> None:
    """Eight bytes."""
    with pytest.raises(ValueError):
        ntp.pack_request(b"short")


@given(st.binary(max_size=128), st.binary(min_size=8, max_size=8))
def test_garbage_is_a_value_error_at_most(data: bytes, cookie: bytes) -> None:
    """Whatever comes in."""
    for parse in (lambda: ntp.parse_answer(data, cookie), lambda: ntp.parse_request(data)):
        try:
            parse()
        except ValueError:
            continue
