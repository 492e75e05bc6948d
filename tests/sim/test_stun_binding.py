"""STUN Binding in virtual time: forty seconds of retransmission cost milliseconds."""

import time
from collections.abc import Callable, Iterable
from random import Random

import pytest

from circumtest.censor.packet import Packet, Verdict
from circumtest.handshakes.stun_binding import StunBinding
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.wire import stun


class Lossy:
    """Drops everything that leaves up to a time, and keeps what it saw."""

    def __init__(self, until: float) -> None:
        self.seen: list[tuple[float, bytes]] = []
        self._until = until

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen.append((round(now - START, 3), packet.payload))
        return Verdict.DROP if now - START < self._until else Verdict.PASS


def play(
    level: Level = Level.QUICK,
    judge: Lossy | None = None,
    *,
    server: Answerer | None = None,
    version: int = 4,
) -> Record:
    """One trial; `server` is what stands there instead."""
    handshake = StunBinding(level=level)
    target, services = far_end(handshake, version)
    if server is not None:
        services = dict.fromkeys(services, server)
    return simulate(handshake.script(target, Random(5)), services, judge)


@pytest.mark.parametrize("version", [4, 6])
def test_the_mapped_address_is_recorded(version: int) -> None:
    """It is the client's."""
    record = play(version=version)

    assert record.outcome == Success()
    assert record.exit == Address(CLIENT[version], 40001)


def test_a_deep_trial_keeps_to_the_rfcs_whole_schedule_in_no_time() -> None:
    """Seven sends of the same bytes from 0 to 31.5 s, the end at 39.5 s."""
    judge = Lossy(100)
    begun = time.perf_counter()
    record = play(Level.DEEP, judge)

    assert time.perf_counter() - begun < 0.5
    assert [at for at, _ in judge.seen] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert len({data for _, data in judge.seen}) == 1
    assert record.seconds == 39.5
    assert isinstance(record.outcome, Failure)
    assert (record.outcome.stage, record.outcome.cause) == (Stage.BINDING, Cause.TIMEOUT)


@pytest.mark.parametrize(("level", "last"), [(Level.QUICK, 1.5), (Level.STANDARD, 7.5)])
def test_the_last_request_within_patience_is_enough(level: Level, last: float) -> None:
    """And the one before it is lost."""
    judge = Lossy(last)

    assert play(level, judge).outcome == Success()
    assert len(judge.seen) == (4 if last == 1.5 else 6)  # the answer is seen too


class Forger:
    """Stands where the server should."""

    def __init__(self, forge: Callable[[bytes, Flow], Iterable[Emit]]) -> None:
        self._forge = forge

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return self._forge(data, flow)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def ok(flow: Flow, tid: bytes) -> bytes:
    """A success response."""
    value = stun.xor_address(*flow.remote, tid)
    return stun.pack(stun.Message(stun.BINDING_OK, tid, ((stun.XOR_MAPPED_ADDRESS, value),)))


@pytest.mark.parametrize(
    "forge",
    [
        lambda data, flow: [Emit(flow, data)],
        lambda data, flow: [Emit(flow, b"garbage"), Emit(flow, ok(flow, b"another one."))],
        lambda data, flow: [Emit(flow, ok(flow, data[8:20])[:-1])],
        lambda data, flow: [
            Emit(
                Flow(flow.transport, flow.local._replace(host="203.0.113.99"), flow.remote),
                ok(flow, data[8:20]),
            )
        ],
    ],
)
def test_no_forgery_is_an_answer(forge: Callable[[bytes, Flow], Iterable[Emit]]) -> None:
    """A reflection, another transaction, a cut answer, an answer from another host."""
    record = play(server=Forger(forge))

    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause == Cause.TIMEOUT


def test_an_error_is_told_with_its_code() -> None:
    """And at once."""

    def refuse(data: bytes, flow: Flow) -> Iterable[Emit]:
        attributes = ((stun.ERROR_CODE, stun.pack_error(500, "Server Error")),)
        yield Emit(flow, stun.pack(stun.Message(stun.BINDING_ERROR, data[8:20], attributes)))

    record = play(server=Forger(refuse))

    assert record.outcome == Failure(Stage.BINDING, Cause.ERROR_REPLY, "500 Server Error")
    assert record.seconds == pytest.approx(0.02)
