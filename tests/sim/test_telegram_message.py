"""Telegram's messaging control in virtual time: what passes, and how it fails."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.telegram_message import DataCentre, TelegramMessage
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import far_end, simulate
from circumtest.wire import mtproto
from circumtest.wire.mtproto_transport import Acceptor

TRANSPORTS = ("obfuscated2", "abridged", "intermediate", "padded")


def play(
    handshake: TelegramMessage,
    *,
    version: int = 4,
    judge: Judge | None = None,
    server: Answerer | None = None,
) -> Record:
    """One trial."""
    target, services = far_end(handshake, version)
    if server is not None:
        services = dict.fromkeys(services, server)
    return simulate(handshake.script(target, Random(5)), services, judge)


def failure(cause: Cause) -> tuple[Stage, Cause]:
    """The only stage there is."""
    return Stage.SIGNALLING, cause


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


@dataclass
class Liar:
    """A server that answers with whatever `said` makes of the nonce, well framed."""

    payload: bytes | None = None
    nonce: bytes | None = None
    fingerprints: tuple[int, ...] = (0x0BC35F3509F7B7A5,)
    id: int = 1

    def __post_init__(self) -> None:
        self._stream = Acceptor()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for question in self._stream.feed(data) if data else ():
            asked = mtproto.parse_req_pq_multi(mtproto.parse_message(question).body)
            answer = mtproto.ResPq(self.nonce or asked, bytes(16), b"12345678", self.fingerprints)
            payload = self.payload or mtproto.Message(self.id, answer.pack()).pack()
            yield Emit(flow, self._stream.pack(payload))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Mute:
    """A server that accepts and says nothing."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Slammer(Mute):
    """A server that ends the stream at the first byte."""

    def __repr__(self) -> str:
        return "Slammer()"

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return (Emit(flow, b"", close=True),) if data else ()


class Garbler(Mute):
    """A server that answers with what no framing allows."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return (Emit(flow, bytes(64)),) if data else ()


@dataclass
class Dropper:
    """A censor that drops every `nth` segment, or all of them from `start` on."""

    nth: int
    start: int = 0
    seen: int = 0

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen += 1
        due = self.seen > self.start and self.seen % self.nth == 0
        return Verdict.DROP if due else Verdict.PASS


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", [4, 6])
def test_an_honest_server_is_believed_in_every_transport(transport: str, version: int) -> None:
    """Over IPv4 and IPv6, in two round trips."""
    record = play(TelegramMessage(transport), version=version)  # type: ignore[arg-type]

    assert record.outcome == Success()
    assert record.seconds == pytest.approx(0.04)


def test_the_same_trial_twice_is_the_same_record() -> None:
    """All chance is the seed's."""
    assert play(TelegramMessage()) == play(TelegramMessage())


def test_lost_segments_are_repeated_by_tcp_not_by_us() -> None:
    """Every second one lost costs time and nothing else."""
    record = play(TelegramMessage(), judge=Dropper(2))

    assert record.outcome == Success()
    assert record.seconds > 0.2


def test_a_dropped_connection_and_a_dropped_question_are_both_timeouts() -> None:
    """From the first segment on, and from the one after it: the stage is the same."""
    for start in (0, 1):
        assert died(play(TelegramMessage(), judge=Dropper(1, start))) == failure(Cause.TIMEOUT)


def test_nobody_listening_is_refused() -> None:
    """The port is closed."""
    script = TelegramMessage().script((Address("203.0.113.9", 443),), Random(1))

    assert died(simulate(script, {})) == failure(Cause.REFUSED)


@pytest.mark.parametrize("level", Level)
def test_a_mute_server_costs_the_levels_patience_and_no_real_time(level: Level) -> None:
    """Three seconds or ten, in virtual time."""
    record = play(TelegramMessage(level=level), server=Mute())

    assert died(record) == failure(Cause.TIMEOUT)
    assert record.seconds == pytest.approx(3.0 if level is Level.QUICK else 10.0, abs=0.1)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("server", "cause"),
    [
        (Liar(nonce=b"z" * 16), Cause.WRONG_IDENTITY),
        (Liar(fingerprints=(1, 2, 3)), Cause.WRONG_IDENTITY),
        (Liar(fingerprints=()), Cause.WRONG_IDENTITY),
        (Liar(id=4), Cause.MALFORMED),
        (Liar(payload=b"\0" * 40), Cause.MALFORMED),
        (Liar(payload=(-404).to_bytes(4, "little", signed=True)), Cause.ERROR_REPLY),
        (Slammer(), Cause.EOF),
    ],
    ids=repr,
)
def test_a_lying_server_is_never_believed(transport: str, server: Answerer, cause: Cause) -> None:
    """Another nonce or key is somebody else; the rest is told apart."""
    if isinstance(server, Liar):
        server.__post_init__()

    assert died(play(TelegramMessage(transport), server=server)) == failure(cause)  # type: ignore[arg-type]


def test_bytes_that_no_framing_allows_are_malformed_at_once() -> None:
    """It is not waited for more of them."""
    record = play(TelegramMessage("intermediate"), server=Garbler())

    assert died(record) == failure(Cause.MALFORMED)
    assert record.seconds < 0.1


def test_the_answer_to_another_connection_is_not_an_answer_to_this_one() -> None:
    """Replaying what a server once said fails: the nonce is drawn anew each time."""
    recorded = TelegramMessage("abridged")
    target, services = far_end(recorded)
    told: list[bytes] = []

    class Recorder(DataCentre):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            emits = list(super().receive(flow, data, now))
            told.extend(emit.data for emit in emits)
            return emits

    class Replayer(Mute):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            return (Emit(flow, told[0]),) if data else ()

    simulate(recorded.script(target, Random(1)), dict.fromkeys(services, Recorder()))
    again = simulate(recorded.script(target, Random(2)), dict.fromkeys(services, Replayer()))

    assert died(again) == failure(Cause.WRONG_IDENTITY)
    assert set(services) == {(Transport.TCP, target[0])}
