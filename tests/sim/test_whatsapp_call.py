"""WhatsApp's call in virtual time: what it survives, and where it dies of what."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import pytest

from circumtest import warp
from circumtest.censor.packet import Judge, Packet, Verdict
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.model import Address, Cause, Failure, Level, Record, Stage, Success, Transport
from circumtest.script import Answerer, Emit, Flow
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.warp import WarpRelay
from circumtest.wire import stun, whatsapp

SECRET = WhatsappCall().secret


def play(
    judge: Judge | None = None,
    *,
    level: Level = Level.QUICK,
    server: Answerer | None = None,
    alive: Iterable[int] = range(5),
    version: int = 4,
) -> Record:
    """One trial; `alive` are the relays that exist, `server` what stands there instead."""
    handshake = WhatsappCall(level=level)
    target, services = far_end(handshake, version)
    there = {
        (Transport.UDP, target[i]): server or services[Transport.UDP, target[i]] for i in alive
    }
    return simulate(handshake.script(target, Random(5)), there, judge)


def died(record: Record) -> tuple[Stage, Cause]:
    """Where and how a trial failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


def is_up(packet: Packet) -> bool:
    """Whether a packet leaves the client."""
    return packet.source.host in CLIENT.values()


def is_media(packet: Packet) -> bool:
    """RTP."""
    return packet.payload.startswith(b"\x90")


def kind(packet: Packet) -> int | None:
    """The STUN type, None for media."""
    return None if is_media(packet) else stun.unpack(packet.payload).type


@dataclass
class Dropping:
    """Drops the packets that `which` names, by packet, seconds and number of its kind."""

    which: Callable[[Packet, float, int], bool]
    seen: dict[tuple[bool, bool], int] = field(default_factory=dict)

    def judge(self, packet: Packet, now: float) -> Verdict:
        key = (is_up(packet), is_media(packet))
        number = self.seen[key] = self.seen.get(key, -1) + 1
        return Verdict.DROP if self.which(packet, now - START, number) else Verdict.PASS


@dataclass
class Nth:
    """Drops one packet only."""

    number: int
    seen: int = -1

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.seen += 1
        return Verdict.DROP if self.seen == self.number else Verdict.PASS


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD, Level.DEEP])
def test_a_call_that_nobody_hinders_succeeds_at_every_level(version: int, level: Level) -> None:
    """All stages pass, both directions carry everything, and a minute costs no minute."""
    begun = time.perf_counter()
    record = play(level=level, version=version)

    assert time.perf_counter() - begun < 2
    assert record.outcome == Success()
    assert [stage.stage for stage in record.stages] == list(WhatsappCall.stages)
    (media,) = record.media
    assert (media.up.lost, media.down.lost) == (0, 0)
    assert media.up.received == media.seconds * 50
    assert media.up.rtt == pytest.approx(0.02, abs=1e-4)


@pytest.mark.parametrize("number", range(60))
def test_no_single_packet_is_indispensable(number: int) -> None:
    """Whichever is lost: requests come twice and again, media may lose one."""
    record = play(Nth(number))

    assert record.outcome == Success(), number


@pytest.mark.parametrize("alive", [[0], [4], [1, 3]])
def test_any_relay_that_answers_is_enough(alive: list[int]) -> None:
    """Also the last."""
    assert play(alive=alive).outcome == Success()


def drops(*kinds: int) -> Callable[[Packet, float, int], bool]:
    """Names packets of those STUN types."""
    return lambda packet, at, number: kind(packet) in kinds


def long_requests(packet: Packet, at: float, number: int) -> bool:
    """Names the 272-byte requests."""
    return len(packet.payload) == 272


def media(way: bool, after: int = 0) -> Callable[[Packet, float, int], bool]:
    """Names media in one direction from a number on."""
    return lambda packet, at, number: is_media(packet) and is_up(packet) is way and number >= after


