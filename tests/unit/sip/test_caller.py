"""The caller: what he says to whom, in which order, and by which route."""

from collections.abc import Callable, Iterable
from random import Random

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Carrier, Cause, Outcome, Stage, Success, Transport
from circumtest.script import Emit, Flow, Script, enter, now, recv
from circumtest.simulate import simulate
from circumtest.sip.caller import Caller
from circumtest.sip.line import connect
from circumtest.sip.words import Account
from circumtest.wire import digest, sdp, sip
from circumtest.wire.sip import Request, Response

FAR = Address("203.0.113.10", 5060)
ACCOUNT = Account("caller", "password", "echo", "203.0.113.10")
SESSION = sdp.Session(
    FAR.host, 1, 1, (sdp.Media("audio", 40000, "RTP/AVP", ("0",)),), connection=FAR.host
)
ROUTE = "<sip:203.0.113.10;lr;r2=on>, <sip:203.0.113.10:5061;lr;r2=on>"

Answers = Callable[[Request], Iterable[Response]]


class Far:
    """A far end that answers as it is told, and remembers what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[Request] = []

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        request = sip.unpack(data)
        if isinstance(request, Request):
            self.asked.append(request)
            for one in self._answers(request):
                yield Emit(flow, sip.pack(one))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()

    def methods(self) -> list[str]:
        return [one.method for one in self.asked]


def reply(request: Request, code: int, *more: tuple[str, str], body: bytes = b"") -> Response:
    """Its answer, which says where it was seen, and has a tag."""
    kept = [one for one in request.fields if one[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    made = []
    for name, value in kept:
        text = value
        if name == "Via":
            text = value.replace(";rport;", ";rport=4444;") + ";received=198.51.100.7"
        elif name == "To" and not sip.tag(value):
            text = f"{value};tag=far"
        made.append((name, text))
    return Response((*made, *more), body, code, "Words")


def run(answers: Answers, act: Callable[[Caller], Script[object]]) -> tuple[Outcome, Far]:
    """Let a caller do something with a far end."""
    far = Far(answers)

    def script() -> Script[None]:
        yield from enter(Stage.SIGNALLING)
        line = yield from connect(Carrier.UDP, FAR, 3.0, "sip.example", "")
        try:
            yield from act(Caller(line, ACCOUNT, Random(1)))
        finally:  # what was said last arrives, too
            yield from recv((yield from now()) + 1.0)

    return simulate(script(), {(Transport.UDP, FAR): far}).outcome, far


def called(caller: Caller) -> Script[None]:
    """A whole call."""
    yield from caller.options(3.0)
    yield from caller.invite(SESSION, lambda answer: (), 3.0)
    yield from caller.hang_up()
    yield from caller.hang_up()


def answering(*more: tuple[str, str]) -> Answers:
    """Answers everything with 200."""

    def answers(request: Request) -> Iterable[Response]:
        if request.method == "INVITE":
            contact = ("Contact", "<sip:agent@192.0.2.10:5070>")
            yield reply(request, 200, contact, *more, body=sdp.pack(SESSION))
        elif request.method != "ACK":
            yield reply(request, 200)

    return answers


def test_a_call_is_asked_about_made_acknowledged_and_ended_once() -> None:
    """In one dialog, to the far end's contact, by the reversed route of the proxies."""
    outcome, far = run(answering(("Record-Route", ROUTE)), called)
    options, invite, ack, bye = far.asked

    assert outcome == Success()
    assert far.methods() == ["OPTIONS", "INVITE", "ACK", "BYE"]
    for one in (ack, bye):
        assert one.uri == "sip:agent@192.0.2.10:5070"
        assert one.all("Route") == tuple(reversed(sip.split(ROUTE)))
        assert sip.tag(one.get("To")) == "far"
        assert one.get("Call-ID") == invite.get("Call-ID") != options.get("Call-ID")
        assert one.get("From") == invite.get("From")
    assert ack.cseq == (invite.cseq[0], "ACK")
    assert bye.cseq[0] > invite.cseq[0]
    assert len({sip.branch(one) for one in far.asked}) == 4


def test_he_says_where_he_is_seen_as_soon_as_he_knows() -> None:
    """Before that his name is one that nobody can look up."""
    _, far = run(answering(), called)
    options, invite, *_ = far.asked

    assert ".invalid;rport;" in options.get("Via")
    assert options.get("Contact").endswith(".invalid>")
    assert "198.51.100.7:4444;rport;" in invite.get("Via")
    assert invite.get("Contact") == "<sip:caller@198.51.100.7:4444>"


CHALLENGE = digest.Challenge("r", "first")


