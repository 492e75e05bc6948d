"""WhatsApp's messaging in virtual time: whom it believes, and what it dies of."""

from collections.abc import Callable, Iterable
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.whatsapp_message import TEST_ROOT, ChatServer, WhatsappMessage
from circumtest.model import Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import far_end, simulate
from circumtest.wire import noise, wacert
from circumtest.wire.noise import KeyPair

PLAIN = WhatsappMessage(root=TEST_ROOT)
ED = WhatsappMessage(root=TEST_ROOT, form="ed")
WEB = WhatsappMessage(root=TEST_ROOT, form="web")
ROOT, MIDDLE, STATIC = (bytes([n]) * 32 for n in (1, 2, 3))


def play(
    handshake: WhatsappMessage = PLAIN,
    judge: Judge | None = None,
    *,
    server: Answerer | None = None,
    version: int = 4,
) -> Record:
    """One trial; `server` is what stands there instead."""
    beside = [Echo(Transport.TCP, handshake.port).answerer()]
    target, services = far_end(handshake, version, beside=beside)
    if server is not None:
        services = dict.fromkeys(services, server)
    return simulate(handshake.script(target, Random(5)), services, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("handshake", [PLAIN, ED, WEB])
def test_a_server_that_the_root_vouches_for_is_believed(
    handshake: WhatsappMessage, version: int
) -> None:
    """In both forms, beside the neutral control."""
    record = play(handshake, version=version)

    assert record.outcome == Success()
    assert [stage.stage for stage in record.stages] == [Stage.SIGNALLING]


def test_the_labs_server_does_not_pass_for_the_real_one() -> None:
    """The default trusts WhatsApp's root alone."""
    record = play(WhatsappMessage())

    assert died(record) == (Stage.SIGNALLING, Cause.WRONG_IDENTITY)
    assert isinstance(record.outcome, Failure)
    assert "not signed by the root" in record.outcome.detail


class Server:
    """Answers the first chunk of a stream as `reply` says."""

    def __init__(self, reply: Callable[[bytes], bytes], *, close: bool = False) -> None:
        self._reply, self._close = reply, close

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return [Emit(flow, self._reply(data), close=self._close)] if data else []

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def impostor(data: bytes) -> bytes:
    """A whole ServerHello under a root of one's own."""
    static = KeyPair.of(STATIC)
    chain = wacert.pack_chain(ROOT, MIDDLE, static.public, (0, 1 << 32))
    hello = noise.server_hello(data[-32:], KeyPair.of(b"\4" * 32), static, chain)
    return noise.frame(hello)


def replay(data: bytes) -> bytes:
    """The genuine server's answer to somebody else."""
    flow = Flow(Transport.TCP, *(far_end(PLAIN)[0] * 2))
    hello = noise.MAGIC + noise.frame(noise.client_hello(KeyPair.of(b"\5" * 32)))
    (emit,) = ChatServer().receive(flow, hello, 0.0)
    return emit.data


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        (Server(impostor), Cause.WRONG_IDENTITY),
        (Server(replay), Cause.MALFORMED),
        (Server(lambda data: data), Cause.MALFORMED),
        (Server(lambda data: b"\0\0\5hello"), Cause.MALFORMED),
        (Server(lambda data: b"HTTP/1.1 403 Forbidden\r\n\r\n"), Cause.MALFORMED),
        (Server(lambda data: b"\0\0\0"), Cause.MALFORMED),
        (Server(lambda data: b"", close=True), Cause.EOF),
        (Server(lambda data: impostor(data)[:100], close=True), Cause.EOF),
        (Server(lambda data: impostor(data)[:100]), Cause.TIMEOUT),
    ],
)
def test_everything_else_is_told_by_its_cause(server: Server, cause: Cause) -> None:
    """Impostors, replays, reflections, block pages, hang-ups, half an answer."""
    assert died(play(server=server)) == (Stage.SIGNALLING, cause)


def test_nobody_there_is_a_refusal_and_silence_a_timeout_within_patience() -> None:
    """The connection counts into the patience."""
    target, _ = far_end(PLAIN)
    assert died(simulate(PLAIN.script(target, Random(1)), {})) == (
        Stage.SIGNALLING,
        Cause.REFUSED,
    )

    class Nothing:
        def judge(self, packet: Packet, now: float) -> Verdict:
            return Verdict.DROP

    for level, seconds in ((Level.QUICK, 3.0), (Level.DEEP, 10.0)):
        record = play(WhatsappMessage(root=TEST_ROOT, level=level), Nothing())
        assert died(record) == (Stage.SIGNALLING, Cause.TIMEOUT)
        assert record.seconds == pytest.approx(seconds)


@pytest.mark.parametrize("number", range(8))
def test_a_lost_segment_is_sent_again(number: int) -> None:
    """TCP does that."""

    class Nth:
        seen = -1

        def judge(self, packet: Packet, now: float) -> Verdict:
            self.seen += 1
            return Verdict.DROP if self.seen == number else Verdict.PASS

    assert play(PLAIN, Nth()).outcome == Success()
