"""The call through a TCP reflector in virtual time: what it survives, and where it dies of what."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.telegram_call_tcp import TelegramCallTcp
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success
from circumtest.reflector import TcpReflector
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, far_end, simulate

QUICK = TelegramCallTcp(level=Level.QUICK)
RTP = b"\x90\x6f"


def play(
    handshake: TelegramCallTcp = QUICK,
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


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


@dataclass
class Drop:
    """A censor that drops what `rule` says of a segment and how many came before it."""

    rule: Callable[[Packet, int], bool]
    seen: int = 0

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen += 1
        return Verdict.DROP if self.rule(packet, self.seen) else Verdict.PASS


class Tampering(TcpReflector):
    """A reflector that does its work and puts what it sends through `change`."""

    def __init__(self, change: Callable[[bytes], bytes], close: bool = False) -> None:
        super().__init__()
        self._change, self._close = change, close

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for emit in super().receive(flow, data, now):
            yield Emit(emit.flow, self._change(emit.data), close=self._close)


def is_media(data: bytes) -> bool:
    """RTP in a data frame."""
    return data[28:30] == RTP


def spoil(data: bytes) -> bytes:
    """The last byte before the padding changed; no payload here needs padding in media."""
    return data[:30] + bytes([data[30] ^ 1]) + data[31:]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", Level)
def test_a_free_network_lets_the_call_through(version: int, level: Level) -> None:
    """Every stage and media in full; nobody says which address was seen."""
    record = play(TelegramCallTcp(level=level), version=version)
    (media,) = record.media

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == TelegramCallTcp.stages
    assert media.up.lost == media.down.lost == 0
    assert record.exit is None


def test_the_same_trial_twice_is_the_same_record() -> None:
    """All chance is the seed's."""
    assert play() == play()


def test_lost_segments_delay_and_do_no_more() -> None:
    """Two in a hundred: everything arrives."""
    rng = Random(2)
    record = play(TelegramCallTcp(), judge=Drop(lambda _p, _n: rng.random() < 0.02))

    assert record.outcome == Success()
    assert record.media[0].up.lost == 0
    assert (record.media[0].up.gap or 0) > 0.1


def test_what_comes_before_the_callee_has_joined_is_asked_again() -> None:
    """The callee's hello is late by its retransmission; the next check reaches it."""
    record = play(
        judge=Drop(lambda p, n: p.payload[:4] == b"\xee" * 4 and p.payload[8] == 1 and n < 9)
    )

    assert record.outcome == Success()


def test_a_blocked_connection_fails_connectivity() -> None:
    """Connecting is part of that stage: silence is a timeout, a closed port refused."""
    record = play(judge=Drop(lambda _p, _n: True))
    assert died(record) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    assert record.seconds == pytest.approx(3.0)

    closed = simulate(QUICK.script((Address("203.0.113.9", 599),), Random(1)), {})
    assert died(closed) == (Stage.CONNECTIVITY, Cause.REFUSED)


def test_a_censor_that_lets_connect_and_drops_the_hello_fails_connectivity() -> None:
    """Connected is not connected to each other."""
    record = play(judge=Drop(lambda p, _n: p.payload.startswith(b"\xee" * 4)))

    assert died(record) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    assert record.seconds == pytest.approx(3.0, abs=0.1)


def test_dropped_media_is_told_by_direction() -> None:
    """The caller's stream up is stopped; then only what the caller should hear."""
    up = Drop(lambda p, _n: is_media(p.payload) and p.payload[4] == 0 and from_client(p))
    down = Drop(lambda p, _n: is_media(p.payload) and p.payload[4] == 0 and not from_client(p))

    assert died(play(judge=up)) == (Stage.MEDIA_UP, Cause.NO_UPLINK)
    assert died(play(judge=down)) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)


def from_client(packet: Packet) -> bool:
    """Whether a segment goes up."""
    return packet.source.host in CLIENT.values()


def test_media_that_stops_is_frozen() -> None:
    """Nothing passes after some packets; the stream itself stays open."""
    record = play(judge=Drop(lambda _p, n: n > 150))

    assert died(record) == (Stage.SUSTAIN, Cause.FROZEN)


def test_a_stream_that_ends_tells_so() -> None:
    """A reflector, or a censor in its name, that hangs up on the first data."""
    record = play(server=Tampering(bytes, close=True))

    assert died(record) == (Stage.CONNECTIVITY, Cause.EOF)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (spoil, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (lambda data: spoil(data) if is_media(data) else data, (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (lambda data: data[:9] + b"!" + data[10:], (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (lambda _: b"HTTP/1.1 403 Forbidden\r\n\r\n", (Stage.CONNECTIVITY, Cause.MALFORMED)),
    ],
)
def test_forged_packets_never_make_a_success(
    change: Callable[[bytes], bytes], where: tuple[Stage, Cause]
) -> None:
    """Wrong seals, wrong tags, or another protocol altogether."""
    assert died(play(server=Tampering(change))) == where
