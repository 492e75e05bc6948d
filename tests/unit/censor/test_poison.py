"""A forged DNS answer."""

import dns.message
import dns.rcode
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.poison import forged_answer


def test_the_other_familys_question_is_told_that_there_is_none() -> None:
    """No error, no address."""
    question = dns.message.make_query("call.example", "AAAA")
    answer = dns.message.from_wire(forged_answer(question.to_wire(), "192.0.2.66") or b"")
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


def test_no_address_is_no_such_name() -> None:
    """For whatever was asked."""
    question = dns.message.make_query("call.example", "TXT")
    answer = dns.message.from_wire(forged_answer(question.to_wire(), "") or b"")
    assert answer.rcode() == dns.rcode.NXDOMAIN


def test_an_answer_is_not_answered() -> None:
    """Nor would two censors answer each other for ever."""
    question = dns.message.make_query("call.example", "A")
    assert forged_answer(forged_answer(question.to_wire(), "") or b"", "") is None


@given(st.binary(max_size=200))
def test_garbage_is_not_answered(data: bytes) -> None:
    """Or by something that dnspython reads as an answer."""
    told = forged_answer(data, "192.0.2.66")
    assert told is None or dns.message.from_wire(told)
