"""The media engine: pacing by the clock, counting, and what it says of each direction."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import pytest
from msgspec import structs

from circumtest import emodel
from circumtest.errors import HandshakeFailed
from circumtest.media import Beat, Heard, Report, media
from circumtest.model import Address, Cause, Media, Stage, Transport
from circumtest.script import Arrival, Channel, Enter, Note, Now, Recv, Script, Send

REMOTE = Address("203.0.113.10", 3478)
NEAR = Channel(1, Transport.UDP, REMOTE)
FAR = Channel(2, Transport.UDP, REMOTE)
STREAM = Channel(3, Transport.TCP, REMOTE)
DELAY = 0.05
Packet = tuple[Channel, int, float]
"""On which channel it was sent, its number, when."""


@dataclass
class Leg:
    """Packets that say their number and time in plain text; one that hears of the other channel."""

    channel: Channel

    def encode(self, seq: int, at: float) -> Send:
        return Send(self.channel, f"{seq} {at!r}".encode(), REMOTE)

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        if arrival.channel.id == self.channel.id and isinstance(arrival.data, bytes):
            seq, sent_at, *report = arrival.data.decode().split()
            told = Report(int(report[0]), int(report[1]), 0.0, 0.0, None, 0.0) if report else None
            yield Heard(int(seq), float(sent_at), told)


class World:
    """A network: `carry` says how long a packet takes to the other channel, None for ever."""

    def __init__(self, carry: Callable[[Packet], float | None], lag: float = 0.0) -> None:
        self.now, self.start = 1000.0, 1000.0
        self.sent: list[Packet] = []
        self.notes: list[Media] = []
        self.stages: list[Stage] = []
        self.other: list[tuple[float, bytes]] = []
        self.inbox: deque[Arrival] = deque()
        self._carry, self._lag = carry, lag

    def run(self, script: Script[None]) -> Media:
        """The one report that was noted; what the script raises goes up."""
        reply: object = None
        try:
            while True:
                reply = self._perform(script.send(reply))
        except StopIteration:
            (report,) = self.notes
            return report

    def _perform(self, command: object) -> object:
        match command:
            case Now():
                return self.now
            case Enter(stage):
                self.stages.append(stage)
            case Note(Media() as what):
                self.notes.append(what)
            case Send(channel, data, _):
                self._send(channel, data)
            case Recv(until):
                return self._recv(until)
        return None

    def _send(self, channel: Channel, data: bytes) -> None:
        if b" " not in data:
            self.other.append((self.now - self.start, data))
            return
        packet = (channel, int(data.split()[0]), self.now - self.start)
        self.sent.append(packet)
        if (delay := self._carry(packet)) is not None:
            self.push(FAR if channel.id == NEAR.id else NEAR, data, self.now + delay)

    def push(self, channel: Channel, data: bytes | Cause, at: float) -> None:
        """Let something arrive at a time."""
        arrivals = [*self.inbox, Arrival(channel, data, REMOTE, at)]
        self.inbox = deque(sorted(arrivals, key=lambda arrival: arrival.at))

    def _recv(self, until: float) -> Arrival | None:
        if self.inbox and self.inbox[0].at <= until:
            arrival = self.inbox.popleft()
            self.now = max(self.now, arrival.at)
            return arrival
        self.now = max(self.now, until + self._lag)
        return None


def call(world: World, seconds: float = 1.6, beats: Iterable[Beat] = ()) -> Media:
    """Media between two ends of our own."""
    return world.run(media(Leg(NEAR), Leg(FAR), seconds=seconds, beats=tuple(beats)))


def failed(world: World) -> tuple[Stage, Cause, str]:
    """At which stage a call failed, how, and with what words."""
    with pytest.raises(HandshakeFailed) as caught:
        call(world)
    return world.stages[-1], caught.value.cause, caught.value.detail


def up(packet: Packet) -> bool:
    """Whether a packet goes from the caller to the callee."""
    return packet[0].id == NEAR.id


def test_what_all_arrives_is_counted_and_timed() -> None:
    """80 packets each way in 1.6 s, no loss, the delay twice as round trip, all stages entered."""
    world = World(lambda _: DELAY)
    report = call(world)

    for direction in (report.up, report.down):
        assert (direction.sent, direction.received, direction.lost) == (80, 80, 0)
        assert direction.rtt == pytest.approx(2 * DELAY)
        assert direction.gap == pytest.approx(0.02, abs=1e-5)
        assert direction.jitter == pytest.approx(0.0, abs=1e-6)
        assert direction.silent_after is None
    assert world.stages == [Stage.MEDIA_UP, Stage.MEDIA_DOWN, Stage.SUSTAIN]
    assert world.now - world.start < 1.7


def test_packets_leave_every_twenty_milliseconds() -> None:
    """By the clock, from the first on."""
    world = World(lambda _: DELAY)
    call(world)

    times = [at for channel, _, at in world.sent if channel == NEAR]
    assert times == pytest.approx([n / 50 for n in range(80)], abs=1e-6)


def test_a_late_clock_shifts_the_schedule_instead_of_bursting() -> None:
    """Woken 0.1 s late each time it never sends more than two packets at once."""
    world = World(lambda _: DELAY, lag=0.1)
    report = call(world)

    times = [round(at, 6) for channel, _, at in world.sent if channel == NEAR]
    assert max(times.count(at) for at in times) <= 2
    assert times[-1] < 1.8
    assert report.up.sent < 60


@pytest.mark.parametrize(
    ("dead", "end"),
    [
        (up, (Stage.MEDIA_UP, Cause.NO_UPLINK)),
        (lambda packet: not up(packet), (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)),
        (lambda _: True, (Stage.MEDIA_UP, Cause.NO_UPLINK)),
    ],
)
def test_a_direction_in_which_nothing_arrives_is_dead(
    dead: Callable[[Packet], bool], end: tuple[Stage, Cause]
) -> None:
    """Told at its own stage, with the report noted all the same."""
    world = World(lambda packet: None if dead(packet) else DELAY)

    assert failed(world)[:2] == end
    (report,) = world.notes
    assert 0 in (report.up.received, report.down.received)


@pytest.mark.parametrize("way", [True, False])
def test_a_third_lost_is_too_much_and_a_tenth_is_not(way: bool) -> None:
    """MAX_LOSS is a fifth; the dice are seeded."""
    for share, fails in ((0.35, True), (0.1, False)):
        dice = Random(3)

        def carry(packet: Packet, share: float = share, dice: Random = dice) -> float | None:
            return None if up(packet) is way and dice.random() < share else DELAY

        if fails:
            stage = Stage.MEDIA_UP if way else Stage.MEDIA_DOWN
            assert failed(World(carry))[:2] == (stage, Cause.LOSSY)
        else:
            assert call(World(carry)).up.sent == 80


@pytest.mark.parametrize("way", [True, False])
def test_silence_that_lasts_to_the_end_is_a_freeze_and_says_when(way: bool) -> None:
    """After 25 packets, so half a second in; the report carries both numbers."""
    world = World(lambda packet: None if up(packet) is way and packet[1] >= 25 else DELAY)
    name = "up" if way else "down"

    assert failed(world) == (Stage.SUSTAIN, Cause.FROZEN, f"{name} after 25 packets, 0.5 s")
    (report,) = world.notes
    frozen = report.up if way else report.down
    assert (frozen.received, frozen.lost, frozen.silent_after) == (25, 55, 25)
    assert frozen.silent_at == pytest.approx(24 / 50 + DELAY, abs=1e-3)
    assert (report.down if way else report.up).silent_after is None


def test_silence_that_ends_is_a_gap_and_no_freeze() -> None:
    """0.3 s without a packet are reported as such."""
    world = World(lambda packet: None if up(packet) and 20 <= packet[1] < 34 else DELAY)
    report = call(world)

    assert report.up.silent_after is None
    assert report.up.gap == pytest.approx(0.3)


def test_packets_still_in_flight_at_the_end_are_waited_for() -> None:
    """Half a second each way loses nothing."""
    report = call(World(lambda _: 0.5))

    assert (report.up.lost, report.down.lost) == (0, 0)


# ------------------------------------------------------------------ what people would say of it


def test_what_all_arrives_sounds_as_well_as_the_codec_allows() -> None:
    """50 ms each way and a packet of 20 ms cost next to nothing."""
    report = call(World(lambda _: DELAY))

    for way in (report.up, report.down):
        assert (way.late, way.burst, way.burst_ratio) == (0, 0, 1.0)
        assert way.mos is not None
        assert 4.3 < way.mos < 4.5
    assert report.mos == min(report.up.mos or 0, report.down.mos or 0)


def test_the_opinion_is_of_the_direction_that_lost() -> None:
    """8 of 80 packets, in two runs of four: a ratio of 4 * 0.9, and the call's is the worse one."""
    lost = {20, 21, 22, 23, 50, 51, 52, 53}
    report = call(World(lambda packet: None if up(packet) and packet[1] in lost else DELAY))

    assert (report.up.burst, report.up.burst_ratio) == (4, 3.6)
    assert report.up.mos == pytest.approx(emodel.mos(0.1, 3.6, DELAY + 0.02), abs=0.01)
    assert report.mos == report.up.mos
    assert (report.down.burst, report.down.burst_ratio) == (0, 1.0)


