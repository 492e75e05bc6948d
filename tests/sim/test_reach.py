"""What real services answer to strangers, in virtual time: how far it goes, and where it dies."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import dpkt
import pytest

from circumtest import configs
from circumtest.censor.judge import Censor
from circumtest.censor.load import policy
from circumtest.censor.packet import Judge
from circumtest.handshakes.messenger_call import TERMS, MessengerCall
from circumtest.handshakes.signal_call import SignalCall
from circumtest.handshakes.stun_binding import StunBinding
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.handshakes.telegram_message import TelegramMessage
from circumtest.handshakes.whatsapp_message import TEST_ROOT, WhatsappMessage
from circumtest.live.control import Ntp, TimeServer, Tls
from circumtest.model import Carrier, Cause, Failure, Level, Record, Stage, Success
from circumtest.relay import Relay
from circumtest.script import Answerer, Emit, Flow, Handshake, Public
from circumtest.simulate import far_end, simulate
from circumtest.turn import LIBWEBRTC
from circumtest.wire import ntp, stun
from circumtest.wire import turn as wire
from tests.sim.turning import Dropping, drops, is_up

PUBLIC: Mapping[str, Handshake] = {
    "stun-binding": StunBinding(),
    "whatsapp-message": WhatsappMessage(root=TEST_ROOT),
    "whatsapp-message again": WhatsappMessage(root=TEST_ROOT, form="ed", port=5222),
    "telegram-message": TelegramMessage(level=Level.QUICK),
    "telegram-call-udp": TelegramCallUdp(level=Level.QUICK),
    "telegram-call-turn": TelegramCallTurn(),
    "messenger-call": MessengerCall(),
    "signal-call": SignalCall(),
    "signal-call over TCP": SignalCall(Carrier.TCP),
}
"""Those whose answerer is as a real service to a stranger; over TLS names are checked instead."""
DATA = Path(__file__).parents[1] / "data"
MOST_ALLOCATES = 9
"""What libwebrtc sends to a server that does not answer."""


def reach(
    handshake: Any,
    judge: Judge | None = None,
    *,
    version: int = 4,
    seed: int = 1,
    server: Answerer | None = None,
    **more: Any,
) -> Record:
    """A stranger's trial, with the services but without a callee."""
    target, services = far_end(handshake, version)
    if server is not None:
        services = dict.fromkeys(services, server)
    asked = target[: handshake.listen.hosts]
    return simulate(handshake.reach(asked, Random(seed)), services, judge, **more)


def end(record: Record) -> tuple[Stage, Cause] | None:
    """Where and how a trial failed, None for one that did not."""
    outcome = record.outcome
    return (outcome.stage, outcome.cause) if isinstance(outcome, Failure) else None


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", PUBLIC)
def test_a_stranger_gets_as_far_as_the_handshake_says(name: str, version: int) -> None:
    """The stages that are entered are those that it names, all of them pass, and no more."""
    handshake = PUBLIC[name]
    record = reach(handshake, version=version)

    assert record.outcome == Success()
    assert isinstance(handshake, Public)
    assert tuple(stage.stage for stage in record.stages) == handshake.reached
    assert all(stage.passed for stage in record.stages)
    assert set(handshake.reached) <= set(handshake.stages)
    assert not record.media


@pytest.mark.parametrize("censor", configs.names("policies"))
@pytest.mark.parametrize("name", PUBLIC)
def test_it_dies_where_the_whole_call_dies_or_before_what_kills_that(
    name: str, censor: str
) -> None:
    """Behind every shipped policy: what kills a stage that strangers reach kills it for them."""
    handshake = PUBLIC[name]
    assert isinstance(handshake, Public)
    rules = policy(censor)
    target, services = far_end(handshake)
    whole = simulate(
        handshake.script(target, Random(1)),
        services,
        Censor(rules, 1),
        network=rules.network,
        seed=1,
    )
    stranger = reach(handshake, Censor(rules, 1), network=rules.network)
    died = end(whole)

    assert end(stranger) == (died if died and died[0] in handshake.reached else None)


# ------------------------------------------------------------------ TURN


