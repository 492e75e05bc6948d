"""The simulator: a network in virtual time."""

import time
from collections.abc import Iterable, Sequence
from random import Random

import pytest

from circumtest.censor.packet import Answer, Packet, Resets, Unreachable, Verdict
from circumtest.censor.policy import Conditions
from circumtest.errors import HandshakeFailed
from circumtest.model import Address, Cause, Failure, Stage, Success, Transport
from circumtest.script import (
    Arrival,
    Emit,
    Flow,
    Script,
    close,
    enter,
    now,
    open_tcp,
    open_udp,
    recv,
    send,
)
from circumtest.simulate import START, simulate

HERE = Address("203.0.113.10", 9000)
SIX = Address("2001:db8:113::10", 9000)


class Mirror:
    """Sends everything back; ends a stream when told to."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return (Emit(flow, data, close=data == b"bye"),) if data else ()

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Clock:
    """Sends one datagram to the flow it first heard, a second later."""

    def __init__(self) -> None:
        self.flow: Flow | None = None
        self.due: float | None = None

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        self.flow, self.due = flow, now + 1
        return ()

    def timer(self) -> float | None:
        return self.due

    def tick(self, now: float) -> Iterable[Emit]:
        self.due = None
        assert self.flow is not None
        return (Emit(self.flow, b"later"),)


class Drops:
    """Drops the first `count` packets."""

    def __init__(self, count: int) -> None:
        self.count = count

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.count -= 1
        return Verdict.DROP if self.count >= 0 else Verdict.PASS


def asking(
    words: Sequence[bytes], got: list[Arrival | None], remote: Address = HERE
) -> Script[None]:
    """Send every word over UDP and take what comes within a second each."""
    yield from enter(Stage.CONNECTIVITY)
    channel = yield from open_udp(remote)
    for word in words:
        yield from send(channel, word)
        got.append((yield from recv((yield from now()) + 1)))


@pytest.mark.parametrize("remote", [HERE, SIX])
def test_a_datagram_takes_its_time_each_way(remote: Address) -> None:
    """Two delays make a round trip."""
    got: list[Arrival | None] = []
    record = simulate(asking([b"x"], got, remote), {(Transport.UDP, remote): Mirror()}, delay=0.05)

    assert record.outcome == Success()
    assert got[0] is not None
    assert (got[0].data, got[0].source) == (b"x", remote)
    assert got[0].at == pytest.approx(START + 0.1)


def test_a_dropped_datagram_is_gone() -> None:
    """Nobody sends it again."""
    got: list[Arrival | None] = []
    simulate(asking([b"x", b"y"], got), {(Transport.UDP, HERE): Mirror()}, Drops(1))

    assert got[0] is None
    assert got[1] is not None


def test_an_answerer_is_woken_when_it_asked() -> None:
    """Its clock is the simulator's."""
    got: list[Arrival | None] = []

    def script() -> Script[None]:
        yield from enter(Stage.CONNECTIVITY)
        channel = yield from open_udp(HERE)
        yield from send(channel, b"x")
        got.append((yield from recv((yield from now()) + 5)))

    simulate(script(), {(Transport.UDP, HERE): Clock()}, delay=0.0)

    assert got[0] is not None
    assert got[0].at == pytest.approx(START + 1)


def streaming(data: bytes, got: list[bytes | Cause]) -> Script[None]:
    """Send over TCP and take all that comes within 30 s."""
    yield from enter(Stage.SIGNALLING)
    channel = yield from open_tcp(HERE, 10.0)
    yield from send(channel, data)
    until = (yield from now()) + 30
    while (arrival := (yield from recv(until))) is not None:
        got.append(arrival.data)
        if arrival.data is Cause.EOF:
            break
    yield from close(channel)


def test_a_stream_comes_through_drops_in_order() -> None:
    """Segments that the censor drops are sent again, behind which the others wait."""
    data = bytes(range(256)) * 20
    got: list[bytes | Cause] = []
    record = simulate(streaming(data, got), {(Transport.TCP, HERE): Mirror()}, Drops(4))

    assert b"".join(part for part in got if isinstance(part, bytes)) == data
    assert record.seconds < 35


