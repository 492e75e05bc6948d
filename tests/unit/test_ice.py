"""ICE for one pair: two agents that talk to each other, and what comes between them."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import HandshakeFailed
from circumtest.ice import MAX_EARLY, MAX_OPEN, Agent, Consented, Session, call_of, draw, ends
from circumtest.media import Heard
from circumtest.model import Address, Cause, Transport
from circumtest.pipe import Straight
from circumtest.script import Arrival, Channel, Send
from circumtest.wire import ice as wire
from circumtest.wire import stun
from circumtest.wire.ice import CHROMIUM, MEET, PLAIN, TGCALLS, Dialect, Role

SECRET = "secret"
HERE, THERE = Address("192.0.2.2", 40000), Address("203.0.113.10", 40000)
KNOWN = ends(SECRET, b"abcd")


def caller(dialect: Dialect = TGCALLS, *, controlling: bool = True, number: int = 5) -> Agent:
    """The caller's agent."""
    return Agent(KNOWN.caller, KNOWN.callee, Random(1), dialect, Role(controlling, number))


def callee(*, controlling: bool = False, number: int = 9) -> Agent:
    """The callee's."""
    return Agent(KNOWN.callee, KNOWN.caller, Random(2), TGCALLS, Role(controlling, number))


def ask(one: Agent, other: Agent) -> bytes:
    """One check and its answer, which is handed over."""
    answer = other.hear(one.check(), HERE)
    assert answer is not None
    assert one.hear(answer, THERE) is None
    return answer


def test_passwords_are_the_secrets_and_names_are_letters() -> None:
    """Each end has its own; another secret or name gives others."""
    letters = [*KNOWN.caller, *KNOWN.callee]

    assert all(bytes([one]) in wire.LETTERS for word in letters for one in word)
    assert [len(word) for word in letters] == [4, 24, 4, 24]
    assert len({*letters, *ends("another", b"abcd").callee, *ends(SECRET, b"abce").callee}) == 8
    assert len(ends(SECRET, b"abcd", 26).callee.fragment) == 26
    assert len(draw(Random(1))) == 4


def test_a_check_says_which_call_it_is_of() -> None:
    """By both fragments; a callee's that the secret did not make is nobody's."""
    name = KNOWN.callee.fragment

    assert call_of(SECRET, name + b":abcd") == KNOWN
    for wrong in (b"", b":", name, name + b":", b"abcd:" + name, b"x" * 40 + b":abcd"):
        assert call_of(SECRET, wrong) is None


@pytest.mark.parametrize("dialect", [PLAIN, TGCALLS, MEET])
def test_the_controlling_end_nominates_when_a_check_was_answered(dialect: Dialect) -> None:
    """Regular nomination (RFC 8445 8.1.1), and both ends know it then."""
    near, far = caller(dialect), callee()
    ask(near, far)
    assert (near.answered, near.nominated, near.seen) == (True, False, HERE)
    ask(far, near)
    assert (far.answered, far.nominated) == (True, False)
    ask(near, far)

    assert (near.nominated, far.nominated) == (True, True)
    assert not wire.nominates(stun.unpack(near.check()))


def test_chromium_nominates_with_every_check() -> None:
    """So one that is answered is enough."""
    near, far = caller(CHROMIUM), callee()
    ask(near, far)

    assert near.nominated
    assert wire.nominates(stun.unpack(near.check()))
    ask(far, near)
    assert far.nominated


@pytest.mark.parametrize("controlling", [True, False])
@pytest.mark.parametrize("numbers", [(5, 9), (9, 5)])
def test_of_two_that_want_the_same_the_larger_number_controls(
    controlling: bool, numbers: tuple[int, int]
) -> None:
    """Whoever asks first: by 487, or by taking the other part (RFC 8445 7.3.1.1)."""
    near = caller(controlling=controlling, number=numbers[0])
    far = callee(controlling=controlling, number=numbers[1])
    for _ in range(3):
        ask(near, far)
        ask(far, near)

    assert near.role.controlling is (numbers[0] > numbers[1])
    assert far.role.controlling is not near.role.controlling
    assert (near.nominated, far.nominated) == (True, True)


@pytest.mark.parametrize(
    "forged",
    [
        lambda check: check[:-1] + bytes([check[-1] ^ 1]),
        lambda check: check[:30] + bytes([check[30] ^ 1]) + check[31:],
        lambda check: stun.pack(stun.unpack(check), b"another key", fingerprint=True),
        lambda check: stun.pack(stun.unpack(check), fingerprint=True),
        lambda check: b"",
    ],
)
def test_a_forged_check_is_not_answered_and_a_forged_answer_is_none(
    forged: Callable[[bytes], bytes],
) -> None:
    """Another key, no key, changed bytes."""
    near, far = caller(), callee()

    assert far.hear(forged(near.check()), HERE) is None
    answer = far.hear(near.check(), HERE)
    assert answer is not None
    near.hear(forged(answer), THERE)
    assert not near.answered


