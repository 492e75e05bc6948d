"""Signal's messaging in virtual time: whom it takes for Signal, and what it dies of."""

from collections.abc import Iterable
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.signal_message import NAME, SignalMessage
from circumtest.model import Cause, Failure, Level, Record, Stage, Success
from circumtest.script import Answerer, Emit, Flow
from circumtest.secure import TlsAnswerer
from circumtest.simulate import far_end, simulate
from circumtest.wire import tls


class Mute:
    """Says nothing."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def play(server: Answerer | None = None, judge: Judge | None = None, version: int = 4) -> Record:
    """A trial at one's own far half, or a stranger's at `server`."""
    handshake = SignalMessage(level=Level.QUICK)
    target, services = far_end(handshake, version)
    if server is None:
        return simulate(handshake.script(target, Random(1)), services, judge)
    services = dict.fromkeys(services, server)
    return simulate(handshake.reach(target, Random(1)), services, judge)


def died(record: Record) -> Cause:
    """How a trial failed, always at signalling."""
    assert isinstance(record.outcome, Failure), record
    assert record.outcome.stage is Stage.SIGNALLING
    return record.outcome.cause


@pytest.mark.parametrize("version", [4, 6])
def test_ones_own_far_half_is_known_by_its_key(version: int) -> None:
    """Whatever name is in its certificate."""
    record = play(version=version)

    assert record.outcome == Success()
    assert tuple(one.stage for one in record.stages) == SignalMessage.stages


@pytest.mark.parametrize("name", [NAME, "*.signal.org", NAME.upper()])
def test_what_calls_itself_signals_server_is_taken_at_its_word(name: str) -> None:
    """Its root is not kept here."""
    assert play(TlsAnswerer(Mute(), "whoever", name)).outcome == Success()


@pytest.mark.parametrize("name", ["block.example.org", "signal.org", "*.org", "x.chat.signal.org"])
def test_what_calls_itself_otherwise_is_not(name: str) -> None:
    """A block page, a portal, a proxy."""
    assert died(play(TlsAnswerer(Mute(), "whoever", name))) is Cause.WRONG_IDENTITY


def test_silence_is_a_timeout() -> None:
    """Of the server, or of a censor that drops what names Signal."""

    class Dropping:
        def judge(self, packet: Packet, now: float) -> Verdict:
            return Verdict.DROP if NAME.encode() in packet.payload else Verdict.PASS

    assert died(play(Mute())) is Cause.TIMEOUT
    assert died(play(judge=Dropping())) is Cause.TIMEOUT


def test_its_first_packet_names_signal() -> None:
    """In a ClientHello, which is what a censor reads."""
    seen = []

    class Watching:
        def judge(self, packet: Packet, now: float) -> Verdict:
            seen.append(packet.payload)
            return Verdict.PASS

    play(judge=Watching())
    hello = tls.client_hello(next(payload for payload in seen if payload))

    assert hello is not None
    assert tls.server_name(hello) == NAME