@pytest.mark.parametrize("name", ["telegram-call-turn", "messenger-call", "signal-call"])
def test_what_it_sends_is_what_the_call_sends_first(name: str) -> None:
    """Byte for byte, up to the Allocate that a 401 answers; and then nothing at all."""
    handshake = PUBLIC[name]
    alone, whole = Dropping(), Dropping()
    reach(handshake, alone)
    target, services = far_end(handshake)
    simulate(handshake.script(target, Random(1)), services, whole)
    sizes = [len(one) for one in alone.up()]

    assert sizes == [len(one) for one in whole.up()[: len(sizes)]]
    types = [stun.unpack(one).type for one in alone.up()]
    assert types == [stun.unpack(one).type for one in whole.up()[: len(sizes)]]
    assert all(stun.unpack(one).get(wire.USERNAME) is None for one in alone.up())
    assert stun.unpack(alone.down()[-1]).type == wire.ALLOCATE | wire.ERROR


@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
@pytest.mark.parametrize("name", ["telegram-call-turn", "messenger-call", "signal-call"])
def test_it_never_sends_more_than_the_client_would(name: str, level: Level) -> None:
    """Nine Allocates to a silent server at most, at the client's times."""
    silent = Dropping(drops("0x3"))
    handshake: Any = replace(PUBLIC[name], level=level)  # type: ignore[type-var]
    record = reach(handshake, silent)
    target, _ = far_end(handshake)
    for server in target[: handshake.listen.hosts]:
        times = [
            at
            for at, packet in silent.packets
            if is_up(packet) and packet.destination == server and packet.payload[:2] == b"\0\x03"
        ]
        assert 1 <= len(times) <= MOST_ALLOCATES
        gaps = [round(later - times[0], 3) for later in times]
        assert gaps == list(LIBWEBRTC.sends[: len(gaps)])

    assert end(record) == (Stage.ALLOCATE, Cause.TIMEOUT)


@pytest.mark.parametrize("name", ["telegram-call-turn", "messenger-call"])
def test_another_realm_is_somebody_else(name: str) -> None:
    """A TURN server is easily put in the place of another."""
    record = reach(PUBLIC[name], server=Relay("secret", "example.org", StunBinding().answerer()))

    assert end(record) == (Stage.ALLOCATE, Cause.WRONG_IDENTITY)


def test_signal_takes_any_realm_since_its_servers_are_anothers() -> None:
    """Their realm is not known."""
    server = Relay("secret", "example.org", StunBinding().answerer())

    assert reach(SignalCall(), server=server).outcome == Success()


class Saying:
    """Answers every request with the same error or success, and no more."""

    def __init__(self, kind: int, attributes: tuple[tuple[int, bytes], ...]) -> None:
        self._kind, self._attributes = kind, attributes

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        request = stun.unpack(data)
        answer = stun.Message(self._kind, request.tid, self._attributes)
        yield Emit(flow, stun.pack(answer))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


@pytest.mark.parametrize(
    ("kind", "attributes", "cause"),
    [
        (
            wire.ALLOCATE | wire.ERROR,
            ((stun.ERROR_CODE, stun.pack_error(403, "Forbidden")),),
            Cause.ERROR_REPLY,
        ),
        (
            wire.ALLOCATE | wire.ERROR,
            ((stun.ERROR_CODE, stun.pack_error(401, "Unauthorized")),),
            Cause.MALFORMED,
        ),
        (wire.ALLOCATE | wire.ERROR, (), Cause.MALFORMED),
        (wire.ALLOCATE | wire.OK, (), Cause.TIMEOUT),
    ],
)
def test_only_a_whole_401_is_an_answer(
    kind: int, attributes: tuple[tuple[int, bytes], ...], cause: Cause
) -> None:
    """Another error is one, a 401 without realm is malformed, and nobody grants to strangers."""
    assert end(reach(SignalCall(), server=Saying(kind, attributes))) == (Stage.ALLOCATE, cause)