def test_a_check_with_somebody_elses_name_is_not_answered() -> None:
    """Though it is sealed with our password."""
    far = callee()
    message = TGCALLS.check(bytes(12), b"some:body", Role(True))

    assert far.hear(stun.pack(message, KNOWN.callee.password), HERE) is None


def test_an_answer_counts_once_and_to_its_own_check() -> None:
    """A replay says nothing new."""
    near, far = caller(), callee()
    answer = ask(near, far)
    near.hear(answer, THERE)

    assert near.consents == 1
    stray = wire.pack_answer(b"another one.", *HERE, KNOWN.callee.password)
    near.hear(stray, THERE)
    assert near.consents == 1


def refused(near: Agent, value: bytes) -> bytes:
    """An authentic error response to its next check."""
    tid = near.check()[8:20]
    message = stun.Message(stun.BINDING_ERROR, tid, ((stun.ERROR_CODE, value),))
    return stun.pack(message, KNOWN.callee.password)


def test_an_authentic_refusal_and_an_authentic_answer_without_an_address_are_failures() -> None:
    """ERROR_REPLY with its code; MALFORMED."""
    near = caller()
    bare = stun.pack(stun.Message(stun.BINDING_OK, near.check()[8:20]), KNOWN.callee.password)
    for data, cause in (
        (refused(near, stun.pack_error(403, "Forbidden")), Cause.ERROR_REPLY),
        (refused(near, b""), Cause.MALFORMED),
        (bare, Cause.MALFORMED),
    ):
        with pytest.raises(HandshakeFailed) as caught:
            near.hear(data, THERE)
        assert caught.value.cause is cause


def test_unanswered_checks_are_forgotten_beyond_a_bound() -> None:
    """The oldest first."""
    near = caller()
    for _ in range(MAX_OPEN + 10):
        near.check()

    assert len(near._open) == MAX_OPEN


@given(st.binary(max_size=120), st.integers(0, 87), st.integers(1, 255))
def test_garbage_and_flipped_bits_are_as_if_they_had_not_come(
    data: bytes, at: int, flip: int
) -> None:
    """Up to the end of the seal, which FINGERPRINT is behind."""
    near, far = caller(), callee()
    check = bytearray(near.check())
    check[at] ^= flip

    assert far.hear(data, HERE) is None
    assert far.hear(bytes(check), HERE) is None
    assert not far.nominated


# ------------------------------------------------------------------ the session

CHANNEL = Channel(1, Transport.UDP, THERE)


def session() -> Session:
    """A caller's."""
    return Session(caller(), Straight(CHANNEL, THERE), THERE, Random(3))


def came(data: bytes, at: float = 0.0) -> Arrival:
    """Something from the peer."""
    return Arrival(CHANNEL, data, THERE, at)


def test_what_is_not_ices_waits_until_it_is_asked_for() -> None:
    """In order, up to a bound; what was handed out and kept again waits again."""
    it = session()
    arrivals = [came(b"\x80" + bytes([n % 256])) for n in range(MAX_EARLY + 5)]
    for arrival in arrivals:
        assert list(it.answer(arrival)) == []
        assert list(it.answer(arrival)) == []

    assert it.early() == arrivals[:MAX_EARLY]
    (payload,) = it.decode(arrivals[0])
    assert payload == arrivals[0].data
    assert list(it.decode(arrivals[0])) == []
    it.keep(arrivals[0], [payload])
    assert it.early()[-1] is arrivals[0]


def test_the_peers_checks_are_answered_at_once() -> None:
    """And never handed on."""
    it, arrival = session(), came(callee().check())
    (reply,) = it.answer(arrival)

    assert stun.unpack(reply.data).type == stun.BINDING_OK
    assert list(it.decode(arrival)) == []


def test_consent_is_renewed_every_few_seconds_and_expires_after_thirty() -> None:
    """Each interval is drawn anew; once expired nothing is sent any more."""
    near, far = caller(PLAIN), callee()
    it = Session(near, Straight(CHANNEL, THERE), THERE, Random(4))
    for _ in range(2):
        ask(near, far)
    beat = it.beat()
    sent = []
    for tick in range(1, 700):
        for item in beat.request():
            sent.append(tick * beat.every)
            if tick < 200:
                it.answer(came(far.hear(item.data, HERE) or b""))

    gaps = [b - a for a, b in zip([0.0, *sent], sent, strict=False)]
    assert all(3.9 <= gap <= 6.2 for gap in gaps)
    assert len({round(gap, 1) for gap in gaps}) > 2
    assert it.lost
    assert 43 < sent[-1] < 50.2


def test_a_leg_without_consent_is_silent() -> None:
    """But listens on."""

    class Leg:
        def encode(self, seq: int, at: float) -> Send:
            return Send(CHANNEL, b"sound", THERE)

        def decode(self, arrival: Arrival) -> list[Heard]:
            return []

    it = session()
    leg = Consented(Leg(), it)
    assert leg.encode(0, 0.0) is not None
    it.lost = True
    assert leg.encode(1, 0.0) is None
