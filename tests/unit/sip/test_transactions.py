"""Transactions: when requests are sent again, and what is an answer to them."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel, Now, Recv, Script, Send
from circumtest.sip.line import Datagrams
from circumtest.sip.transactions import Unfinished, is_answer, transact
from circumtest.wire import sip
from circumtest.wire.sip import Message, Request, Response

FAR = Address("203.0.113.10", 5060)
CHANNEL = Channel(1, Transport.UDP, FAR)
LINE = Datagrams(Straight(CHANNEL, FAR))


def request(method: str) -> Request:
    """One of ours."""
    fields = (
        ("Via", "SIP/2.0/UDP x.invalid;branch=z9hG4bKone"),
        ("From", "<sip:a@x>;tag=one"),
        ("To", "<sip:b@x>"),
        ("Call-ID", "call"),
        ("CSeq", f"7 {method}"),
    )
    return Request(fields, b"", method, "sip:b@x")


def reply(code: int, method: str = "OPTIONS") -> Response:
    """The answer to it."""
    return Response(request(method).fields, b"", code, "Words")


def run(
    script: Script[Response], arrivals: Iterable[tuple[float, bytes | Cause]]
) -> tuple[list[float], Response | HandshakeFailed]:
    """Carry it out by a clock that starts at 0; when it sent, and how it ended."""
    coming, at, sent = sorted(arrivals, key=lambda one: one[0]), 0.0, []
    try:
        command = next(script)
        while True:
            answer: object = None
            match command:
                case Now():
                    answer = at
                case Send():
                    sent.append(at)
                case Recv(until):
                    if coming and coming[0][0] <= until:
                        at, data = coming.pop(0)
                        answer = Arrival(CHANNEL, data, FAR, at)
                    else:
                        at = max(at, until)
            command = script.send(answer)
    except StopIteration as done:
        value: Response = done.value
        return sent, value
    except HandshakeFailed as error:
        return sent, error


def asked(
    method: str, *arrivals: tuple[float, bytes | Cause], patience: float = 20.0
) -> tuple[list[float], Response | HandshakeFailed]:
    """A transaction and what it meets."""
    return run(transact(LINE, request(method), patience, lambda _: (), bool), arrivals)


def test_an_invite_doubles_and_anything_else_stops_doubling_at_four_seconds() -> None:
    """Timers A and E (RFC 3261 17.1.1.2, 17.1.2.2)."""
    sent, ended = asked("INVITE")
    assert sent == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5]
    assert isinstance(ended, HandshakeFailed)
    assert ended.cause is Cause.TIMEOUT

    assert asked("OPTIONS")[0] == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]


def test_a_provisional_answer_ends_an_invites_repeats_and_slows_others() -> None:
    """And what never ends is unfinished."""
    sent, ended = asked("INVITE", (0.6, sip.pack(reply(180, "INVITE"))))
    assert sent == [0.0, 0.5]
    assert isinstance(ended, Unfinished)

    assert asked("OPTIONS", (0.1, sip.pack(reply(100))))[0][:2] == [0.0, pytest.approx(4.1, abs=1)]


@pytest.mark.parametrize("code", [200, 302, 404, 500, 603])
def test_the_first_final_answer_is_returned_whatever_it_says(code: int) -> None:
    """Judging it is somebody else's."""
    sent, ended = asked("OPTIONS", (0.2, b"garbage"), (0.3, sip.pack(reply(code))))

    assert ended == reply(code)
    assert sent == [0.0]


def test_an_error_from_the_network_is_told_when_no_answer_comes() -> None:
    """An answer that comes all the same counts."""
    _, ended = asked("OPTIONS", (0.1, Cause.REFUSED), patience=3.0)
    assert isinstance(ended, HandshakeFailed)
    assert ended.cause is Cause.REFUSED

    _, ended = asked("OPTIONS", (0.1, Cause.REFUSED), (0.7, sip.pack(reply(200))))
    assert ended == reply(200)


def test_what_is_not_the_transactions_is_handed_aside() -> None:
    """An earlier answer, the far end's own request."""
    seen: list[Message] = []
    early = replace(reply(200), fields=reply(200, "INVITE").fields)

    def aside(message: Message) -> Iterable[Send]:
        seen.append(message)
        return ()

    script = transact(LINE, request("BYE"), 1.0, aside, bool)
    run(script, [(0.1, sip.pack(early)), (0.2, sip.pack(request("OPTIONS")))])

    assert seen == [early, request("OPTIONS")]


@pytest.mark.parametrize("name", ["Via", "From", "Call-ID", "CSeq"])
def test_an_answer_is_ours_by_branch_tag_call_and_number(name: str) -> None:
    """One that differs in any of them is not."""
    other = {
        "Via": "SIP/2.0/UDP x.invalid;branch=z9hG4bKtwo",
        "From": "<sip:a@x>;tag=two",
        "Call-ID": "another",
        "CSeq": "8 OPTIONS",
    }[name]
    fields = tuple((key, other if key == name else value) for key, value in reply(200).fields)

    assert is_answer(reply(200), request("OPTIONS"))
    assert not is_answer(replace(reply(200), fields=fields), request("OPTIONS"))
    assert not is_answer(request("OPTIONS"), request("OPTIONS"))