def test_long_delay_is_heard() -> None:
    """A second each way loses nothing and is no conversation."""
    report = call(World(lambda _: 1.0))

    assert (report.up.lost, report.up.late) == (0, 0)
    assert report.mos is not None
    assert report.mos < 2.6


def third_late(packet: Packet) -> float:
    """Every third packet up takes 0.3 s longer."""
    return DELAY + (0.3 if up(packet) and packet[1] % 3 == 2 else 0.0)


def test_packets_that_come_too_late_to_be_played_are_as_good_as_lost() -> None:
    """None is lost, and the opinion is that of losing a third."""
    report = call(World(third_late))

    assert (report.up.lost, report.up.late, report.up.burst) == (0, 26, 1)
    assert report.mos is not None
    assert report.mos < 2.2


def test_over_a_stream_it_is_lateness_that_spoils_a_call() -> None:
    """Nothing is lost there, and a call of which a third comes too late is none all the same."""
    near = structs.replace(NEAR, transport=Transport.TCP)
    world = World(third_late)
    with pytest.raises(HandshakeFailed, match="lost or late") as caught:
        world.run(media(Leg(near), Leg(FAR), seconds=1.6))

    assert (world.stages[-1], caught.value.cause) == (Stage.MEDIA_UP, Cause.LOSSY)


