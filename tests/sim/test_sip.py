"""A SIP call in virtual time: what it survives, where it dies of what, what is no answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.sip import Sip
from circumtest.model import (
    Carrier,
    Cause,
    Failure,
    Level,
    Record,
    Stage,
    Success,
    Transport,
)
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.wire import pcmu, sdp, sip
from circumtest.wire.sip import Request, Response

Which = Callable[[Packet, float, int], bool]


def play(
    call: Sip | None = None,
    judge: Judge | None = None,
    *,
    version: int = 4,
    server: Answerer | None = None,
    silent: Iterable[Transport] = (),
) -> Record:
    """One trial; `server` stands at every place instead, and nobody answers over `silent`."""
    made = call or Sip()
    target, services = far_end(made, version)
    there = {
        place: server or answerer
        for place, answerer in services.items()
        if place[0] not in silent or place[1].port == made.sound_port
    }
    return simulate(made.script(target, Random(5)), there, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


def is_up(packet: Packet) -> bool:
    """Whether a packet leaves the client."""
    return packet.source.host in CLIENT.values()


def is_sound(packet: Packet) -> bool:
    """RTP."""
    return packet.payload[:1] == b"\x80"


def says(packet: Packet, *starts: bytes) -> bool:
    """Whether it is a message that begins so."""
    return packet.payload.startswith(starts)


@dataclass
class Dropping:
    """Drops the packets that `which` names, by packet, seconds and number of its kind."""

    which: Which
    seen: dict[tuple[bool, bool], int] = field(default_factory=dict)

    def judge(self, packet: Packet, now: float) -> Verdict:
        key = (is_up(packet), is_sound(packet))
        number = self.seen[key] = self.seen.get(key, -1) + 1
        return Verdict.DROP if self.which(packet, now - START, number) else Verdict.PASS


@dataclass
class Watching:
    """Remembers what went up, and drops what `which` names."""

    which: Which = lambda packet, at, number: False
    said: list[tuple[float, bytes]] = field(default_factory=list)

    def judge(self, packet: Packet, now: float) -> Verdict:
        if is_up(packet) and not is_sound(packet):
            self.said.append((round(now - START, 3), packet.payload))
        return Verdict.DROP if self.which(packet, now - START, 0) else Verdict.PASS

    def times(self, method: bytes) -> list[float]:
        return [at for at, data in self.said if data.startswith(method)]


# ------------------------------------------------------------------ what succeeds


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("register", [True, False])
@pytest.mark.parametrize("carrier", list(Carrier))
def test_a_call_that_nobody_hinders_succeeds(
    carrier: Carrier, register: bool, version: int
) -> None:
    """All stages pass, nothing is lost, and the exit is known."""
    record = play(Sip(carrier, register=register), version=version)
    (media,) = record.media

    assert record.outcome == Success()
    assert [one.stage for one in record.stages] == list(Sip.stages)
    assert record.exit is not None
    assert record.exit.host == CLIENT[version]
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert media.up.received == media.seconds * 50
    assert media.up.rtt == pytest.approx(0.03, abs=0.02)


@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_every_level_lasts_as_long_as_it_should(level: Level) -> None:
    """Also the longest."""
    record = play(Sip(level=level))

    assert record.outcome == Success()
    assert record.media[0].up.received == record.media[0].seconds * 50


@dataclass
class Nth:
    """Drops one packet only."""

    number: int
    seen: int = -1

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen += 1
        return Verdict.DROP if self.seen == self.number else Verdict.PASS


@pytest.mark.parametrize("number", range(40))
def test_no_single_datagram_is_indispensable(number: int) -> None:
    """Requests are sent again, answers too, the ACK for each 200, and sound may lose one."""
    assert play(judge=Nth(number)).outcome == Success(), number


def test_a_tenth_lost_is_still_a_call() -> None:
    """Both ways."""
    dice = Random(3)
    judge = Dropping(lambda packet, at, number: dice.random() < 0.1)
    record = play(Sip(level=Level.STANDARD), judge)

    assert record.outcome == Success()
    (media,) = record.media
    for way in (media.up, media.down):
        assert 40 < (way.lost or 0) < 220


def test_loss_on_the_way_back_is_not_blamed_on_the_way_up() -> None:
    """A mark that did not come back may have been in what the far end sent and nobody got."""
    dice = Random(1)
    judge = Dropping(lambda p, at, n: is_sound(p) and not is_up(p) and dice.random() < 0.15)
    record = play(Sip(level=Level.STANDARD), judge)
    (media,) = record.media

    assert record.outcome == Success()
    assert media.up.lost is not None
    assert media.up.lost <= 30
    assert 120 < (media.down.lost or 0) < 260


# ------------------------------------------------------------------ the words


def test_an_invite_is_sent_at_once_after_a_half_and_after_one_and_a_half_seconds() -> None:
    """As the capture has it: T1 doubling (RFC 3261 17.1.1.2); anything else waits 4 s at most."""
    watch = Watching(lambda packet, at, number: says(packet, b"INVITE"))
    assert died(play(Sip(level=Level.STANDARD), watch)) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    sent = watch.times(b"INVITE")
    assert [round(at - sent[0], 2) for at in sent] == [0.0, 0.5, 1.5, 3.5, 7.5]

    watch = Watching(lambda packet, at, number: True)
    assert died(play(Sip(level=Level.STANDARD), watch)) == (Stage.SIGNALLING, Cause.TIMEOUT)
    assert watch.times(b"OPTIONS") == [0.0, 0.5, 1.5, 3.5, 7.5]
    assert len({data for _, data in watch.said}) == 1


def test_an_invite_that_was_heard_is_not_sent_again_and_cancelled_when_nobody_answers() -> None:
    """100 and 180 came; the 200 does not."""
    dropped = (b"SIP/2.0 200 OK\r\nVia",)

    def lost(packet: Packet, at: float, number: int) -> bool:
        return says(packet, *dropped) and b" INVITE\r\n" in packet.payload

    watch = Watching(lost)
    record = play(judge=watch)

    assert died(record) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.detail == "180 Ringing came, and no more in 3 s"
    assert len(watch.times(b"INVITE")) == 2  # without the password, and with it
    assert watch.times(b"CANCEL")


def test_over_streams_nothing_is_said_twice() -> None:
    """They are reliable themselves."""
    watch = Watching()
    assert play(Sip(Carrier.TCP), watch).outcome == Success()
    said = [data for _, data in watch.said]

    assert len(said) == len(set(said))


@pytest.mark.parametrize("carrier", [Carrier.UDP, Carrier.TCP])
@pytest.mark.parametrize("version", [4, 6])
def test_the_offer_carries_the_address_at_which_the_sound_is_seen(
    carrier: Carrier, version: int
) -> None:
    """The port is that of the sound's own socket, which asked for itself."""
    watch, ports = Watching(), set()
    assert play(Sip(carrier), watch, version=version).outcome == Success()

    class Listening:
        def judge(self, packet: Packet, now: float) -> Verdict:
            if is_up(packet) and is_sound(packet):
                ports.add(packet.source.port)
            return Verdict.PASS

    assert play(Sip(carrier), Listening(), version=version).outcome == Success()
    invites = [sip.unpack(data) for _, data in watch.said if data.startswith(b"INVITE")]
    assert len(invites) == 2
    for invite in invites:
        offer = sdp.parse(invite.body)
        assert (offer.origin, offer.connection) == (CLIENT[version], CLIENT[version])
        assert {offer.media[0].port} == ports
        assert ".invalid" not in sip.pack(invite).decode()