def test_the_end_of_a_stream_comes_after_its_bytes() -> None:
    """EOF is told once everything else was."""
    got: list[bytes | Cause] = []
    simulate(streaming(b"bye", got), {(Transport.TCP, HERE): Mirror()})

    assert got == [b"bye", Cause.EOF]


def test_a_port_where_nobody_listens_refuses() -> None:
    """As a kernel does."""
    record = simulate(streaming(b"x", []), {})

    assert record.outcome == Failure(Stage.SIGNALLING, Cause.REFUSED, f"tcp {HERE}")


def test_a_connection_that_is_dropped_throughout_times_out() -> None:
    """At the script's own patience."""
    record = simulate(streaming(b"x", []), {(Transport.TCP, HERE): Mirror()}, Drops(1000))

    assert record.outcome == Failure(Stage.SIGNALLING, Cause.TIMEOUT, f"tcp {HERE}")
    assert record.seconds == pytest.approx(10.0)


# ------------------------------------------------------------------ the links


class Watch:
    """Passes everything, and notes when it came."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, float]] = []

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen.append((packet.upwards, now - START))
        return Verdict.PASS


@pytest.mark.parametrize(
    ("link", "at_the_censor"), [("client", [0.3, 0.31]), ("services", [0.0, 0.61])]
)
def test_a_link_lies_before_or_behind_the_censor(link: str, at_the_censor: list[float]) -> None:
    """The client's is met first upwards and last downwards, the services' the other way round."""
    got: list[Arrival | None] = []
    watch, network = Watch(), [Conditions(link, delay=0.3)]
    services = {(Transport.UDP, HERE): Mirror()}
    simulate(asking([b"x"], got), services, watch, network=network)

    assert [upwards for upwards, _ in watch.seen] == [True, False]
    assert [at for _, at in watch.seen] == pytest.approx(at_the_censor)
    assert got[0] is not None
    assert got[0].at == pytest.approx(START + 0.62)


def test_what_the_clients_link_loses_the_censor_does_not_see() -> None:
    """What the services' link loses, it has seen."""
    seen = {}
    for link in ("client", "services"):
        watch = Watch()
        network = [Conditions(link, loss=1.0)]
        simulate(asking([b"x"], []), {(Transport.UDP, HERE): Mirror()}, watch, network=network)
        seen[link] = len(watch.seen)

    assert seen == {"client": 0, "services": 1}


def test_the_exits_link_is_not_on_the_way() -> None:
    """Nothing is played through a tunnel here."""
    got: list[Arrival | None] = []
    network = [Conditions("exit", loss=1.0)]
    simulate(asking([b"x"], got), {(Transport.UDP, HERE): Mirror()}, network=network)

    assert got[0] is not None


def test_the_same_seed_loses_the_same_datagrams() -> None:
    """And another one others."""

    def heard(seed: int) -> list[bool]:
        got: list[Arrival | None] = []
        network = [Conditions(loss=0.3)]
        services = {(Transport.UDP, HERE): Mirror()}
        simulate(asking([b"x"] * 40, got), services, network=network, seed=seed)
        return [one is not None for one in got]

    assert heard(1) == heard(1)
    assert heard(1) != heard(2)


def test_a_stream_comes_whole_over_a_bad_line() -> None:
    """Lost, late and out of turn, a fifth each: in order all the same."""
    data = bytes(range(256)) * 200
    network = [Conditions(loss=0.2, delay=0.02, jitter=0.02, reorder=0.2), Conditions("services")]
    got: list[bytes | Cause] = []
    simulate(streaming(data, got), {(Transport.TCP, HERE): Mirror()}, network=network, seed=3)

    assert b"".join(part for part in got if isinstance(part, bytes)) == data


def test_a_link_with_a_rate_lets_a_stream_take_its_time() -> None:
    """50 kB at 25 kB/s take two seconds and more, though what is too much at once is dropped."""
    data = bytes(50_000)
    took = []

    def script() -> Script[None]:
        channel = yield from open_tcp(HERE, 10.0)
        yield from send(channel, data)
        missing = len(data)
        while missing > 0:
            arrival = yield from recv((yield from now()) + 30)
            assert arrival is not None
            assert isinstance(arrival.data, bytes)
            missing -= len(arrival.data)
        took.append((yield from now()) - START)

    network = [Conditions(rate=25_000)]
    simulate(script(), {(Transport.TCP, HERE): Mirror()}, network=network)
    assert 2.0 < took[0] < 10.0