def wanting(*challenges: digest.Challenge, proxy: bool = False) -> Answers:
    """Challenges so, one after the other, and then lets him in."""
    left = list(challenges)
    name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"

    def answers(request: Request) -> Iterable[Response]:
        if left:
            yield reply(request, 407 if proxy else 401, (name, left.pop(0).pack()))
        else:
            yield reply(request, 200)

    return answers


@pytest.mark.parametrize("proxy", [True, False])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_challenge_is_answered_in_a_request_of_its_own(proxy: bool, algorithm: str) -> None:
    """The next number, another branch, the same call."""
    challenge = digest.Challenge("r", "n", algorithm)
    outcome, far = run(wanting(challenge, proxy=proxy), lambda caller: caller.register(3.0))
    first, second = far.asked
    proof = second.get("Proxy-Authorization" if proxy else "Authorization")

    assert outcome == Success()
    assert digest.verify(proof, challenge, "caller", "password", "REGISTER")
    assert second.cseq[0] == first.cseq[0] + 1
    assert sip.branch(second) != sip.branch(first)
    assert second.get("Call-ID") == first.get("Call-ID")
    assert second.get("Contact") == "<sip:caller@198.51.100.7:4444>"


def test_a_stale_nonce_is_answered_anew_and_a_second_refusal_is_one() -> None:
    """Whoever says that the password is wrong is believed."""
    stale = digest.Challenge("r", "second", stale=True)
    outcome, far = run(wanting(CHALLENGE, stale), lambda caller: caller.register(3.0))
    assert outcome == Success()
    assert len(far.asked) == 3

    _, far = run(wanting(CHALLENGE, CHALLENGE), lambda caller: caller.register(3.0))
    assert len(far.asked) == 2

    for endless in (CHALLENGE, stale):
        outcome, far = run(wanting(*[endless] * 9), lambda caller: caller.register(3.0))
        assert outcome != Success()
        assert len(far.asked) <= 3


def test_several_challenges_are_looked_through_for_one_that_is_known() -> None:
    """RFC 8760 has far ends offer the better one first, and here perhaps an unknown one."""

    def answers(request: Request) -> Iterable[Response]:
        if request.get("Authorization"):
            yield reply(request, 200)
            return
        unknown = ("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=SHA-512-256')
        yield reply(request, 401, unknown, ("WWW-Authenticate", CHALLENGE.pack()))

    assert run(answers, lambda caller: caller.register(3.0))[0] == Success()


def test_a_call_that_only_rings_is_cancelled_and_its_end_acknowledged() -> None:
    """CANCEL has the INVITE's branch and number; 487 is what the INVITE gets then."""
    invites: list[Request] = []

    def answers(request: Request) -> Iterable[Response]:
        if request.method == "INVITE":
            invites.append(request)
            yield reply(request, 180)
        elif request.method == "CANCEL":
            yield reply(invites[0], 487)
            yield reply(request, 200)

    outcome, far = run(answers, lambda caller: caller.invite(SESSION, lambda answer: (), 3.0))
    cancel = next(one for one in far.asked if one.method == "CANCEL")

    assert outcome != Success()
    assert sorted(far.methods()) == ["ACK", "CANCEL", "INVITE"]
    assert {sip.branch(one) for one in far.asked} == {sip.branch(invites[0])}
    assert cancel.cseq == (invites[0].cseq[0], "CANCEL")


def test_a_call_that_is_answered_when_it_is_cancelled_is_hung_up() -> None:
    """The two crossed."""
    invites: list[Request] = []

    def answers(request: Request) -> Iterable[Response]:
        if request.method == "INVITE":
            invites.append(request)
            yield reply(request, 180)
        elif request.method == "CANCEL":
            yield reply(invites[0], 200, ("Contact", "<sip:agent@x>"))
            yield reply(request, 200)
        elif request.method == "BYE":
            yield reply(request, 200)

    _, far = run(answers, lambda caller: caller.invite(SESSION, lambda answer: (), 3.0))

    assert far.methods() == ["INVITE", "CANCEL", "ACK", "BYE"]


def test_an_answer_of_no_use_is_acknowledged_all_the_same() -> None:
    """So that the call can be hung up."""

    def useless(caller: Caller) -> Script[None]:
        def before(answer: sdp.Session) -> Iterable[object]:
            raise ValueError("of no use")

        with pytest.raises(HandshakeFailed) as caught:
            yield from caller.invite(SESSION, before, 3.0)  # type: ignore[arg-type]
        assert caught.value.cause is Cause.MALFORMED
        yield from caller.hang_up()

    outcome, far = run(answering(), useless)

    assert outcome == Success()
    assert far.methods() == ["INVITE", "ACK", "BYE"]