def test_a_call_is_hung_up_whatever_became_of_it() -> None:
    """BYE within the dialog; also when the sound failed."""
    for which, outcome in (
        (lambda p, at, n: False, True),
        (lambda p, at, n: is_sound(p), False),
    ):
        watch = Watching(which)
        record = play(judge=watch)
        assert (record.outcome == Success()) is outcome
        assert len(watch.times(b"BYE")) == 1


@pytest.mark.parametrize("carrier", [Carrier.TCP, Carrier.TLS])
def test_where_the_sounds_address_is_not_told_the_far_end_finds_it(carrier: Carrier) -> None:
    """No datagrams but sound pass: ours answers to where authentic sound comes from."""
    call = Sip(carrier)

    def signals(packet: Packet, at: float, number: int) -> bool:
        return packet.transport is Transport.UDP and not is_sound(packet)

    assert play(call, Dropping(signals)).outcome == Success()


# ------------------------------------------------------------------ what fails


def sound(way: bool, after: int = 0) -> Which:
    """Names sound in one direction from a number on (two packets come before what is counted)."""
    skip = 2 if way else 0
    return lambda packet, at, number: (
        is_sound(packet) and is_up(packet) is way and number >= after + skip * bool(after)
    )


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (lambda p, at, n: says(p, b"OPTIONS"), (Stage.SIGNALLING, Cause.TIMEOUT)),
        (lambda p, at, n: says(p, b"SIP/2.0 200"), (Stage.SIGNALLING, Cause.TIMEOUT)),
        (lambda p, at, n: says(p, b"REGISTER"), (Stage.SIGNALLING, Cause.TIMEOUT)),
        (lambda p, at, n: says(p, b"SIP/2.0 401"), (Stage.SIGNALLING, Cause.TIMEOUT)),
        (lambda p, at, n: says(p, b"INVITE"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (lambda p, at, n: says(p, b"SIP/2.0 407"), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (lambda p, at, n: says(p, b"ACK"), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (sound(True), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (sound(False), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (sound(True, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
        (sound(False, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
    ],
)
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD])
def test_every_stage_dies_of_what_is_taken_from_it(
    which: Which, end: tuple[Stage, Cause], level: Level
) -> None:
    """Requests, answers, sound of either direction; at once or after 25 packets."""
    assert died(play(Sip(level=level), Dropping(which))) == end


def test_the_words_of_a_freeze_name_direction_packets_and_seconds() -> None:
    """The direction that lives is not blamed."""
    record = play(judge=Dropping(sound(True, after=25)))

    assert isinstance(record.outcome, Failure)
    assert record.outcome.detail == "up after 25 packets, 0.5 s"
    assert record.media[0].down.silent_after is None
    assert record.media[0].down.lost == 0


@pytest.mark.parametrize("way", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_third_of_one_directions_sound_lost_is_that_directions_failure(
    way: bool, seed: int
) -> None:
    """The other one is well, as far as one can tell."""
    dice = Random(seed)
    judge = Dropping(lambda p, at, n: is_sound(p) and is_up(p) is way and dice.random() < 0.33)
    record = play(Sip(level=Level.STANDARD), judge)
    (media,) = record.media
    spoiled, whole = (media.up, media.down) if way else (media.down, media.up)

    assert died(record) == (Stage.MEDIA_UP if way else Stage.MEDIA_DOWN, Cause.LOSSY)
    assert (spoiled.lost or 0) / 1250 == pytest.approx(0.33, abs=0.05)
    assert whole.lost is not None
    assert whole.lost <= 30


@pytest.mark.parametrize("carrier", [Carrier.TCP, Carrier.TLS])
def test_a_stream_that_nobody_takes_is_refused(carrier: Carrier) -> None:
    """At once."""
    record = play(Sip(carrier), silent=[Transport.TCP])

    assert died(record) == (Stage.SIGNALLING, Cause.REFUSED)
    assert record.seconds < 0.1


@pytest.mark.parametrize("register", [True, False])
def test_a_wrong_password_is_an_error_reply_with_its_code(register: bool) -> None:
    """Where it was asked for; an INVITE's refusal is acknowledged."""
    call = Sip(register=register)
    target, _ = far_end(call)
    _, services = far_end(replace(call, secret="another"))
    watch = Watching()
    outcome = simulate(call.script(target, Random(1)), services, watch).outcome

    assert isinstance(outcome, Failure)
    assert outcome.cause is Cause.ERROR_REPLY
    assert outcome.detail[:4] == ("401 " if register else "407 ")
    assert len(watch.times(b"ACK")) == (0 if register else 2)


# ------------------------------------------------------------------ forgeries

Forge = Callable[[Request], Iterable[Response | bytes]]


class Forger:
    """Stands where the far half should and says what a forger could, or a far end that errs."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if not data or data[:1] == b"\x80":
            return
        request = sip.unpack(data)
        assert isinstance(request, Request)
        for said in self._forge(request):
            yield Emit(flow, said if isinstance(said, bytes) else sip.pack(said))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


SEEN = ";received=192.0.2.2"


def answer(
    request: Request, code: int = 200, words: str = "OK", body: bytes = b"", **changed: str
) -> Response:
    """An answer; `changed` are header values by name."""
    kept = [one for one in request.fields if one[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    fields = [
        (name, changed.pop(name.replace("-", "_"), value + (SEEN if name == "Via" else "")))
        for name, value in kept
    ]
    return Response((*fields, *changed.items()), body, code, words)


@pytest.mark.parametrize(
    "forge",
    [
        lambda request: [sip.pack(request)],  # a reflection
        lambda request: [b"", b"\0" * 90, sip.pack(answer(request))[:60]],
        lambda request: [answer(request, Via="SIP/2.0/UDP x;branch=z9hG4bKguessed" + SEEN)],
        lambda request: [answer(request, Call_ID="guessed")],
        lambda request: [answer(request, From="<sip:caller@203.0.113.10>;tag=guessed")],
        lambda request: [answer(request, CSeq="1 OPTIONS")],
        lambda request: [answer(request, CSeq=request.get("CSeq").replace("OPTIONS", "INVITE"))],
        lambda request: [answer(request, 100, "Trying")],
    ],
)
def test_no_forgery_is_an_answer(forge: Forge) -> None:
    """Reflections, garbage, another branch, call, tag, number, method; what is not final."""
    assert died(play(server=Forger(forge))) == (Stage.SIGNALLING, Cause.TIMEOUT)


@pytest.mark.parametrize(
    ("code", "end"),
    [(500, True), (503, True), (603, True), (404, False), (405, False), (501, False)],
)
def test_what_refuses_a_question_is_there_and_what_fails_is_not(code: int, end: bool) -> None:
    """A far end need not answer OPTIONS with 200 to be one."""
    record = play(server=Forger(lambda request: [answer(request, code, "No")]))

    expected = Failure(Stage.SIGNALLING, Cause.ERROR_REPLY, f"{code} No")
    assert (record.outcome == expected) or not end
    if not end:
        assert isinstance(record.outcome, Failure)
        assert record.outcome.detail.startswith(f"{code}") or record.exit is not None


def refusing(code: int) -> Forge:
    """Lets register, and refuses the call."""

    def forge(request: Request) -> Iterable[Response]:
        if request.method in ("OPTIONS", "REGISTER"):
            yield answer(request)
        elif request.method == "INVITE":
            yield answer(request, code, "Busy Here")

    return forge


@pytest.mark.parametrize("code", [300, 404, 486, 488, 503, 603])
def test_a_refused_call_is_an_error_reply_with_its_code(code: int) -> None:
    """At once, and acknowledged."""
    watch = Watching()
    record = play(judge=watch, server=Forger(refusing(code)))

    assert record.outcome == Failure(Stage.CONNECTIVITY, Cause.ERROR_REPLY, f"{code} Busy Here")
    assert record.seconds < 1
    (ack,) = [sip.unpack(data) for _, data in watch.said if data.startswith(b"ACK")]
    (invite,) = [sip.unpack(data) for _, data in watch.said if data.startswith(b"INVITE")]
    assert sip.branch(ack) == sip.branch(invite)
    assert ack.cseq[0] == invite.cseq[0]
    assert not watch.times(b"BYE")


CONTACT = "<sip:203.0.113.10>"
HERE = sdp.pack(
    sdp.Session(
        "203.0.113.10",
        1,
        1,
        (sdp.Media("audio", 40000, "RTP/AVP", ("0",)),),
        connection="203.0.113.10",
    )
)


def answering(**how: object) -> Forge:
    """Answers the call so."""

    def forge(request: Request) -> Iterable[Response]:
        if request.method == "INVITE":
            yield answer(request, **how)  # type: ignore[arg-type]
        elif request.method != "ACK":
            yield answer(request)

    return forge


@pytest.mark.parametrize(
    "how",
    [
        {"body": HERE},  # no contact
        {"Contact": CONTACT},
        {"Contact": CONTACT, "body": b"v=1\r\n"},
        {"Contact": CONTACT, "body": HERE.replace(b" 40000 ", b" 0 ")},
        {"Contact": CONTACT, "body": HERE.replace(b"AVP 0", b"AVP 8")},
        {"Contact": CONTACT, "body": HERE.replace(b"audio", b"video")},
        {"Contact": CONTACT, "body": HERE.replace(b"c=IN IP4 203.0.113.10\r\n", b"")},
        {"Contact": CONTACT, "body": HERE.replace(b"c=IN IP4 203.0.113.10", b"c=IN IP6 ::1")},
        {"code": 401},
        {"code": 407, "Proxy-Authenticate": "Basic realm=x"},
        {"code": 407, "Proxy-Authenticate": 'Digest realm="x"'},
    ],
)
def test_an_answer_that_is_ours_and_of_no_use_is_malformed(how: dict[str, object]) -> None:
    """No contact, no description, no sound that we could send, no challenge."""
    record = play(server=Forger(answering(**how)))

    assert died(record) == (Stage.CONNECTIVITY, Cause.MALFORMED)


def test_a_far_end_that_does_not_say_whom_it_answers_is_malformed() -> None:
    """Without `received` nobody knows where the call leaves."""
    forger = Forger(lambda request: [answer(request, Via=request.get("Via"))])

    assert died(play(server=forger)) == (Stage.SIGNALLING, Cause.MALFORMED)


def test_a_stream_of_something_else_is_malformed() -> None:
    """It cannot be framed."""
    server = Forger(lambda request: [b"HTTP/1.1 400 Bad Request\r\n\r\n"])

    assert died(play(Sip(Carrier.TCP), server=server)) == (Stage.SIGNALLING, Cause.MALFORMED)


class Spoiled:
    """A real far half of which some packets are changed."""

    def __init__(self, spoil: Callable[[bytes], Iterable[bytes]]) -> None:
        self._server, self._spoil = Sip().answerer(), spoil

    def _all(self, emits: Iterable[Emit]) -> Iterable[Emit]:
        return [Emit(one.flow, data) for one in emits for data in self._spoil(one.data)]

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return self._all(self._server.receive(flow, data, now))

    def timer(self) -> float | None:
        return self._server.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._all(self._server.tick(now))


def test_sound_of_another_codec_is_no_sound() -> None:
    """Payload type 8 was not agreed on."""
    spoil = Spoiled(lambda data: [b"\x80\x08" + data[2:] if data[:1] == b"\x80" else data])

    assert died(play(server=spoil)) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)


def test_sound_that_is_not_ours_says_that_nothing_went_up() -> None:
    """The far end plays something else: its own stream is there, our marks are not."""
    spoil = Spoiled(lambda data: [data[:12] + pcmu.SILENCE if data[:1] == b"\x80" else data])
    record = play(server=spoil)

    assert died(record) == (Stage.MEDIA_UP, Cause.NO_UPLINK)
    assert record.media[0].down.lost == 0
    # But of a callee that is not known to play it back, that is no news.
    record = play(Sip(echoes=False), server=spoil)
    assert record.outcome == Success()
    assert record.media[0].up.received is None


def test_packets_that_are_sent_back_as_they_are_say_nothing_of_the_way_up() -> None:
    """A far end that reflects: all that can be counted is what came back."""

    class Mirror(Spoiled):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            return [Emit(flow, data)] if data[:1] == b"\x80" else super().receive(flow, data, now)

        def timer(self) -> float | None:
            return None

    mirror = Mirror(lambda data: [data])
    whole, lossy = play(server=mirror), play(server=mirror, judge=Dropping(sound(True)))

    assert whole.outcome == Success()
    assert whole.media[0].up.received is None
    assert whole.media[0].down.lost == 0
    assert died(lossy) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)


def test_a_200_that_comes_again_is_acknowledged_again_with_the_same_words() -> None:
    """The first ACK is lost, so the far half says its 200 again, half a second later."""
    lost: list[Packet] = []

    def first(packet: Packet, at: float, number: int) -> bool:
        known = says(packet, b"ACK sip:203") and not lost
        lost.extend([packet] * known)
        return known

    watch = Watching(first)
    assert play(judge=watch).outcome == Success()
    acks = [data for _, data in watch.said if data.startswith(b"ACK sip:203")]
    assert len(acks) == 2
    assert len(set(acks)) == 1


def test_a_far_end_that_hangs_up_is_answered_and_not_hung_up_on() -> None:
    """Its BYE gets a 200; the sound has died by then."""
    watch = Watching()

    class Leaving(Spoiled):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            if data.startswith(b"ACK"):
                request = sip.unpack(data)
                assert isinstance(request, Request)
                turned = {"From": request.get("To"), "To": request.get("From"), "CSeq": "1 BYE"}
                fields = [(name, turned.get(name, value)) for name, value in request.fields]
                bye = Request(tuple(fields), b"", "BYE", "sip:caller@x")
                return [Emit(flow, sip.pack(bye))]
            return super().receive(flow, data, now)

    record = play(judge=watch, server=Leaving(lambda data: [data]))

    assert died(record) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)
    assert watch.times(b"SIP/2.0 200")
    assert not watch.times(b"BYE")


def test_what_the_first_packet_has_is_what_is_announced() -> None:
    """Within the length of an address."""
    watch = Watching()
    play(judge=watch)

    assert abs(len(watch.said[0][1]) - Sip().opening) <= 3 * 3
