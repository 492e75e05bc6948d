"""Sound without a negotiation: who is answered, who is spoken to, and for how long."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import calls, voice
from circumtest.calls import MAX_CALLS, OVER
from circumtest.media import Heard, Report
from circumtest.model import Address, Cause, Failure, Record, Stage, Success, Transport
from circumtest.pipe import Straight
from circumtest.script import Answerer, Arrival, Channel, Emit, Flow, Script, enter, open_udp
from circumtest.simulate import simulate
from circumtest.talker import LONGEST, QUIET
from circumtest.voice import Callee, Leg
from circumtest.wire import ice, stun
from circumtest.wire.rtp import Frame

SECRET = "secret"
NOW = 1_764_000_000.0
CALLEE, CALLER = Address("203.0.113.11", 40100), Address("203.0.113.10", 49152)
FLOW = Flow(Transport.UDP, CALLEE, CALLER)
USER = b"lab0:abcd"
KEYS = voice.keys(SECRET, USER)
CHECK = ice.pack_check(b"t" * 12, USER, KEYS.check, controlling=True)


def say(callee: Callee, data: bytes, flow: Flow = FLOW, at: float = NOW) -> list[bytes]:
    """What the callee answers."""
    emits = list(callee.receive(flow, data, at))
    assert all(emit.flow == flow for emit in emits)
    return [emit.data for emit in emits]


def sound(seq: int, key: bytes = KEYS.up) -> bytes:
    """A packet of the caller's."""
    return voice.seal(Frame(seq, NOW + seq / 50, 0, -1, 0.0, 0.0, None, 0.0), key)


def stream(callee: Callee, until: float) -> list[tuple[float, bytes]]:
    """What he says of his own accord up to a time, and when."""
    said: list[tuple[float, bytes]] = []
    while (due := callee.timer()) is not None and due < until:
        said += [(due, emit.data) for emit in callee.tick(due)]
    return said


def test_a_check_under_the_secret_is_answered_with_where_it_came_from() -> None:
    """And begins the sound, 50 packets a second."""
    callee = Callee(SECRET)
    (answer,) = say(callee, CHECK)
    value = stun.unpack(answer).get(stun.XOR_MAPPED_ADDRESS) or b""

    assert ice.is_authentic(answer, stun.BINDING_OK, b"t" * 12, KEYS.check)
    assert stun.parse_xor_address(value, b"t" * 12) == tuple(CALLER)
    said = stream(callee, NOW + 0.99)
    assert len(said) == 50
    assert [calls.unseal(data, KEYS.down).seq for _, data in said] == list(range(50))


@pytest.mark.parametrize(
    "packet",
    [
        ice.pack_check(b"t" * 12, USER, b"wrong", controlling=True),
        ice.pack_check(b"t" * 12, b"lab1:abcd", KEYS.check, controlling=True),
        ice.pack_check(b"t" * 12, b"lab0:abcde", KEYS.check, controlling=True),
        stun.pack(stun.Message(stun.BINDING, b"t" * 12)),
        stun.pack(stun.Message(stun.BINDING_OK, b"t" * 12), KEYS.check),
        sound(0),
        b"",
    ],
)
def test_whoever_does_not_know_the_secret_is_not_answered(packet: bytes) -> None:
    """Nor spoken to."""
    callee = Callee(SECRET)

    assert say(callee, packet) == []
    assert callee.timer() is None


def test_a_check_that_is_replayed_from_elsewhere_gains_nothing() -> None:
    """The sound goes where the name was used first."""
    callee = Callee(SECRET)
    say(callee, CHECK)
    elsewhere = Flow(Transport.UDP, CALLEE, CALLER._replace(port=1))

    assert say(callee, CHECK, elsewhere) == []
    assert {emit.flow for emit in callee.tick(NOW)} == {FLOW}


def test_he_reports_what_he_heard_and_nothing_forged() -> None:
    """Each packet once, under this call's key only."""
    callee = Callee(SECRET)
    say(callee, CHECK)
    for packet in (sound(0), sound(1), sound(1), sound(2, KEYS.down), sound(3, bytes(64))):
        assert say(callee, packet) == []
    report = calls.unseal(next(iter(callee.tick(NOW))).data, KEYS.down).report

    assert isinstance(report, Report)
    assert (report.received, report.highest) == (2, 1)