def test_silence_to_the_end_is_the_longest_run() -> None:
    """Also where it was never broken by another packet."""
    world = World(lambda packet: None if up(packet) and packet[1] >= 25 else DELAY)
    failed(world)
    (report,) = world.notes

    assert report.up.burst == 55
    assert report.mos == report.up.mos


def test_keep_alives_are_sent_in_between() -> None:
    """Every 0.5 s, the first one after 0.5 s."""
    world = World(lambda _: DELAY)
    call(world, beats=[Beat(0.5, lambda: [Send(NEAR, b"ping", REMOTE)])])

    assert [round(at, 2) for at, _ in world.other] == [0.5, 1.0, 1.5]


@pytest.mark.parametrize(("after", "stage"), [(0.3, Stage.SUSTAIN), (0.01, Stage.MEDIA_UP)])
def test_a_stream_that_breaks_ends_the_media_with_its_cause(after: float, stage: Stage) -> None:
    """At the first stage when nothing had flowed yet, else as a call that broke off."""
    world = World(lambda _: DELAY)
    world.push(STREAM, Cause.RESET, world.start + after)

    assert failed(world)[:2] == (stage, Cause.RESET)
    assert world.notes[0].up.sent < 20


# ------------------------------------------------------------------ a far end that reports


class Reporting(World):
    """The far end is not ours: it sends every 20 ms from the start what it heard of us."""

    def __init__(
        self, hears: Callable[[int], bool], comes: Callable[[int], bool], seconds: float = 3.0
    ) -> None:
        super().__init__(self._hear)
        self._hears = hears
        self.heard: list[int] = []
        for seq in range(round(seconds * 50)):
            if comes(seq):
                self.push(NEAR, str(seq).encode(), self.start + seq / 50 + DELAY)

    def _hear(self, packet: Packet) -> None:
        if self._hears(packet[1]):
            self.heard.append(packet[1])

    def _recv(self, until: float) -> Arrival | None:
        arrival = super()._recv(until)
        if arrival is None or not isinstance(arrival.data, bytes):
            return arrival
        # What is sent now is heard DELAY later and told another DELAY later.
        known = [seq for seq in self.heard if self.start + seq / 50 <= arrival.at - 2 * DELAY]
        seq = int(arrival.data)
        told = f"{seq} {self.start + seq / 50!r} {len(known)} {max(known, default=-1)}"
        return Arrival(NEAR, told.encode(), REMOTE, arrival.at)


def test_a_far_end_that_does_not_say_how_losses_were_spread_has_them_by_chance() -> None:
    """The longest run is then unknown, and the opinion is that of random loss."""
    report = alone(Reporting(lambda seq: seq % 10 != 3, always))

    assert (report.up.lost, report.up.burst, report.up.burst_ratio) == (8, None, None)
    assert report.up.mos == pytest.approx(emodel.mos(0.1, 1.0, 0.02), abs=0.01)