@pytest.mark.parametrize(
    ("which", "end"),
    [
        (drops(whatsapp.ALLOCATE), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (drops(whatsapp.ALLOCATE_OK), (Stage.ALLOCATE, Cause.TIMEOUT)),
        (long_requests, (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops(whatsapp.PING), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (drops(whatsapp.PONG), (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (media(True), (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (media(False), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (media(True, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
        (media(False, after=25), (Stage.SUSTAIN, Cause.FROZEN)),
    ],
)
@pytest.mark.parametrize("level", [Level.QUICK, Level.STANDARD])
def test_every_stage_dies_of_what_is_taken_from_it(
    which: Callable[[Packet, float, int], bool], end: tuple[Stage, Cause], level: Level
) -> None:
    """Requests, answers, keep-alives, media of either direction; at once or after 25 packets."""
    assert died(play(Dropping(which), level=level)) == end


def test_the_words_of_a_freeze_name_direction_packets_and_seconds() -> None:
    """And the report has the numbers."""
    record = play(Dropping(media(True, after=25)))

    assert isinstance(record.outcome, Failure)
    assert record.outcome.detail == "up after 25 packets, 0.5 s"
    assert record.media[0].up.silent_after == 25
    assert record.media[0].down.silent_after is None


def test_a_freeze_of_everything_after_25_packets_names_both_directions() -> None:
    """Packets of both directions counted together, as the freezes of 2025 count."""

    class Quota:
        passed = 0

        def judge(self, packet: Packet, now: float) -> Verdict:
            self.passed += is_media(packet)
            return Verdict.DROP if self.passed > 25 else Verdict.PASS

    record = play(Quota(), level=Level.STANDARD)

    assert died(record) == (Stage.SUSTAIN, Cause.FROZEN)
    assert 10 < (record.media[0].down.silent_after or 0) < 15


def test_a_freeze_after_22_seconds_is_seen_by_the_levels_that_last_longer() -> None:
    """A quick call is over by then, and says nothing of it."""
    for level, ends in (
        (Level.QUICK, None),
        (Level.STANDARD, Cause.FROZEN),
        (Level.DEEP, Cause.FROZEN),
    ):
        judge = Dropping(lambda packet, at, number: at > 22)
        record = play(judge, level=level)
        if ends is None:
            assert record.outcome == Success()
        else:
            assert died(record) == (Stage.SUSTAIN, ends)
            assert record.media[0].down.silent_at == pytest.approx(22, abs=0.2)


@pytest.mark.parametrize("level", [Level.STANDARD, Level.DEEP])
def test_a_dead_uplink_is_not_blamed_on_the_way_down(level: Level) -> None:
    """Everything up is lost from the fifth second on: the relay speaks on until the stage ends."""
    record = play(Dropping(lambda packet, at, number: is_up(packet) and at > 5), level=level)

    assert record.outcome == Failure(Stage.SUSTAIN, Cause.FROZEN, "up after 248 packets, 5.0 s")
    assert record.media[0].down.silent_after is None
    assert record.media[0].down.lost == 0


@pytest.mark.parametrize("way", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_third_of_one_directions_media_lost_is_that_directions_failure(
    way: bool, seed: int
) -> None:
    """The other direction is not blamed."""
    dice = Random(seed)
    record = play(
        Dropping(lambda p, at, n: is_media(p) and is_up(p) is way and dice.random() < 0.33),
        level=Level.STANDARD,
    )

    stage = Stage.MEDIA_UP if way else Stage.MEDIA_DOWN
    assert died(record) == (stage, Cause.LOSSY)
    (report,) = record.media
    lost = (report.up if way else report.down).lost or 0
    assert lost / 1250 == pytest.approx(0.33, abs=0.05)
    assert (report.down if way else report.up).lost == 0


def test_a_tenth_lost_is_still_a_call() -> None:
    """Both ways."""
    dice = Random(1)
    record = play(Dropping(lambda p, at, n: dice.random() < 0.1), level=Level.STANDARD)

    assert record.outcome == Success()
    assert 60 < (record.media[0].up.lost or 0) < 190


def test_when_nothing_comes_down_nobody_can_tell_what_went_up() -> None:
    """The report says so instead of guessing."""
    record = play(Dropping(media(False)))

    assert record.media[0].up.received is None
    assert (record.media[0].up.sent, record.media[0].down.received) == (80, 0)


def test_a_caller_hangs_up_on_a_call_that_failed_as_well() -> None:
    """So that no relay goes on sending."""
    ended: list[int] = []

    def watch(packet: Packet, at: float, number: int) -> bool:
        if kind(packet) == whatsapp.HANG_UP:
            ended.append(len(packet.payload))
        return media(True)(packet, at, number)

    assert died(play(Dropping(watch))) == (Stage.MEDIA_UP, Cause.NO_UPLINK)
    assert ended == [220] * 5


# ------------------------------------------------------------------ forgeries

Forge = Callable[[bytes, Flow], Iterable[bytes]]


class Forger:
    """Stands where the relay should and says what a forger could."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return [Emit(flow, answer) for answer in self._forge(data, flow)]

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def answer(data: bytes, flow: Flow, key: bytes, tid: bytes | None = None) -> bytes:
    """What an allocate's answer looks like."""
    return whatsapp.allocate_ok(tid or data[8:20], flow.remote, START, key)


def right_key(data: bytes) -> bytes:
    """What only a relay knows."""
    return warp.integrity_key(SECRET, whatsapp.parse_token(stun.unpack(data)))


@pytest.mark.parametrize(
    "forge",
    [
        lambda data, flow: [data],  # a reflection
        lambda data, flow: [b"", b"\0" * 68, data[::-1]],
        lambda data, flow: [answer(data, flow, b"a guessed key")],
        lambda data, flow: [answer(data, flow, right_key(data), b"another one.")],
        lambda data, flow: [answer(data, flow, right_key(data))[:44]],
        lambda data, flow: [whatsapp.pong(data[8:20])],
        lambda data, flow: [whatsapp.allocate_error(data[8:20], 486, "", b"a guessed key")],
        lambda data, flow: [
            stun.pack(stun.Message(0x0103, data[8:20], ((0x0020, b"\0\1" + bytes(6)),)))
        ],
    ],
)
def test_no_forgery_is_an_answer(forge: Forge) -> None:
    """Reflections, garbage, a wrong key, a wrong transaction, no integrity, other types."""
    assert died(play(server=Forger(forge))) == (Stage.ALLOCATE, Cause.TIMEOUT)


class Spoiled:
    """A real relay of which one kind of packet is forged instead."""

    def __init__(self, spoil: Callable[[bytes], bytes]) -> None:
        self._relay = WarpRelay(SECRET)
        self._spoil = spoil

    def _all(self, emits: Iterable[Emit]) -> Iterable[Emit]:
        return [Emit(emit.flow, self._spoil(emit.data)) for emit in emits]

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        return self._all(self._relay.receive(flow, data, now))

    def timer(self) -> float | None:
        return self._relay.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._all(self._relay.tick(now))


def test_a_pong_to_somebody_elses_ping_is_none() -> None:
    """It must carry our transaction."""
    spoil = Spoiled(
        lambda data: whatsapp.pong(b"another one.") if data[:2] == b"\x08\x02" else data
    )

    assert died(play(server=spoil)) == (Stage.CONNECTIVITY, Cause.TIMEOUT)


def test_forged_media_is_no_media() -> None:
    """A changed tag: as if nothing had come down."""
    spoil = Spoiled(lambda data: data[:-1] + bytes([data[-1] ^ 1]) if data[:1] == b"\x90" else data)

    assert died(play(server=spoil)) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)


def test_our_own_media_reflected_is_no_media() -> None:
    """Each direction has a key of its own."""

    class Mirror(Spoiled):
        def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
            if data[:1] == b"\x90":
                return [Emit(flow, data)]
            return super().receive(flow, data, now)

        def timer(self) -> float | None:
            return None

    assert died(play(server=Mirror(lambda data: data))) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)


def refusing(hosts: Iterable[Address] | None) -> Forge:
    """Relays (all, or those hosts) that refuse under their keys; the others are silent."""

    def forge(data: bytes, flow: Flow) -> Iterable[bytes]:
        if stun.unpack(data).type == whatsapp.ALLOCATE and (hosts is None or flow.local in hosts):
            yield whatsapp.allocate_error(data[8:20], 486, "Quota", right_key(data))

    return forge


def test_relays_that_refuse_are_an_error_reply_with_its_code() -> None:
    """At once when all do; at the end when some do and the others are silent."""
    target, _ = far_end(WhatsappCall())
    for hosts, least in ((None, 0.0), (target[:2], 3.0)):
        record = play(server=Forger(refusing(hosts)))
        assert record.outcome == Failure(Stage.ALLOCATE, Cause.ERROR_REPLY, "486 Quota")
        assert least <= record.seconds < least + 0.1


def test_an_answer_without_an_address_is_malformed() -> None:
    """It is authentic, and useless."""

    def forge(data: bytes, flow: Flow) -> Iterable[bytes]:
        yield stun.pack(stun.Message(whatsapp.ALLOCATE_OK, data[8:20]), right_key(data))

    assert died(play(server=Forger(forge))) == (Stage.ALLOCATE, Cause.MALFORMED)


def test_silence_is_asked_again_every_second_and_costs_no_time() -> None:
    """Ten bursts in ten seconds, each with new transactions."""
    asked: list[tuple[float, bytes]] = []

    def watch(packet: Packet, at: float, number: int) -> bool:
        asked.append((round(at, 3), packet.payload[8:20]))
        return True

    begun = time.perf_counter()
    record = play(Dropping(watch), level=Level.DEEP)

    assert time.perf_counter() - begun < 1
    assert died(record) == (Stage.ALLOCATE, Cause.TIMEOUT)
    assert sorted({at for at, _ in asked}) == [float(n) for n in range(10)]
    assert len({tid for _, tid in asked}) == len(asked) == 100