def test_he_falls_silent_when_told_and_when_nobody_is_there() -> None:
    """At the end of the call, after QUIET seconds without a word, after LONGEST in any case."""
    callee = Callee(SECRET)
    say(callee, CHECK)
    say(callee, voice.seal(Frame(OVER, NOW, 0, -1, 0.0, 0.0, None, 0.0), KEYS.up))
    assert callee.timer() is None

    quiet = Callee(SECRET)
    say(quiet, CHECK)
    assert stream(quiet, NOW + 1000)[-1][0] == pytest.approx(NOW + QUIET, abs=0.1)

    talked = Callee(SECRET)
    say(talked, CHECK)
    for second in range(0, int(LONGEST) + 40, 10):
        stream(talked, NOW + second)
        say(talked, CHECK, at=NOW + second)
    assert talked.timer() is None or talked.timer() == pytest.approx(NOW + LONGEST, abs=0.1)


def test_he_remembers_a_bounded_number_of_callers() -> None:
    """The first are forgotten first."""
    callee = Callee(SECRET)
    for number in range(MAX_CALLS + 10):
        user = b"lab0:" + b"%04d" % number
        check = ice.pack_check(b"t" * 12, user, voice.keys(SECRET, user).check, controlling=True)
        flow = Flow(Transport.UDP, CALLEE, CALLER._replace(port=number + 1))
        assert len(say(callee, check, flow)) == 1

    assert len(callee._calls) == MAX_CALLS
    assert len(callee._places) == MAX_CALLS


@given(st.binary(max_size=300))
def test_garbage_is_never_an_exception_and_never_answered(data: bytes) -> None:
    """Before a call as in one."""
    callee = Callee(SECRET)
    assert say(callee, data) == []
    say(callee, CHECK)
    assert say(callee, data) == []


# ------------------------------------------------------------------ the caller


class Meddler:
    """A callee whose answers another one changes or adds to."""

    def __init__(self, change: dict[str, bytes]) -> None:
        self._inner, self._change = Callee(SECRET), change

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for emit in self._inner.receive(flow, data, now):
            if "before" in self._change:
                yield Emit(flow, self._change["before"])
            message = stun.unpack(emit.data)
            if "bare" in self._change:
                user = stun.unpack(data).get(ice.USERNAME) or b""
                bare = stun.Message(stun.BINDING_OK, message.tid)
                yield Emit(flow, stun.pack(bare, voice.keys(SECRET, user).check))
            else:
                yield emit

    def timer(self) -> float | None:
        return self._inner.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._inner.tick(now)


def call(callee: Answerer, secret: str = SECRET) -> Record:
    """A call without anything between the two."""

    def script() -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_udp(CALLEE)
        pipe = Straight(channel, CALLEE)
        leg = yield from voice.reach(pipe, Random(3), secret, (0.0, 0.5), 2.0)
        yield from voice.converse(leg, seconds=1.0)

    return simulate(script(), {(Transport.UDP, CALLEE): callee})


def test_two_that_know_the_secret_talk_and_the_callee_is_told_the_end() -> None:
    """Nothing is lost, and nothing is said afterwards."""
    callee = Callee(SECRET)
    record = call(callee)

    assert record.outcome == Success()
    assert record.media[0].up.lost == record.media[0].down.lost == 0


def test_what_is_forged_before_the_answer_changes_nothing() -> None:
    """Garbage, and sound under a key of somebody else's."""
    for forged in (b"\xff" * 40, sound(0, bytes(64)), CHECK, b""):
        assert call(Meddler({"before": forged})).outcome == Success()


def test_an_answer_without_an_address_is_malformed() -> None:
    """The callee's own, under the call's key."""
    outcome = call(Meddler({"bare": b""})).outcome

    assert isinstance(outcome, Failure)
    assert outcome.cause is Cause.MALFORMED


def test_who_knows_another_secret_reaches_nobody() -> None:
    """He is not answered."""
    outcome = call(Callee(SECRET), "another").outcome

    assert isinstance(outcome, Failure)
    assert outcome.cause is Cause.TIMEOUT


@given(st.binary(max_size=300))
def test_garbage_is_no_answer_and_no_sound(data: bytes) -> None:
    """For the caller's end."""
    channel = Channel(1, Transport.UDP, CALLEE)
    leg = Leg(Straight(channel, CALLEE), Random(1), SECRET)
    arrival = Arrival(channel, data, CALLEE, NOW)

    assert leg.answered(arrival) is None
    heard: list[Heard] = list(leg.decode(arrival))
    assert heard == []
