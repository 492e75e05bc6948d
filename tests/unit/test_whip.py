"""Signalling by WHIP: an offer for an answer, both held to the secret."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import identity, whip
from circumtest.ice import Credentials, ends
from circumtest.model import Address, Cause, Failure, Outcome, Stage, Success, Transport
from circumtest.script import Answerer, Emit, Flow, Script, enter
from circumtest.simulate import simulate
from circumtest.whip import MAX_FLOWS, Desk, Far
from circumtest.wire import sdp
from circumtest.wire import whip as wire

SECRET = "secret"
DESK = Address("203.0.113.10", 8080)
CALLEE = Address("203.0.113.10", 40000)
FLOW = Flow(Transport.TCP, DESK, Address("192.0.2.2", 40001))
OWN = ends(SECRET, b"abcd").caller
SHOWN = identity.certificate("caller", "caller")
OFFER = sdp.pack(whip.describe(OWN, SHOWN, "active", 1, ()))


def describe(flow: Flow, own: Credentials) -> sdp.Session:
    """The far half's description."""
    return whip.describe(own, identity.certificate(SECRET, "callee"), "passive", 1, (), CALLEE)


def asked(answerer: Answerer, offer: bytes = OFFER) -> tuple[Outcome, list[Far]]:
    """What became of a call for an answer."""
    got: list[Far] = []

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        far = yield from whip.call(DESK, offer, SECRET, 3.0)
        got.append(far)
        yield from whip.hang_up(DESK, far)

    return simulate(script(), {(Transport.TCP, DESK): answerer}).outcome, got


class Says:
    """Answers whatever is asked with one thing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return [Emit(flow, self._data, close=True)] if data else []

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def test_an_offer_is_answered_with_where_the_far_end_is_and_whose_key_it_has() -> None:
    """Address, passwords and fingerprint."""
    outcome, (far,) = asked(Desk(SECRET, describe))

    assert outcome == Success()
    assert (far.remote, far.credentials) == (CALLEE, ends(SECRET, b"abcd").callee)
    assert len(far.fingerprint) == 32
    assert far.location.startswith("/whip/")


def answer(body: bytes, tag: str | None = None) -> bytes:
    """A 201 with the secret's tag, or another."""
    made = whip.tag(SECRET, OFFER, body) if tag is None else tag
    return wire.created(body, "/whip/1", made)


GOOD = sdp.pack(describe(FLOW, ends(SECRET, b"abcd").callee))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (wire.plain(404, "Not Found"), Cause.ERROR_REPLY),
        (answer(GOOD, ""), Cause.WRONG_IDENTITY),
        (answer(GOOD, "guessed"), Cause.WRONG_IDENTITY),
        (answer(b"no description"), Cause.MALFORMED),
        (answer(GOOD.replace(b"a=ice-pwd", b"a=no")), Cause.MALFORMED),
        (answer(GOOD.replace(b"a=candidate", b"a=no")), Cause.MALFORMED),
        (answer(GOOD.replace(b"sha-256", b"md5")), Cause.MALFORMED),
        (answer(GOOD.replace(b"m=audio", b"m=video")), Cause.MALFORMED),
        (b"SSH-2.0-OpenSSH\r\n", Cause.MALFORMED),
        (b"HTTP/1.1 201 Created\r\n", Cause.EOF),
        (b"", Cause.EOF),
    ],
)
def test_what_is_no_answer_of_the_far_half_is_a_failure_with_its_cause(
    said: bytes, cause: Cause
) -> None:
    """Refusals, other people's answers, descriptions that lack something, no HTTP, half of it."""
    outcome, _ = asked(Says(said))

    assert isinstance(outcome, Failure)
    assert outcome.cause is cause


def test_a_candidate_that_is_not_understood_is_passed_over() -> None:
    """A host name, another transport."""
    more = b"a=candidate:1 1 udp 1 a.local 1 typ host\r\n"
    more += b"a=candidate:1 1 tcp 1 192.0.2.9 9 typ host\r\n"
    body = GOOD.replace(b"a=candidate", more + b"a=candidate", 1)
    _, (far,) = asked(Says(answer(body)))

    assert far.remote == CALLEE


def test_the_far_end_is_at_the_host_that_was_asked() -> None:
    """Behind a NAT it does not know that address itself."""
    _, (far,) = asked(Says(answer(GOOD.replace(b"203.0.113.10", b"10.0.0.1"))))

    assert far.remote == CALLEE


def say(desk: Desk, *chunks: bytes, flow: Flow = FLOW) -> list[Emit]:
    """What comes back."""
    return [emit for chunk in chunks for emit in desk.receive(flow, chunk, 0.0)]


def test_who_does_not_know_the_secret_is_not_answered() -> None:
    """His password is not the one that it gives; another answerer may have his stream."""
    stranger = ends("another", b"abcd").caller
    offer = sdp.pack(whip.describe(stranger, SHOWN, "active", 1, ()))

    for data in (wire.post(*DESK, offer), wire.post(*DESK, b"v=0"), b"GET / HTTP/1.1\r\n\r\n"):
        assert say(Desk(SECRET, describe), data) == []


def test_a_request_may_come_in_pieces() -> None:
    """And ends with its answer."""
    request = wire.post(*DESK, OFFER)
    (emit,) = say(Desk(SECRET, describe), request[:10], request[10:500], request[500:])

    assert emit.close
    assert wire.reply(emit.data)


def test_what_is_kept_of_requests_is_bounded() -> None:
    """The oldest stream first; an ended one is nothing."""
    desk = Desk(SECRET, describe)
    for port in range(MAX_FLOWS + 9):
        say(desk, b"POST ", flow=Flow(Transport.TCP, DESK, Address("192.0.2.2", port)))
    assert len(desk._streams) == MAX_FLOWS
    say(desk, b"", flow=Flow(Transport.TCP, DESK, Address("192.0.2.2", MAX_FLOWS + 8)))
    assert len(desk._streams) == MAX_FLOWS - 1


def test_tags_tell_offers_and_answers_apart() -> None:
    """What belongs to which cannot be moved from one to the other."""
    assert (
        len({whip.tag("a", b"xy", b"z"), whip.tag("a", b"x", b"yz"), whip.tag("b", b"xy", b"z")})
        == 3
    )


def test_a_description_that_names_no_place_says_so() -> None:
    """As a browser's before it has candidates; over IPv6 the answer is IPv6."""
    session = sdp.parse(OFFER)
    there = whip.describe(OWN, SHOWN, "passive", 1, (), Address("2001:db8::1", 40000))

    assert session.address(session.media[0]) == ("0.0.0.0", 9)
    assert b"candidate" not in OFFER
    assert sdp.parse(sdp.pack(there)).address(there.media[0]) == ("2001:db8::1", 40000)


@given(st.binary(max_size=400))
def test_garbage_is_malformed_or_ends(data: bytes) -> None:
    """Nothing but HandshakeFailed comes of it."""
    for said in (data, b"HTTP/1.1 201 Created\r\n" + data, answer(data)):
        outcome, _ = asked(Says(said))
        assert isinstance(outcome, Failure)


@given(st.binary(max_size=300), st.integers(0, 100))
def test_a_desk_answers_no_garbage(data: bytes, at: int) -> None:
    """Alone, posted, and in an offer before its password."""
    desk = Desk(SECRET, describe)
    for chunk in (data, wire.post(*DESK, data), wire.post(*DESK, OFFER[:at] + data)):
        assert say(desk, chunk, b"") == []