def test_what_is_made_of_an_arrival_is_sent_at_once() -> None:
    """A check of consent is answered in the middle of the sound."""
    world = World(lambda _: DELAY)

    def answer(arrival: Arrival) -> Iterable[Send]:
        if arrival.channel == NEAR and world.now > world.start + 1 and not world.other:
            yield Send(NEAR, b"consent", REMOTE)

    world.run(media(Leg(NEAR), Leg(FAR), seconds=1.6, answer=answer))
    assert [data for _, data in world.other] == [b"consent"]


def alone(world: World) -> Media:
    """Media with a far end that reports."""
    return world.run(media(Leg(NEAR), None, seconds=1.6))


def always(_seq: int) -> bool:
    """No loss."""
    return True


def test_the_far_ends_reports_tell_of_the_way_up() -> None:
    """All 80 packets are waited for; what it sent itself is known by its numbers."""
    report = alone(Reporting(always, always))

    assert (report.up.sent, report.up.received, report.up.lost) == (80, 80, 0)
    assert report.down.lost == 0
    assert report.down.sent == report.down.received


def test_without_reports_nobody_can_tell_of_the_way_up() -> None:
    """So the failure is the way down's, and `received` is None."""
    world = Reporting(always, lambda _: False)
    with pytest.raises(HandshakeFailed) as caught:
        alone(world)

    assert (world.stages[-1], caught.value.cause) == (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK)
    assert world.notes[0].up.received is None
    assert world.notes[0].down.received == 0


def test_reports_of_nothing_are_a_dead_uplink() -> None:
    """The way down works, so it is told."""
    world = Reporting(lambda _: False, always)
    with pytest.raises(HandshakeFailed) as caught:
        alone(world)

    assert (world.stages[-1], caught.value.cause) == (Stage.MEDIA_UP, Cause.NO_UPLINK)
    assert world.notes[0].up.received == 0


def test_reports_that_stop_growing_are_a_frozen_uplink() -> None:
    """The way down goes on meanwhile."""
    world = Reporting(lambda seq: seq < 25, always)
    with pytest.raises(HandshakeFailed, match="up after 25 packets") as caught:
        alone(world)

    assert (world.stages[-1], caught.value.cause) == (Stage.SUSTAIN, Cause.FROZEN)
    assert world.notes[0].down.silent_after is None


def test_when_reports_stop_the_way_up_is_known_so_far_and_no_further() -> None:
    """The way down froze; what was sent up afterwards is not called lost."""
    world = Reporting(always, lambda seq: seq < 25)
    with pytest.raises(HandshakeFailed, match="down after 25 packets") as caught:
        alone(world)

    assert caught.value.cause == Cause.FROZEN
    up_, down = world.notes[0].up, world.notes[0].down
    assert (up_.lost, up_.silent_after) == (0, None)
    assert (down.received, down.silent_after) == (25, 25)


def test_a_report_that_came_before_the_end_says_nothing_of_what_was_sent_behind_it() -> None:
    """Nearly nothing comes down: that is told, and no loss of the way up is made of it.

    But for what was in flight, since nothing told here how long that takes.
    """
    world = Reporting(always, lambda seq: seq in (0, 30, 60))
    with pytest.raises(HandshakeFailed) as caught:
        alone(world)

    assert (world.stages[-1], caught.value.cause) == (Stage.MEDIA_DOWN, Cause.LOSSY)
    assert (world.notes[0].up.lost or 0) <= 2 * DELAY * 50


def test_an_uplink_that_had_frozen_before_the_reports_stopped_is_told() -> None:
    """A relay that gives up after a while must not hide why."""
    world = Reporting(lambda seq: seq < 5, lambda seq: seq < 48)
    with pytest.raises(HandshakeFailed, match=r"up after 5 packets.*down after 48 packets"):
        alone(world)


def test_media_that_came_early_counts() -> None:
    """Packets that overtook the answer before this stage are no losses of it."""
    world = Reporting(always, lambda seq: seq >= 3)
    early = [
        Arrival(NEAR, f"{n} {world.start + n / 50!r} 0 -1".encode(), REMOTE, world.now)
        for n in range(3)
    ]
    report = world.run(media(Leg(NEAR), None, seconds=1.6, early=early))

    assert report.down.lost == 0
