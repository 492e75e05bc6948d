"""The call over UDP reflectors in virtual time: what it survives, and where it dies of what."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import pytest

from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.telegram_call_udp import TelegramCallUdp
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.reflector import UdpReflector
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, far_end, simulate
from circumtest.wire import reflector
from circumtest.wire.reflector import Data, Hello, SelfInfo

QUICK = TelegramCallUdp(level=Level.QUICK)


def play(
    handshake: TelegramCallUdp = QUICK,
    *,
    version: int = 4,
    judge: Judge | None = None,
    alive: Iterable[int] | None = None,
    server: Answerer | None = None,
) -> Record:
    """One trial; `alive` are the reflectors that exist, `server` what stands there instead."""
    target, services = far_end(handshake, version)
    if server is not None:
        services = dict.fromkeys(services, server)
    if alive is not None:
        services = {(Transport.UDP, target[i]): services[Transport.UDP, target[i]] for i in alive}
    return simulate(handshake.script(target, Random(5)), services, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


def is_up(packet: Packet) -> bool:
    """Whether a packet leaves the client."""
    return packet.source.host in CLIENT.values()


def payload(packet: Packet) -> bytes | None:
    """What one peer sends the other, None in hellos and self infos."""
    found = reflector.parse(packet.payload)
    return found.payload if isinstance(found, Data) else None


def is_media(packet: Packet) -> bool:
    """RTP inside."""
    return (payload(packet) or b"").startswith(b"\x90")


def from_caller(packet: Packet) -> bool:
    """Whether it is, or was, the caller's: byte 0 tells who holds it at this side of the wire."""
    return (packet.payload[0] & 1 == 0) == is_up(packet)


@dataclass
class Drop:
    """A censor that drops what `rule` says, after `spare` of them have passed."""

    rule: Callable[[Packet], bool]
    spare: int = 0
    seen: list[Packet] = field(default_factory=list)

    def judge(self, packet: Packet, now: float) -> Verdict:
        if not self.rule(packet):
            return Verdict.PASS
        self.seen.append(packet)
        return Verdict.PASS if len(self.seen) <= self.spare else Verdict.DROP


@dataclass
class Lossy:
    """A network that loses packets at random, both ways."""

    share: float
    rng: Random = field(default_factory=lambda: Random(11))

    def judge(self, packet: Packet, now: float) -> Verdict:
        return Verdict.DROP if self.rng.random() < self.share else Verdict.PASS


class Tampering(UdpReflector):
    """A reflector that does its work and puts what it sends through `change`."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._change = change

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for emit in super().receive(flow, data, now):
            yield Emit(emit.flow, self._change(emit.data))


# ------------------------------------------------------------------ what passes


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", Level)
def test_a_free_network_lets_the_call_through(version: int, level: Level) -> None:
    """Every stage, media in full both ways, and the address that the reflector saw."""
    record = play(TelegramCallUdp(level=level), version=version)
    (media,) = record.media

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == TelegramCallUdp.stages
    assert media.up.lost == media.down.lost == 0
    assert media.up.sent >= 50 * media.seconds
    assert media.up.rtt == pytest.approx(0.04)
    assert record.exit == Address(CLIENT[version], 40001)


def test_the_same_trial_twice_is_the_same_record() -> None:
    """All chance is the seed's."""
    assert play() == play()


@pytest.mark.parametrize("natural", [False, True])
def test_the_engines_first_packets_come_in_the_engines_order(natural: bool) -> None:
    """Two hellos to each reflector, then checks of 120 bytes, answers of 88, sound of 184."""
    everything = Drop(is_up, spare=10**9)
    play(TelegramCallUdp(level=Level.QUICK, natural_tags=natural), judge=everything)
    sizes = [len(packet.payload) for packet in everything.seen]

    assert sizes[:10] == [40] * 6 + [120, 120, 88, 88]
    assert set(sizes[10:]) == {184}


@pytest.mark.parametrize("alive", [[0], [1], [2], [0, 2]])
def test_dead_reflectors_are_survived_while_one_lives(alive: list[int]) -> None:
    """The set-up is no slower for them."""
    record = play(alive=alive)

    assert record.outcome == Success()
    assert record.stages[1].start < 0.1


def test_a_reflector_that_answers_hellos_and_forwards_nothing_is_survived() -> None:
    """The others are tried at the next half second."""
    target, _ = far_end(QUICK)
    mute = Drop(lambda p: target[0] in (p.source, p.destination) and payload(p) is not None)
    record = play(judge=mute)

    assert record.outcome == Success()
    assert mute.seen