class Captured:
    """Answers as a real server did in a capture, attribute by attribute, to our transactions."""

    def __init__(self, name: str) -> None:
        self._answers: dict[int, stun.Message] = {}
        with (DATA / f"{name}.pcap").open("rb") as file:
            for _, frame in dpkt.pcap.UniversalReader(file):
                message = stun.unpack(bytes(dpkt.ethernet.Ethernet(frame).data.data.data))
                self._answers.setdefault(message.type, message)

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        request = stun.unpack(data)
        kind = stun.BINDING_OK if request.type == stun.BINDING else request.type | wire.ERROR
        if (answer := self._answers.get(kind)) is not None:
            yield Emit(flow, stun.pack(replace(answer, tid=request.tid)))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


@pytest.mark.parametrize(
    ("name", "capture", "ended"),
    [
        ("telegram-call-turn", "tg_turn_1400", None),
        ("messenger-call", "fb_turn", None),
        ("signal-call", "signal_turn", None),
        ("signal-call", "plain_turn", None),
        ("messenger-call", "signal_turn", (Stage.ALLOCATE, Cause.WRONG_IDENTITY)),
        ("messenger-call", "tg_turn_1400", (Stage.ALLOCATE, Cause.WRONG_IDENTITY)),
    ],
)
def test_what_real_servers_said_in_captures_is_understood(
    name: str, capture: str, ended: tuple[Stage, Cause] | None
) -> None:
    """Each service's own 401 is success, and another one's is not."""
    assert end(reach(PUBLIC[name], server=Captured(capture))) == ended


# ------------------------------------------------------------------ TLS


@pytest.mark.parametrize(
    "handshake",
    [
        SignalCall(Carrier.TLS, host="turn.example.org"),
        WhatsappMessage(root=TEST_ROOT, form="web", host="web.example.org"),
    ],
)
def test_who_is_not_vouched_for_is_no_service_over_tls(handshake: Any) -> None:
    """Whatever a block page calls itself: no root of this system stands for it."""
    record = reach(handshake)

    assert end(record) == (handshake.reached[0], Cause.WRONG_IDENTITY)


# ------------------------------------------------------------------ controls


def control(handshake: Any, judge: Judge | None = None, server: Answerer | None = None) -> Record:
    """A neutral exchange."""
    target, services = far_end(handshake)
    if server is not None:
        services = dict.fromkeys(services, server)
    return simulate(handshake.script(target, Random(1)), services, judge)


def test_a_neutral_place_answers() -> None:
    """The time, and TLS with a far end of one's own."""
    assert control(Ntp()).outcome == Success()
    assert control(Tls("neutral.example.org", secret="shared")).outcome == Success()


def test_who_is_not_vouched_for_is_no_neutral_place() -> None:
    """A portal or a proxy in its stead."""
    for secret in ("", "shared"):
        imposter = Tls("neutral.example.org", secret="another").answerer()
        record = control(Tls("neutral.example.org", secret=secret), server=imposter)
        assert end(record) == (Stage.CONNECTIVITY, Cause.WRONG_IDENTITY)


@pytest.mark.parametrize("lost", [0, 1])
def test_the_time_is_asked_for_again(lost: int) -> None:
    """After a second: one lost datagram is no lost control."""
    censor = Dropping(lambda packet, at, number: is_up(packet) and number <= lost)
    record = control(Ntp(), censor)

    assert record.outcome == Success()
    sent = [round(at, 3) for at, packet in censor.packets if is_up(packet)]
    assert sent[:2] == [0, 1]


def test_a_time_server_that_refuses_says_so() -> None:
    """A kiss of death is an answer, and no success."""

    class Refusing(TimeServer):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            cookie = ntp.parse_request(data)
            yield Emit(flow, ntp.pack_answer(cookie, bytes(8), stratum=0, code=b"RATE"))

    record = control(Ntp(), server=Refusing())

    assert end(record) == (Stage.CONNECTIVITY, Cause.ERROR_REPLY)
    assert isinstance(record.outcome, Failure)
    assert "RATE" in record.outcome.detail


def test_facebooks_terms_are_those_of_its_server() -> None:
    """104 bytes to a stranger, as captured."""
    censor = Dropping()
    reach(MessengerCall(), censor)

    assert [len(one) for one in censor.down()] == [104]
    assert TERMS.nonce == 40