def test_conditions_of_an_unknown_link_are_refused() -> None:
    """By name, before anything is played."""
    with pytest.raises(ValueError, match="no link 'moon'"):
        simulate(asking([], []), {}, network=[Conditions("moon")])


def test_forty_virtual_seconds_cost_milliseconds() -> None:
    """No real clock is waited for."""

    def script(rng: Random) -> Script[None]:
        yield from enter(Stage.BINDING)
        channel = yield from open_udp(HERE)
        for _ in range(40):
            yield from send(channel, rng.randbytes(20))
            yield from recv((yield from now()) + 1)
        raise HandshakeFailed(Cause.TIMEOUT)

    begun = time.perf_counter()
    record = simulate(script(Random(1)), {})

    assert record.seconds == pytest.approx(40.0)
    assert time.perf_counter() - begun < 1


class Says:
    """Meets packets with these bytes by that verdict."""

    def __init__(self, payload: bytes, verdict: Verdict) -> None:
        self._payload, self._verdict = payload, verdict

    def judge(self, packet: Packet, now: float) -> Verdict:
        return self._verdict if packet.payload == self._payload else Verdict.PASS


def speaking(got: list[Arrival | None]) -> Script[None]:
    """Connect, say one word, take what comes within 3 s."""
    yield from enter(Stage.CONNECTIVITY)
    channel = yield from open_tcp(HERE, 5.0)
    yield from send(channel, b"word")
    got.append((yield from recv((yield from now()) + 3)))


def test_what_a_censor_forges_arrives_as_if_the_far_end_had_sent_it() -> None:
    """An answer comes beside the true one, an ICMP error instead of it."""
    for forged, passes, wanted in (
        (Answer(b"false"), True, [b"false", b"word"]),
        (Unreachable(admin=True), False, [Cause.HOST_UNREACHABLE]),
        (Unreachable(), False, [Cause.REFUSED]),
    ):
        got: list[Arrival | None] = []
        judge = Says(b"word", Verdict(passes=passes, forged=forged))
        services = {(Transport.UDP, HERE): Mirror()}
        simulate(asking([b"word", b"more"], got), services, judge)
        assert [came.data for came in got if came][: len(wanted)] == wanted


def test_a_reset_ends_a_stream_at_both_ends_and_keeps_one_from_opening() -> None:
    """A SYN that is answered by a reset is a refusal."""
    got: list[Arrival | None] = []
    judge = Says(b"word", Verdict(passes=False, forged=Resets()))
    simulate(speaking(got), {(Transport.TCP, HERE): Mirror()}, judge)
    assert [came.data for came in got if came] == [Cause.RESET]
    judge = Says(b"", Verdict(passes=False, forged=Resets()))
    record = simulate(speaking(got), {(Transport.TCP, HERE): Mirror()}, judge)
    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause is Cause.REFUSED


def test_an_icmp_error_keeps_a_stream_from_opening_and_does_not_end_one() -> None:
    """An open one takes it for a passing trouble (RFC 1122 4.2.3.9)."""
    got: list[Arrival | None] = []
    told = Verdict(passes=False, forged=Unreachable(admin=True))
    record = simulate(speaking(got), {(Transport.TCP, HERE): Mirror()}, Says(b"", told))
    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause is Cause.HOST_UNREACHABLE
    simulate(speaking(got), {(Transport.TCP, HERE): Mirror()}, Says(b"word", told))
    assert got == [None]


def test_what_is_delayed_comes_later() -> None:
    """By so much."""
    at = []
    for judge in (None, Says(b"word", Verdict(passes=True, delay=0.2))):
        got: list[Arrival | None] = []
        simulate(asking([b"word"], got), {(Transport.UDP, HERE): Mirror()}, judge)
        assert got[0] is not None
        at.append(got[0].at)
    assert at[1] - at[0] == pytest.approx(0.4)  # on its way there, and back