def test_a_tenth_of_the_packets_lost_is_survived() -> None:
    """Hellos and checks are repeated, media is no worse than the network."""
    record = play(TelegramCallUdp(), judge=Lossy(0.05))

    assert record.outcome == Success()
    assert 0.05 < (record.media[0].up.lost or 0) / record.media[0].up.sent < 0.15


# ------------------------------------------------------------------ where it dies


def test_dropped_hellos_fail_binding_after_as_many_tries_as_the_patience_allows() -> None:
    """Six hellos a peer and reflector in three seconds, twenty in ten."""
    for level, tries in ((Level.QUICK, 6), (Level.STANDARD, 20)):
        hellos = Drop(lambda p: isinstance(reflector.parse(p.payload), Hello))
        record = play(TelegramCallUdp(level=level), judge=hellos)

        assert died(record) == (Stage.BINDING, Cause.TIMEOUT)
        assert len(hellos.seen) == tries * 6
        assert record.exit is None


def test_dropped_self_infos_fail_binding() -> None:
    """One direction is enough."""
    infos = Drop(lambda p: isinstance(reflector.parse(p.payload), SelfInfo))

    assert died(play(judge=infos)) == (Stage.BINDING, Cause.TIMEOUT)


def test_dropped_data_fails_connectivity_after_binding_passed() -> None:
    """The exit address is known by then."""
    record = play(judge=Drop(lambda p: payload(p) is not None))

    assert died(record) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    assert record.exit is not None
    assert record.stages[0].passed


def test_one_direction_between_the_peers_is_no_connection() -> None:
    """Checks up and none down."""
    downwards = Drop(lambda p: payload(p) is not None and not from_caller(p))

    assert died(play(judge=downwards)) == (Stage.CONNECTIVITY, Cause.TIMEOUT)


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        (is_media, (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (lambda p: is_media(p) and from_caller(p), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (lambda p: is_media(p) and not from_caller(p), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
    ],
)
def test_dropped_media_is_told_by_direction(
    rule: Callable[[Packet], bool], where: tuple[Stage, Cause]
) -> None:
    """A call that connects and carries no sound has failed."""
    assert died(play(judge=Drop(rule))) == where


def test_media_that_stops_is_frozen() -> None:
    """After some packets have passed both ways: sustain is what fails."""
    record = play(judge=Drop(is_media, spare=100))

    assert died(record) == (Stage.SUSTAIN, Cause.FROZEN)
    assert record.media[0].up.silent_after == 25


def test_half_of_the_media_lost_is_no_conversation() -> None:
    """Set-up unharmed, loss far above what one can talk through."""
    rng = Random(3)
    record = play(judge=Drop(lambda p: is_media(p) and rng.random() < 0.5))

    assert died(record) == (Stage.MEDIA_UP, Cause.LOSSY)


# ------------------------------------------------------------------ who is not believed


def retag(data: bytes) -> bytes:
    """The same packet for another call."""
    return data[:5] + bytes([data[5] ^ 1]) + data[6:]


def spoil(data: bytes) -> bytes:
    """The same packet with its payload's last byte changed: tags right, seal wrong."""
    found = reflector.parse(data)
    if not isinstance(found, Data):
        return data
    broken = found.payload[:-1] + bytes([found.payload[-1] ^ 1])
    return Data(found.prefix, found.target, found.sender, broken).pack()


def spoil_media(data: bytes) -> bytes:
    """Only sound is spoilt."""
    return spoil(data) if data[24:25] == b"\x90" else data


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (retag, (Stage.BINDING, Cause.TIMEOUT)),
        (lambda data: data[:20], (Stage.BINDING, Cause.TIMEOUT)),
        (spoil, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (spoil_media, (Stage.MEDIA_UP, Cause.NO_UPLINK)),
    ],
)
def test_forged_packets_never_make_a_success(
    change: Callable[[bytes], bytes], where: tuple[Stage, Cause]
) -> None:
    """Somebody in between answers in time, in form, and without the keys."""
    assert died(play(server=Tampering(change))) == where


class Parrot:
    """Sends everything back to where it came from."""

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return (Emit(flow, data),)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def test_an_echo_is_no_reflector() -> None:
    """A neutral echo service at the same place is not mistaken for Telegram's."""
    assert died(play(server=Parrot())) == (Stage.BINDING, Cause.TIMEOUT)
